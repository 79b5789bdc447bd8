"""The command: what it leaves, what it does not do twice, and what it refuses."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_runs import EPOCHS, OPTIONS, TrainedDemo, read_record

import train
from dataio import load_dataset
from hyperparameters import from_flat
from utils.cli import run_main
from utils.corpora.emo_db import EMOTION_OF_LETTER
from utils.corpora.load import DataPaths
from utils.protocols.folds import make_folds
from utils.runs import folder as run_folder

RATE_HZ = 16_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Call `train.py` with some words; status, stdout and stderr come back."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["train.py", *map(str, words)])
        try:
            status = run_main(train.main)
        except SystemExit as stop:
            status = int(stop.code or 0)
        if status in (130, 143):  # the signal was for pytest
            raise KeyboardInterrupt
        return (status, *capfd.readouterr())

    return call


@pytest.fixture
def where(trained_demo: TrainedDemo, tmp_path: Path) -> list[str]:
    """Options that find the shared run's corpus, and write to `tmp_path`."""
    derived = str(trained_demo.derived_dir)
    return ["--derived_dir", derived, "--output_dir", str(tmp_path)]


@pytest.fixture
def copied(trained_demo: TrainedDemo, tmp_path: Path) -> Path:
    """The shared run's folder, to be changed."""
    folder = tmp_path / trained_demo.folder.name
    shutil.copytree(trained_demo.folder, folder)
    return folder


def test_the_run_folder_holds_what_is_promised(trained_demo: TrainedDemo) -> None:
    folder, stem = trained_demo.folder, "DEMO_0.2s_Segmented_cross_entropy"
    names = {path.name for path in folder.iterdir()}
    wanted = {"config.json", "metrics.json", "report.html", f"{stem}_Report.txt"}
    wanted |= {f"{stem}_{kind}.tflite" for kind in ("float32", "float16", "int8")}
    wanted |= {
        f"{stem}_TotalConfusionMatrix{kind}.{suffix}"
        for kind in ("", "Normalized")
        for suffix in ("pdf", "png")
    }
    assert wanted <= names
    for fold in (0, 1):
        record = trained_demo.record(fold)
        sets = [set(record[name]) for name in ("train", "validation", "test")]
        assert all(sets)
        assert len(set.union(*sets)) == sum(map(len, sets)) == 140
        assert len(record["history"]["test_accuracy"]) == EPOCHS
        of_fold = run_folder.fold_folder(folder, fold)
        assert list(of_fold.glob("tensorboard/train/events.*"))
    assert "<audio " in (folder / "report.html").read_text()
    tested = [name for n in (0, 1) for name in trained_demo.record(n)["test"]]
    assert len(tested) == len(set(tested)) == 140
    config = json.loads((folder / "config.json").read_text())
    assert config["command"].startswith("python train.py -dn DEMO -id 0.2")
    assert config["paths"] == {
        "data_dir": "data",
        "derived_dir": str(trained_demo.derived_dir),
        "manifest": None,
        "accept_altered": False,
    }


def test_the_terminal_shows_results_and_no_library_notes(
    trained_demo: TrainedDemo,
) -> None:
    assert trained_demo.stdout.startswith("DEMO; UA ")
    assert "scores say nothing about" in trained_demo.stdout
    assert trained_demo.stdout.splitlines()[-1].endswith("_Report.txt")
    lines = trained_demo.stderr.splitlines()
    assert any(line.startswith("fold 0: 4 of 4 epochs") for line in lines)
    noise = ("INFO", "WARNING", "absl", "XNNPACK", "still alive", "Warning", "I0000")
    assert [line for line in lines if any(word in line for word in noise)] == []


def test_a_finished_run_is_rendered_and_nothing_else(
    trained_demo: TrainedDemo, copied: Path, where: list[str], run: Run
) -> None:
    report = copied / "DEMO_0.2s_Segmented_cross_entropy_Report.txt"
    report.unlink()
    before = [run_folder.record_path(copied, n).read_bytes() for n in (0, 1)]
    status, stdout, stderr = run(*OPTIONS, *where)
    assert status == 0, stderr
    here, shared = copied.parent, trained_demo.folder.parent
    assert stdout == trained_demo.stdout.replace(str(shared), str(here))
    assert "epoch" not in stderr.split("Run folder")[1]
    assert report.exists()
    assert [run_folder.record_path(copied, n).read_bytes() for n in (0, 1)] == before


