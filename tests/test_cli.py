"""Options, error messages and exit statuses of all scripts."""

import argparse
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unicodedata import normalize

import pytest

from hyperparameters import InputError
from utils.cli import Parser, did_you_mean, run_main, true_or_false
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
        (OSError(errno.EACCES, "Not allowed", "a.wav"), 2, "error: a.wav: Not allowed"),
        (OSError(errno.ENOSPC, "No space left"), 2, "error: No space left"),
        (OSError("odd"), 2, "error: odd"),
        (InputError("a\x1b[2J.wav:\n\u202ebad"), 2, r"error: a\x1b[2J.wav: \u202ebad"),
        (OSError(errno.EIO, "bad", "\x1b.wav"), 2, r"error: \x1b.wav: bad"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_mistakes_are_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
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


def started(body: str) -> subprocess.Popen[str]:
    """Run a main with this body in another process."""
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "from utils.cli import run_main\n"
        f"def main(argv):\n    {body}\n    return 0\nsys.exit(run_main(main))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_closes_our_output_is_no_mistake() -> None:
    with started("for _ in range(100000): print('line')") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_name_that_is_not_utf_8_can_be_printed() -> None:
    process = started("print(os.fsdecode(b'\\xe4.wav'))")
    assert process.communicate() == ("\\udce4.wav\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        *("train.py", "tflite_evaluate.py", "inference_single_file.py"),
        *("-m utils.report", "-m utils.convert.recordings", "-m utils.protocols.audit"),
        *("-m utils.model_files.catalog", "-m utils.scores.compare"),
        "-m reproduction",
    ],
)
def test_ctrl_c_during_the_imports_ends_without_a_traceback(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *command.split(), "--help"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "argparse" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_after_the_imports_is_one_line() -> None:
    process = started("os.kill(os.getpid(), 2); __import__('time').sleep(9)")
    assert process.communicate() == ("", "-c: stopped\n")
    assert process.returncode == 130


def parser() -> Parser:
    made = Parser(prog="tool.py")
    made.add_argument("-n", "--number", type=int, default=3, metavar="N", help="count")
    made.add_argument("--merge", type=true_or_false, default=False)
    return made


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--n", "4"], "unrecognized arguments: --n 4"),
        (["--num", "4"], "unrecognized arguments: --num 4; did you mean --number?"),
        (["--Merge=true"], "unrecognized arguments: --Merge=true; did you mean"),
        (["--number", "x"], "argument -n/--number: invalid int value: 'x'"),
        (["--merge", "1"], "argument --merge: must be true or false, got '1'"),
    ],
)
def test_wrong_options_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(argv)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.removesuffix(" --merge?") == f"tool.py: error: {message}"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_paths_are_found_in_both_normal_forms(
    tmp_path: Path, form: str, on_disk: str
) -> None:
    made = Parser(prog="tool.py")
    made.add_argument("--run", type=Path)
    made.add_argument("files", type=Path, nargs="*")
    path = tmp_path / normalize(on_disk, "José/Größe.tflite")
    path.parent.mkdir()
    path.touch()
    given = normalize(form, str(path))
    new = normalize(form, str(path.parent / "neu ä"))
    found = made.parse_args(["--run", given, given, new, "fehlt é"])
    assert found.run == found.files[0] == path
    assert found.files[1].parent == path.parent
    assert found.files[2] == Path("fehlt é")


@pytest.mark.parametrize("words", [["--with-hyphen", "a-b"], ["--with-hyphen=a-b"]])
def test_hyphens_are_accepted_for_underscores_in_options_alone(
    words: list[str],
) -> None:
    made = Parser(prog="tool.py")
    made.add_argument("--with_hyphen")
    made.add_argument("words", nargs="*")
    found = made.parse_args([*words, "--", "--with-hyphen"])
    assert found.words == ["--with-hyphen"]
    assert found.with_hyphen == "a-b"


def test_suggestions_ignore_case_and_keep_silent_if_nothing_is_alike() -> None:
    known = ("EMO-DB", "CREMA-D")
    assert did_you_mean("emodb", known) == "; did you mean EMO-DB?"
    assert did_you_mean("RAVDESS", known) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("false", False), ("FALSE", False)],
)
def test_true_and_false(text: str, value: bool) -> None:
    assert true_or_false(text) is value


@pytest.mark.parametrize("text", ["yes", "0", "no", "t", " true", "1", ""])
def test_nothing_else_is_a_truth_value(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be true or false"):
        true_or_false(text)


def test_help_has_one_line_per_option_with_its_default() -> None:
    lines = parser().format_help().splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert "-n, --number N count [3]" in shown
    assert max(map(len, lines)) <= 110
