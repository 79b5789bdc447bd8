"""What the terminal shows of a run, told by events alone."""

import re

import pytest

from utils.training.progress import RunProgress


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_for_each_finished_fold_where_nobody_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = RunProgress(2, 3)
    for epoch in range(3):
        progress({"fold": 1, "epoch": epoch, "accuracy": 0.5})
    progress.close()
    [line] = lines_of(capsys)
    assert line.startswith("fold 1: 3 of 3 epochs")
    assert "train 0.500; all folds: 3 of 6 epochs" in line


def test_epochs_of_an_earlier_run_count_as_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = RunProgress(1, 4)
    progress({"fold": 0, "epoch": 3})
    assert (progress.whole.n, progress.whole.initial) == (4, 3)
    progress.close()
    assert "all folds: 4 of 4 epochs" in lines_of(capsys)[-1]


def test_the_time_left_counts_only_the_epochs_of_this_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0]
    monkeypatch.setattr("tqdm.std.time", lambda: now_s[0])
    monkeypatch.setattr("utils.training.progress.LINE_INTERVAL_S", 0.0)
    progress = RunProgress(1, 300)
    for epoch in range(50, 60):
        now_s[0] += 10
        progress({"fold": 0, "epoch": epoch})
    progress.close()
    assert lines_of(capsys)[-1] == (
        "fold 0: 60 of 300 epochs, 40:00 left; all folds: 60 of 300 epochs, 40:00 left"
    )


def test_a_fold_that_is_only_exported_counts_as_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = RunProgress(1, 4)
    progress({"fold": 0, "stage": "exporting"})
    assert progress.bars[0].postfix == "exporting"
    progress({"fold": 0, "stage": "done"})
    assert (progress.bars, progress.whole.n) == ({}, 4)
    progress.close()
    shown = capsys.readouterr().err
    assert "exporting" in shown
    assert re.search(r"all folds 100%.* 4/4", shown)


def test_a_warning_names_its_fold(capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress(1, 4, quiet=True)
    progress({"fold": 0, "warning": "trying again"})
    progress({"warning": "no loopback"})
    progress.close()
    assert lines_of(capsys) == ["fold 0: trying again", "no loopback"]
