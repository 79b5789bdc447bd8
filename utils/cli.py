"""Options, error messages and exit statuses that all scripts share."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError

EXIT_USER_ERROR = 2
EXIT_READER_LEFT = 141  # 128 + SIGPIPE: the reader closed our output
HELP_WIDTH = 110


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations; its errors are one line."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            **{  # type: ignore[arg-type]
                "allow_abbrev": False,
                "formatter_class": CompactHelp,
                "usage": "%(prog)s [options]",
                **options,
            }
        )

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print one line on stderr and exit with status 2."""
        self.exit(EXIT_USER_ERROR, f"{self.prog}: error: {message}\n")


class CompactHelp(argparse.RawDescriptionHelpFormatter):
    """Help with one line per option, which shows the default."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=HELP_WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        name = self._get_default_metavar_for_optional(action)
        value = self._format_args(action, name)
        return f"{', '.join(action.option_strings)} {value}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shows = action.default not in (None, argparse.SUPPRESS, False)
        return f"{text} [%(default)s]" if shows else text


def true_or_false(text: str) -> bool:
    """`true` or `false`, upper or lower case; anything else is refused."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(
            f"must be true or false, got {text!r}"
        ) from None


def run_main(main: Callable[[Sequence[str] | None], int]) -> int:
    """Call a script's main and turn a user's mistake into one line on stderr.

    Args:
        main: Takes argv (None: the process's) and returns the exit status.

    Returns:
        The exit status of `main`; 2 after a user's mistake or a file error; 130 after
        Ctrl-C; 141 if the reader closed our output. Other exceptions are bugs and
        propagate.
    """
    _open_standard_streams()
    program = program_name()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # during a script's imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return main(None)
    except InputError as error:
        print(f"{program}: error: {one_line(error)}", file=sys.stderr)
    except BrokenPipeError:  # as with `| head`
        for stream in (sys.stdout, sys.stderr):  # discard what they still buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return EXIT_READER_LEFT
    except OSError as error:
        print(f"{program}: error: {describe(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        return 130
    return EXIT_USER_ERROR


def _open_standard_streams() -> None:
    """Open closed standard streams (`2>&-`) as the null device.

    Otherwise, the next file that is opened would get their descriptor and the messages
    of C++ libraries.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            mode = os.O_WRONLY if descriptor else os.O_RDONLY
            os.open(os.devnull, mode)  # gets the lowest free descriptor, this one
        if getattr(sys, name) is None:
            stream = open(descriptor, "w" if descriptor else "r")  # noqa: SIM115
            setattr(sys, name, stream)


def program_name() -> str:
    """The program as the user typed it: `train.py` or `python -m utils.report`."""
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        return os.path.basename(sys.argv[0])
    return f"python -m {spec.name.removesuffix('.__main__')}"


def one_line(error: BaseException) -> str:
    """An error's message without line breaks; control characters are escaped."""
    return printable(" ".join(str(error).split()))


def describe(error: OSError) -> str:
    """An operating-system error as `file: reason`."""
    reason = error.strerror or one_line(error)
    return f"{printable(error.filename)}: {reason}" if error.filename else reason


def terminal_bar(items: Iterable[Any], **options: Any) -> Iterable[Any]:
    """`items` with a tqdm bar if stderr is a terminal; takes tqdm's options."""
    from tqdm import tqdm  # not needed to classify

    return tqdm(items, disable=None, **options)


def printable(path: Path | str) -> str:
    """A file name for a one-line message, with control characters escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