def test_folds_of_two_commits_are_a_warning_and_the_audit_is_todays(
    trained_demo: TrainedDemo, copied: Path, where: list[str], run: Run
) -> None:
    earlier = [{"from_epoch": 0, "commit": "4567def"}]
    record = trained_demo.record(0) | {"commit": "0123abc", "trained_by": earlier}
    run_folder.record_path(copied, 0).write_text(json.dumps(record))
    run_folder.record_path(copied, 1).unlink()
    config = json.loads((copied / "config.json").read_text())
    changed = config | {"audit": config["audit"] | {"verdict": "nothing is shared"}}
    (copied / "config.json").write_text(json.dumps(changed))
    status, _, stderr = run(*OPTIONS, *where, "--jobs", "1")
    assert status == 0, stderr
    start = "warning: finished folds were made with commit 0123abc, 4567def, now "
    assert stderr.count(start) == 1
    assert stderr.count("config.json: held another audit; it is written again") == 1
    assert json.loads((copied / "config.json").read_text()) == config


def test_export_only_makes_what_is_missing_from_the_weights(
    trained_demo: TrainedDemo, copied: Path, where: list[str], run: Run
) -> None:
    """Fold 0 as another Keras backend leaves it; of fold 1 the record alone."""
    for path in copied.rglob("*.tflite"):
        path.unlink()
    record = trained_demo.record(0)
    record["probabilities"] = {"keras": record["probabilities"]["keras"]}
    record["calibration"] = []
    run_folder.record_path(copied, 0).write_text(json.dumps(record))
    run_folder.weights_path(copied, 1).unlink()
    before = run_folder.record_path(copied, 1).read_bytes()
    options = ["--export_only", copied, "-m", "true", "--jobs", "1"]
    elsewhere = copied.parent / "x"
    status, stdout, stderr = run(*where, *options, "--output_dir", elsewhere)
    assert status == 0, stderr
    assert "fold 1: no weights here, left as it is\n" in stderr
    assert run_folder.record_path(copied, 1).read_bytes() == before
    wanted, found = trained_demo.record(0), read_record(copied, 0)
    audio = {f"fuse_{name}" for name in ("float32", "float16", "dynamic", "int8")}
    assert set(found["probabilities"]) == audio | set(wanted["probabilities"])
    for name, rows in wanted["probabilities"].items():
        assert found["probabilities"][name] == rows, name
    assert found["calibration"] == wanted["calibration"]
    assert len(list(run_folder.fold_folder(copied, 0).glob("*.tflite"))) == 9
    assert stdout.splitlines()[-1].endswith("_Report.txt")
    assert not elsewhere.exists()


def test_export_only_refuses_what_it_cannot_do(
    copied: Path, where: list[str], run: Run
) -> None:
    config = json.loads((copied / "config.json").read_text()) | {"hash": "00000000"}
    (copied / "config.json").write_text(json.dumps(config))
    for words, message in (
        ((copied.parent,), "is not a run folder"),
        ((copied, "--seed", "7"), "seed must be that of the run, [42], got [7]"),
        ((copied, *where), "was trained on another DEMO than the one in --data_dir"),
    ):
        status, _, stderr = run("--export_only", *words)
        assert (status, stderr.count("\n")) == (2, 1)
        assert message in stderr


def test_nothing_is_written_through_a_link_in_the_run_folder(
    copied: Path, where: list[str], tmp_path: Path, run: Run
) -> None:
    outside = tmp_path / "outside"
    run_folder.fold_folder(copied, 1).rename(outside)
    run_folder.fold_folder(copied, 1).symlink_to(outside)
    run_folder.record_path(copied, 1).unlink()
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    status, _, stderr = run(*OPTIONS, *where)
    assert status == 2
    assert "fold_01: must be a file or a folder, is a link" in stderr
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before


