"""What the terminal shows of a run, by its events."""

import re

import pytest

from utils.training.progress import RunProgress


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set; a line for every event."""
    now = [0.0]
    monkeypatch.setattr("utils.training.progress.LINE_INTERVAL_S", 0.0)
    monkeypatch.setattr("utils.training.progress.time.monotonic", lambda: now[0])
    return now


def test_a_line_per_finished_fold_if_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunProgress(2, 3) as progress:
        for epoch in range(3):
            progress({"fold": 1, "epoch": epoch, "accuracy": 0.5})
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fold 1: 3 of 3 epochs, 00:00 left, train 0.500; all folds")
    assert "all folds: 3 of 6 epochs, " in line


def test_the_time_left_counts_only_the_epochs_of_this_run(
    capsys: pytest.CaptureFixture[str], now_s: list[float]
) -> None:
    with RunProgress(1, 300) as progress:
        for epoch in range(50, 60):
            now_s[0] += 10
            progress({"fold": 0, "epoch": epoch})
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == (
        "fold 0: 51 of 300 epochs, ? left; all folds: 51 of 300 epochs, ? left"
    )
    assert last == (
        "fold 0: 60 of 300 epochs, 40:00 left; all folds: 60 of 300 epochs, 40:00 left"
    )


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_first_time_left_is_near_the_true_one(
    capsys: pytest.CaptureFixture[str], now_s: list[float], jobs: int
) -> None:
    """Folds start for 60 s and export for 20 s; `jobs` of six run at a time."""
    folds, epochs, estimates = 6, 100, []
    with RunProgress(folds, epochs) as progress:
        for first in range(0, folds, jobs):
            running = range(first, first + jobs)
            now_s[0] += 60
            for epoch in range(epochs):
                now_s[0] += 2
                for fold in running:
                    progress({"fold": fold, "epoch": epoch})
                    line = capsys.readouterr().err.splitlines()[-1]
                    estimates.append((now_s[0], line.split("epochs, ")[-1]))
            now_s[0] += 20
            for fold in running:
                progress({"fold": fold, "stage": "done"})
    for at_s, text in estimates:
        if text != "? left":
            *hours, minutes, seconds = text.removesuffix(" left").split(":")
            left_s = sum(map(int, hours)) * 3600 + int(minutes) * 60 + int(seconds)
            true_s = now_s[0] - at_s
            assert (true_s - 30) / 2 <= left_s <= true_s * 2 + 60, (at_s, text)
    assert [text for _, text in estimates].count("? left") <= jobs + 1


def test_a_fold_that_is_only_exported_counts_as_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with RunProgress(1, 4) as progress:
        for stage in ("exporting", "done"):
            progress({"fold": 0, "stage": stage})
    shown = capsys.readouterr().err
    assert re.search(r"fold 0 100%.* 4/4 .*exporting", shown)
    assert re.search(r"all folds 100%.* 4/4", shown)


def test_stages_are_lines_if_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunProgress(1, 4) as progress:
        for stage in ("exporting", "done"):
            progress({"fold": 0, "stage": stage})
    assert capsys.readouterr().err.splitlines() == ["fold 0: exporting", "fold 0: done"]


def test_a_warning_names_its_fold(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress(1, 4, quiet=True) as progress:
        progress({"fold": 0, "warning": "trying again"})
        progress({"fold": 0, "epoch": 3})
    assert capsys.readouterr().err.splitlines() == ["fold 0: trying again"]
