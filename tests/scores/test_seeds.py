"""The spread of runs over seeds: computed by hand, written, refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_run import random_folds, write_run

import train
from hyperparameters import InputError
from utils.runs.records import load_run
from utils.scores.metrics import confusion, scores_of
from utils.scores.seeds import pool_seeds, split_seeds, write_spread

STEM = "TEST_3.0s_all_mfcc_cross_entropy_speaker"


def write_seed(folder: Path, seed: int) -> Path:
    """A finished run with this seed."""
    folds = random_folds(seed % 1000, speakers=3, per_speaker=6)
    path = folder / f"{STEM}_seed{seed}_{seed:08x}"
    return write_run(path, folds, settings={"seed": seed})


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Three finished runs that differ in the seed."""
    return [write_seed(tmp_path, seed) for seed in (42, 43, 44)]


def test_spread_is_that_of_the_pooled_scores(runs: list[Path], tmp_path: Path) -> None:
    spread = write_spread(runs, tmp_path / "out")
    content = json.loads(spread.files[0].read_text())
    table = np.stack([scores_of(confusion(load_run(run).rows())) for run in runs])
    assert content["seeds"] == [42, 43, 44]
    assert content["ua"]["mean"] == pytest.approx(table[:, 0].mean())
    assert content["wa"]["sd"] == pytest.approx(table[:, 1].std(ddof=1))
    assert content["weighted_f1"]["min"] == pytest.approx(table[:, 2].min())
    assert content["macro_f1"]["max"] == pytest.approx(table[:, 3].max())
    assert content["runs"] == [run.name for run in runs]
    row = f"| UA | {100 * table[:, 0].mean():.2f} | {100 * table[:, 0].std(ddof=1):.2f}"
    assert row in spread.table
    assert spread.files[1].read_text() == spread.table
    two = write_spread(runs[:2], tmp_path / "out")
    names = {path.name.rsplit("_", 1)[0] for path in (*spread.files, *two.files)}
    assert names == {f"{STEM}_seeds42-43-44", f"{STEM}_seeds42-43"}


def test_many_long_seeds_still_have_a_file(tmp_path: Path) -> None:
    runs = [write_seed(tmp_path, 2_000_000_000 + number) for number in range(30)]
    spread = write_spread(runs, tmp_path / "out")
    assert len(json.loads(spread.files[0].read_text())["seeds"]) == 30


def test_an_unfinished_run_has_no_spread(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs[1] / "folds" / "fold_01.json").unlink()
    with pytest.raises(InputError, match="2 of 3 folds done"):
        write_spread(runs, tmp_path / "out")
    train.show_spread(runs, tmp_path / "out")
    assert capsys.readouterr().err.startswith("no spread over seeds: ")
    assert not (tmp_path / "out").exists()


OTHER_CORPUS = {"name": "TEST", "digest": "0"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "needs another seed, got 2 of seed 42"),
        ({"settings": {"seed": 1, "epochs": 9}}, "but epochs differs"),
        ({"settings": {"seed": 1}, "corpus": OTHER_CORPUS}, "but corpus differs"),
        (None, "needs two runs, got 1"),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_refused(
    runs: list[Path], tmp_path: Path, changes: dict | None, message: str
) -> None:
    compared = runs[:1]
    if changes is not None:
        compared.append(write_run(tmp_path / "other", random_folds(1), **changes))
    with pytest.raises(InputError, match=message):
        write_spread(compared, tmp_path / "out")


def test_runs_of_different_folds_are_not_joined(runs: list[Path]) -> None:
    """Their speakers differ: that would not be a spread over seeds."""
    (runs[0] / "folds" / "fold_00.json").unlink()
    (runs[1] / "folds" / "fold_02.json").unlink()
    pooled = pool_seeds([load_run(run) for run in runs[:2]])
    assert ["seeds" in run.config for run in pooled] == [False, False]


def test_joined_runs_split_again(runs: list[Path]) -> None:
    loaded = [load_run(run) for run in runs]
    [pooled] = pool_seeds(loaded)
    assert [run.records for run in split_seeds(pooled)] == [r.records for r in loaded]
    assert [run.records for run in split_seeds(loaded[0])] == [loaded[0].records]
