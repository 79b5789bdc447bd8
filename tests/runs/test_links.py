"""What a link in a run folder leads to is neither read nor written."""

import os
import shutil
from pathlib import Path

import pytest
from synthetic_run import write_run

from hyperparameters import InputError
from utils.runs.folder import read_config
from utils.runs.records import load_run


@pytest.mark.parametrize(
    "name", ["config.json", "folds", "folds/fold_00", "folds/fold_00/worker.log"]
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_run_folder_holds_no_links(tmp_path: Path, name: str, kind: str) -> None:
    """It may be one itself."""
    outside, folder = tmp_path / "outside", tmp_path / "run"
    write_run(outside, [[("a", "1", 0, 0)]])
    (outside / "folds" / "fold_00").mkdir()
    (outside / "folds" / "fold_00" / "worker.log").write_text("mine")
    shutil.copytree(outside, folder)
    other = tmp_path / "other"
    other.symlink_to(folder)
    assert load_run(other).is_complete
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to(outside / name)
    else:
        os.mkfifo(path)
    for read in (read_config, load_run):
        with pytest.raises(InputError, match="must be a file or a folder, is a link"):
            read(folder)
