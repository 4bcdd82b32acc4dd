"""The command line: `main` is the entry point, `app` the commands, `console` what a person sees."""

import os
import sys


def main() -> None:
    """Run `magnn` and exit: 0 done, 1 failure, 2 unusable input, 130 interrupted. Errors are one line, no traceback."""
    # click is what typer stands on; both load in a tenth of a second, everything heavy only inside a command.
    import click

    from magnn.cli.app import app
    from magnn.errors import MagnnError

    try:
        code = app(standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        code = 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"; see {context.command_path} --help" if context else ""
        code = _fail(f"{error.format_message().strip().rstrip('.')}{hint}", 2)
    except MagnnError as error:
        code = _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `magnn recommend ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("MAGNN_DEBUG"):
            raise
        text = (str(error).strip() or "no message").splitlines()[0]
        code = _fail(f"a bug in magnn: {type(error).__name__}: {text}; MAGNN_DEBUG=1 shows where, please report it", 1)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split("\n")), file=sys.stderr)
    return code
