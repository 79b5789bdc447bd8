"""Corpora other than EMO-DB, from their folder to a report, by the command line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from iemocap_tree import plan_turns, write_release

from hyperparameters import AUDIO_TYPES
from utils.files import PROJECT

SHORT = ("--epochs", "1", "--folds", "0", "-id", "0.3", "--batch_size", "8")
PROTOCOLS = ("published", "paper", "random", "speaker", "session", "all")
FEW = (("published", "all"), ("session", "impro"), ("speaker", "script"))


def train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run train.py with everything it writes under `folder`."""
    places = ("--derived_dir", folder / "derived", "--output_dir", folder / "result")
    command = [sys.executable, PROJECT / "train.py", *options, *places]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def metrics_of(folder: Path) -> dict:
    """The metrics of the only run under `folder`."""
    [path] = (folder / "result").glob("*/metrics.json")
    metrics: dict = json.loads(path.read_text())
    assert list(path.parent.glob("*_Report.txt"))
    return metrics


@pytest.fixture(scope="session")
def iemocap_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a small IEMOCAP in it."""
    folder = tmp_path_factory.mktemp("corpora")
    turns = plan_turns(3)
    write_release(folder / "IEMOCAP", turns, duration_s=0.3)
    return folder


@pytest.mark.parametrize(
    ("protocol", "part"),
    [
        pytest.param(protocol, part, marks=() if pair in FEW else pytest.mark.proof)
        for protocol in PROTOCOLS
        for part in AUDIO_TYPES
        if (pair := (protocol, part))
    ],
)
def test_iemocap_trains_under_every_protocol_and_part(
    protocol: str, part: str, iemocap_data: Path, tmp_path: Path
) -> None:
    options = ("-dn", "IEMOCAP", "--data_dir", str(iemocap_data), "-at", part)
    done = train(tmp_path, *options, "--protocol", protocol, *SHORT)
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path)
    assert metrics["protocol"] == protocol
    assert metrics["classes"] == ["anger", "happiness", "neutral", "sadness"]
    folds = {"published": 10, "paper": 10, "random": 10, "speaker": 10, "session": 10}
    assert metrics["num_folds"] == folds.get(protocol, 1)
    assert "documented" in done.stderr  # the counts found, beside those of the release
    if protocol == "session":
        assert "dialogue partners" in done.stderr
        assert metrics["audit"]["verdict"].startswith("speaker-independent")


@pytest.fixture
def scattered(emo_db_dir: Path, tmp_path: Path) -> Path:
    """A manifest of 60 real files in many folders, six in stereo at 44.1 kHz."""
    wanted = sorted((emo_db_dir / "EMO-DB" / "wav").glob("*.wav"))[::9][:60]
    rows = []
    for number, path in enumerate(wanted):
        samples, rate_hz = soundfile.read(path)
        target = tmp_path / f"place{number % 7}" / f"take{number}.wav"
        target.parent.mkdir(exist_ok=True)
        if number % 10 == 0:
            length = round(len(samples) * 44_100 / rate_hz)
            at = np.linspace(0, len(samples) - 1, length)
            samples = np.interp(at, np.arange(len(samples)), samples)
            samples, rate_hz = np.stack([samples, samples], axis=1), 44_100
        soundfile.write(target, samples, rate_hz)
        relative = target.relative_to(tmp_path).as_posix()
        rows.append([relative, path.stem[5], path.stem[:2]])
    manifest = tmp_path / "m.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "speaker"], *rows])
    return manifest


def test_own_manifest_of_real_files_trains_and_reports(
    scattered: Path, tmp_path: Path
) -> None:
    options = ("-dn", "MYDATA", "--manifest", str(scattered))
    done = train(tmp_path, *options, "--epochs", "1", "--folds", "0", "-id", "1")
    assert done.returncode == 0, done.stderr
    assert "MYDATA: 6 of 60 files are converted to 16000 Hz mono" in done.stderr
    metrics = metrics_of(tmp_path)
    assert metrics["corpus"]["name"] == "MYDATA"
    assert metrics["corpus"]["utterances"] == 60
    [model] = (tmp_path / "result").glob("*/MYDATA_1.0s_*_float32.tflite")
    assert model.stat().st_size > 1_000_000


def test_speaker_protocol_without_speakers_is_refused(tmp_path: Path) -> None:
    lines = ["path,label"]
    for label in ("calm", "cross"):
        for number in range(4):
            name = f"{label}{number}.wav"
            noise = np.random.RandomState(number).uniform(-0.5, 0.5, 8_000)
            soundfile.write(tmp_path / name, noise, 16_000)
            lines.append(f"{name},{label}")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    options = ("-dn", "MINE", "--manifest", str(tmp_path / "m.csv"))
    done = train(tmp_path, *options, "--protocol", "speaker", *SHORT)
    assert done.returncode == 2
    [line] = [row for row in done.stderr.splitlines() if "error" in row]
    assert "needs the speaker of every utterance; 8 have none" in line
    assert not (tmp_path / "result").exists()
