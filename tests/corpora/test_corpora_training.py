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
QUICK = ("session", "impro")  # the others are proofs


def train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run train.py with everything it writes under `folder`."""
    places = ("--derived_dir", folder / "derived", "--output_dir", folder / "result")
    command = [sys.executable, PROJECT / "train.py", *options, *SHORT, *places]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def metrics_of(folder: Path) -> dict:
    """The metrics of the only run under `folder`."""
    [path] = (folder / "result").glob("*/metrics.json")
    assert list(path.parent.glob("*_Report.txt"))
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def iemocap_data(tmp_path_factory):
    """A data folder with a small IEMOCAP in it."""
    folder = tmp_path_factory.mktemp("corpora")
    write_release(folder / "IEMOCAP", plan_turns(3), duration_s=0.3)
    return folder


@pytest.mark.parametrize(
    ("protocol", "part"),
    [
        pytest.param(protocol, part, marks=() if pair == QUICK else pytest.mark.proof)
        for protocol in PROTOCOLS
        for part in AUDIO_TYPES
        if (pair := (protocol, part))
    ],
)
def test_iemocap_trains_under_every_protocol_and_part(
    protocol, part, iemocap_data, tmp_path
):
    options = ("-dn", "IEMOCAP", "--data_dir", str(iemocap_data), "-at", part)
    done = train(tmp_path, *options, "--protocol", protocol)
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path)
    assert metrics["protocol"] == protocol
    assert metrics["classes"] == ["anger", "happiness", "neutral", "sadness"]
    assert metrics["num_folds"] == (1 if protocol == "all" else 10)
    assert "documented" in done.stderr  # the counts found, beside those of the release
    if protocol == "session":
        assert "dialogue partners" in done.stderr
        assert metrics["audit"]["verdict"].startswith("speaker-independent")


@pytest.fixture
def scattered(tmp_path):
    """A manifest of 20 noises in many folders, two of them in stereo at 44.1 kHz."""
    rows = []
    for number in range(20):
        path = tmp_path / f"place{number % 7}" / f"take{number}.wav"
        path.parent.mkdir(exist_ok=True)
        is_odd = number % 10 == 0
        noise = np.random.RandomState(number).uniform(-0.5, 0.5, (9_000, 1 + is_odd))
        soundfile.write(path, noise, 44_100 if is_odd else 16_000)
        label, speaker = ("calm", "cross")[number // 2 % 2], f"voice {number % 2}"
        rows.append([path.relative_to(tmp_path).as_posix(), label, speaker])
    manifest = tmp_path / "m.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "speaker"], *rows])
    return manifest


def test_own_manifest_trains_and_reports(scattered, tmp_path):
    done = train(tmp_path, "-dn", "MYDATA", "--manifest", str(scattered))
    assert done.returncode == 0, done.stderr
    assert "MYDATA: 2 of 20 files are converted to 16000 Hz mono" in done.stderr
    metrics = metrics_of(tmp_path)
    assert metrics["corpus"]["name"] == "MYDATA"
    assert metrics["corpus"]["utterances"] == 20
    [model] = (tmp_path / "result").glob("*/MYDATA_0.3s_*_float32.tflite")
    assert model.stat().st_size > 1_000_000


def test_speaker_protocol_without_speakers_is_refused(scattered, tmp_path):
    rows = [line.rpartition(",")[0] for line in scattered.read_text().splitlines()]
    scattered.write_text("\n".join(rows))
    options = ("-dn", "MINE", "--manifest", str(scattered), "--protocol", "speaker")
    done = train(tmp_path, *options)
    assert done.returncode == 2
    [line] = [row for row in done.stderr.splitlines() if "error" in row]
    assert "needs the speaker of every utterance; 20 have none" in line
    assert not (tmp_path / "result").exists()
