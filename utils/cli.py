"""Options, error messages and exit statuses that all scripts share."""

import argparse
import io
import os
import re
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError

EXIT_USER_ERROR = 2
EXIT_READER_LEFT = 141  # 128 + SIGPIPE: the reader closed our output
HELP_WIDTH = 110
PROJECT = Path(__file__).parents[1]
ALL_REQUIREMENTS = "requirements.txt"
INFERENCE_REQUIREMENTS = "requirements-inference.txt"
# Control characters, surrogates, and characters that reorder or break lines
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations; its errors are one line.

    `--batch-size` means `--batch_size`, and a misspelt option gets a suggestion.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(
            **{  # type: ignore[arg-type]
                "allow_abbrev": False,
                "formatter_class": CompactHelp,
                "usage": "%(prog)s [options]",
                **options,
            }
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown option is an error that names the one most like it."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        words[:end] = map(self._spelled, words[:end])
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            known = [name for name in self._options if name.startswith("--")]
            hints = (did_you_mean(word.partition("=")[0], known) for word in unknown)
            hint = next(filter(None, hints), "")
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        for name, value in vars(found).items():
            setattr(found, name, _on_disk(value))
        return found

    @property
    def _options(self) -> Iterable[str]:
        return self._option_string_actions.keys()

    def _spelled(self, word: str) -> str:
        """`--input-type=x` as `--input_type=x`, if there is such an option."""
        name, sign, value = word.partition("=")
        spelled = "--" + name[2:].replace("-", "_")
        is_option = name.startswith("--") and spelled in self._options
        return f"{spelled}{sign}{value}" if is_option else word

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print one line on stderr and exit with status 2."""
        self.exit(EXIT_USER_ERROR, f"{self.prog}: error: {message}\n")


def normal(name: str) -> str:
    """A name in Unicode's normal form C: some systems and keyboards write `é` as two
    characters, which look the same but compare as different.
    """
    return unicodedata.normalize("NFC", name)


def find_spelled(folder: Path, relative: str) -> Path:
    """A path as the disk spells it, in whatever normal form.

    Impossible names are no error here.

    Args:
        folder: Where the path starts.
        relative: With `/` between the parts.

    Returns:
        `folder / relative`, or the existing path that differs in normal form only.
    """
    path = folder / relative
    if relative.isascii() or os.path.exists(path):
        return path
    path = folder
    for part in Path(relative).parts:
        spellings = [path / part, path / normal(part)]
        if path.is_dir() and not any(map(os.path.exists, spellings)):
            spellings = [p for p in path.iterdir() if normal(p.name) == normal(part)]
        path = next(filter(os.path.exists, spellings), path / part)
    return path


def _on_disk(value: Any) -> Any:
    """A value of an option; paths, also in a list, as the disk spells them."""
    if isinstance(value, list):
        return [_on_disk(item) for item in value]
    return find_spelled(Path(), str(value)) if isinstance(value, Path) else value


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean --plot?` for the known word most like this one, or nothing.

    Args:
        word: What the user typed; upper or lower case makes no difference.
        known: What is allowed.
    """
    import difflib  # few command lines need it

    by_spelling = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_spelling, n=1)
    return f"; did you mean {by_spelling[found[0]]}?" if found else ""


def name_missing_packages(requirements: str = ALL_REQUIREMENTS) -> None:
    """From now on, a package that is not installed ends the program with one line.

    Args:
        requirements: File with the packages that the program needs in any case.
    """

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        package = (getattr(error, "name", None) or "").partition(".")[0]
        is_ours = (PROJECT / package).exists() or (PROJECT / f"{package}.py").exists()
        if not isinstance(error, ModuleNotFoundError) or is_ours:
            sys.__excepthook__(kind, error, trace)
            return
        listed = (PROJECT / requirements).read_text(encoding="utf-8")
        is_listed = f"{package.replace('_', '-')}==" in listed
        file = requirements if is_listed else ALL_REQUIREMENTS
        line = (
            f"{program_name()}: error: the package {package} is not installed here: "
            f"activate the environment that has it, or type `pip install -r {file}`"
        )
        print(line, file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)  # Python takes the status of an excepthook that exits

    sys.excepthook = show


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
