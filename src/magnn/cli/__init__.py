"""The command line: `main` is the entry point, `app` the commands, `console` what a person reads, `bars` how far it is."""

import errno
import io
import os
import sys

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Run `magnn` and exit: 0 done, 1 failure, 2 unusable input, 130 interrupted. Errors are one line, no traceback."""
    # typer loads in a tenth of a second, everything heavy only inside a command.
    import typer

    from magnn.cli.app import app
    from magnn.errors import InputError, MagnnError

    # None where whoever called has closed it.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: not every stream can show every title
    try:
        for argument in sys.argv[1:]:  # a name that polars could neither read nor, after a training, write
            if argument.encode(errors="replace").decode() != argument:
                raise InputError(f"{argument!r} is not UTF-8; rename it, or write it in UTF-8")
        code = app(prog_name="magnn", standalone_mode=False) or 0
        sys.stdout.flush()  # so that a reader who has gone is noticed here, not at the interpreter's end
        if code == 130:  # what typer makes of Ctrl-C, without a word
            code = _fail("interrupted", 130)
    except MagnnError as error:
        code = _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `magnn recommend ... | head`
        _discard_stdout()
        code = 1
    except Exception as error:
        # Usage errors. typer before 0.26 took their classes from click, since then it carries its own: no name fits both.
        if hasattr(error, "format_message"):
            context = getattr(error, "ctx", None)
            hint = f"; see {context.command_path} --help" if context else ""
            message = error.format_message().replace("Value error, ", "")  # pydantic's words, which say nothing
            code = _fail(message.strip().rstrip(".?") + hint, 2)
        elif isinstance(error, OSError) and error.errno in OF_THE_DISK:  # files have said so before, as a StorageError
            _discard_stdout()
            code = _fail(
                f"the output cannot be written: {error.strerror}; free some space or write to another place", 1
            )
        elif os.environ.get("MAGNN_DEBUG"):
            raise
        elif _is_out_of_memory(error):
            code = _fail(
                "out of memory; take a larger machine, or fit on fewer users or items (--min-user-events, "
                "--min-item-events), or with a smaller dim in [model] or batch_size in [training] (--config)",
                1,
            )
        else:
            text = (str(error).strip() or "no message").splitlines()[0]
            code = _fail(
                f"a bug in magnn: {type(error).__name__}: {text}; MAGNN_DEBUG=1 shows where, please report it", 1
            )
    sys.exit(code)


def _is_out_of_memory(error: Exception) -> bool:
    """NumPy's, and PyTorch's of a GPU and of the CPU, which has no class of its own."""
    in_torch = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or in_torch


def _discard_stdout() -> None:
    """What it still holds goes nowhere, so that the interpreter's end does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    from magnn.cli.options import printable

    line = " ".join(line.strip() for line in message.splitlines())
    print(f"error: {printable(line)}", file=sys.stderr)
    return code
