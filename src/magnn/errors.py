"""Every exception the package raises, one tree.

A message is one line that says what is wrong, where, and what to do. The command line prints it and exits with
`exit_code`; a program catches `MagnnError`, or the branch it can do something about.
"""


class MagnnError(Exception):
    """Something failed that is not the caller's input, a download for example."""

    exit_code = 1


class InputError(MagnnError, ValueError):
    """What the caller gave cannot be used: a file, a column, a value, a setting."""

    exit_code = 2


class UnknownIdError(InputError):
    """A user or an item that the model has never seen."""


class ArtifactError(InputError):
    """No magnn model, a damaged one, or one of another format version; or a place whose content a new one would replace."""


class StorageError(InputError):
    """The disk is full or a path cannot be written; whatever stood there before still stands."""


class InUseError(InputError):
    """Another process is at work on the same place."""


class DownloadError(MagnnError):
    """A file could not be fetched, or what came is not what its hash promises."""


class Interrupted(MagnnError):
    """Ctrl-C came before the work was done; the message says what is kept and how to go on."""

    exit_code = 130
