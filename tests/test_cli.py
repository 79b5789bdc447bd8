"""What every script does with options, mistakes and exit statuses."""

import argparse
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from hyperparameters import InputError
from utils.cli import Parser, describe, one_line, run_main, true_or_false
from utils.files import PROJECT


def raising(error: BaseException) -> Callable[[Sequence[str] | None], int]:
    """A main that ends in an error."""

    def main(_: Sequence[str] | None) -> int:
        raise error

    return main


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/tool.py"])


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("--x must be 1,\n  got 2"), 2, "error: --x must be 1, got 2"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.wav"),
            2,
            "error: a.wav: No such file or directory",
        ),
        (OSError(errno.ENOSPC, "No space left"), 2, "error: No space left"),
        (OSError("odd"), 2, "error: odd"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_mistakes_are_one_line(
    error: BaseException,
    status: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(raising(error)) == status
    captured = capsys.readouterr()
    assert captured.err == f"tool.py: {line}\n"
    assert captured.out == ""


def test_bugs_show() -> None:
    with pytest.raises(ZeroDivisionError):
        run_main(raising(ZeroDivisionError()))


def test_a_status_passes_through() -> None:
    assert run_main(lambda argv: 0 if argv is None else 1) == 0


def test_a_reader_that_leaves_is_no_mistake() -> None:
    code = (
        "import sys\n"
        "from utils.cli import run_main\n"
        "def main(argv):\n"
        "    for _ in range(100000):\n"
        "        print('line')\n"
        "    return 0\n"
        "sys.exit(run_main(main))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_a_name_that_is_not_utf_8_can_be_printed() -> None:
    code = (
        "import os, sys\n"
        "from utils.cli import run_main\n"
        "def main(argv):\n"
        "    print(os.fsdecode(b'\\xe4.wav'))\n"
        "    return 0\n"
        "sys.exit(run_main(main))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\udce4.wav\n", "")


def parser() -> Parser:
    made = Parser(prog="tool.py", description="Does a thing.")
    made.add_argument(
        "-n", "--number", type=int, default=3, metavar="N", help="how many"
    )
    made.add_argument("--merge", type=true_or_false, default=False, help="or not")
    return made


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--num", "4"], "unrecognized arguments: --num 4"),
        (["--number", "x"], "argument -n/--number: invalid int value: 'x'"),
        (["--merge", "1"], "argument --merge: must be true or false, got '1'"),
        (["--merge", ""], "argument --merge: must be true or false, got ''"),
        (["--merge"], "argument --merge: expected one argument"),
    ],
)
def test_wrong_options_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"tool.py: error: {message}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("false", False), ("FALSE", False)],
)
def test_true_and_false(text: str, value: bool) -> None:
    assert parser().parse_args(["--merge", text]).merge is value


@pytest.mark.parametrize("text", ["yes", "0", "no", "t", " true"])
def test_nothing_else_is_a_truth_value(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be true or false"):
        true_or_false(text)


def test_help_is_one_line_an_option_with_its_default() -> None:
    lines = parser().format_help().splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert "-n, --number N how many [3]" in shown
    assert max(map(len, lines)) <= 110


def test_errors_in_words() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
    assert describe(OSError(errno.EACCES, "Permission denied", "d")) == (
        "d: Permission denied"
    )