@pytest.fixture
def emo_db(tmp_path: Path) -> Path:
    """A data folder with an EMO-DB of two recordings per class, 0.5 s each."""
    wav = tmp_path / "corpora" / "EMO-DB" / "wav"
    wav.mkdir(parents=True)
    draw = np.random.RandomState(0)
    for letter in EMOTION_OF_LETTER:
        for speaker in ("03", "08"):
            noise = draw.uniform(-0.3, 0.3, RATE_HZ // 2)
            soundfile.write(wav / f"{speaker}a01{letter}a.wav", noise, RATE_HZ)
    return wav.parent.parent


# How to spoil an EMO-DB, and what the command then says; `tests/audio` has more
BAD_CORPORA: dict[str, tuple[Callable[[Path], object], str]] = {
    "no wav": (
        lambda wav: [path.unlink() for path in wav.iterdir()],
        "no .wav file in",
    ),
    "class missing": (
        lambda wav: [path.unlink() for path in wav.glob("*E?.wav")],
        "no utterance of class disgust",
    ),
    "truncated": (
        lambda wav: os.truncate(wav / "03a01Wa.wav", 9000),
        "03a01Wa.wav: is truncated",
    ),
    "another rate": (
        lambda wav: soundfile.write(wav / "03a01Wa.wav", np.ones(9000), 8000),
        "must be mono at 16000 Hz, got 1 channel(s) at 8000 Hz",
    ),
    "silence": (
        lambda wav: soundfile.write(wav / "03a01Wa.wav", np.zeros(9000), RATE_HZ),
        "03a01Wa.wav: is silent throughout",
    ),
    "a name of no class": (
        lambda wav: (wav / "03a01Wa.wav").rename(wav / "03a01Xa.wav"),
        "the name '03a01Xa.wav' fits no class",
    ),
    "altered": (lambda wav: None, "differs from the published files: "),
}


@pytest.mark.parametrize("case", BAD_CORPORA)
def test_a_bad_corpus_is_one_line_and_leaves_nothing(
    emo_db: Path, tmp_path: Path, run: Run, case: str
) -> None:
    spoil, message = BAD_CORPORA[case]
    spoil(emo_db / "EMO-DB" / "wav")
    before = sorted(emo_db.rglob("*"))
    derived, output = tmp_path / "derived", tmp_path / "result"
    options = ["--data_dir", emo_db, "--derived_dir", derived, "--output_dir", output]
    options += ["--accept_altered"] * (case != "altered")
    status, stdout, stderr = run("-dn", "EMO-DB", *options)
    last = stderr.splitlines()[-1]
    assert (status, stdout) == (2, "")
    assert last.startswith("train.py: error: ")
    assert message in last
    assert sorted(emo_db.rglob("*")) == before
    left = [path for path in tmp_path.rglob("*") if path.suffix in (".npy", ".part")]
    assert left == []
    assert not output.exists()
    assert not list(derived.glob("[!.]*")), "a half-written folder of segments"


def test_a_duration_longer_than_every_file_is_a_warning(
    emo_db: Path, tmp_path: Path
) -> None:
    data_paths = DataPaths(data_dir=emo_db, derived_dir=tmp_path, accept_altered=True)
    line = "segments of 2 s are longer than every file (the longest has 0.50 s)"
    for duration_s, wanted in ((0.5, 0), (2.0, 1)):
        settings = from_flat({"dataset_name": "EMO-DB", "duration_s": duration_s})
        lines = train.duration_warning(load_dataset(settings, data_paths))
        assert len([text for text in lines if line in text]) == len(lines) == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--folds", "1,2"), "--folds: there are folds 0 to 1, got 2"),
        (("--protocol", "session"), "protocol session needs the session"),
        (
            ("--fft_size", "1200", "-m", "true"),
            "-m true needs an --fft_size that is a power of two",
        ),
        (
            ("--scheduler", "tcp://127.0.0.1:9"),
            "pip install -r requirements-cluster.txt",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(
    where: list[str],
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    if "--scheduler" in options:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, stderr = run(*OPTIONS, *where, *options)
    assert status == 2
    assert message in stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("batch_size", "told"),
    [(35, []), (36, ["35 segments train, fewer than a batch of 36", "_size 32 fits"])],
)
def test_a_batch_larger_than_the_training_set_is_a_warning(
    trained_demo: TrainedDemo, batch_size: int, told: list[str]
) -> None:
    flat = trained_demo.record(0)["settings"]
    settings = from_flat({**flat, "batch_size": batch_size})
    derived = trained_demo.derived_dir
    dataset = load_dataset(settings, DataPaths(data_dir=derived, derived_dir=derived))
    folds = make_folds(dataset.manifest.utterances, settings)
    lines = train.batch_warning(dataset, folds)
    assert len(lines) == bool(told)
    assert all(text in lines[0] for text in told)


def test_an_unwritable_output_folder_is_one_line(
    where: list[str], tmp_path: Path, run: Run
) -> None:
    """A file has the folder's name: then even root cannot make the folder."""
    output = tmp_path / "result"
    output.write_text("a file")
    status, _, stderr = run(*OPTIONS, *where, "--output_dir", output)
    assert status == 2
    assert stderr.splitlines()[-1].startswith(f"train.py: error: {output}")


@pytest.mark.proof
@pytest.mark.parametrize("protocol", ["published", "paper", "random", "speaker", "all"])
def test_every_protocol_runs_from_the_command_with_two_seeds(
    where: list[str], tmp_path: Path, run: Run, protocol: str
) -> None:
    options = [*OPTIONS, "--num_folds", "3", "--epochs", "1", "--protocol", protocol]
    status, stdout, stderr = run(*options, "--seed", "42,43", *where)
    assert status == 0, stderr
    assert stdout.count("_Report.txt") == 2
    spread = list(tmp_path.glob("*_seeds42-43_*.json"))
    assert len(spread) == (0 if protocol == "all" else 1)
    assert ("no spread over seeds: " in stderr) == (protocol == "all")
