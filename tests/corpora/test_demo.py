"""DEMO: names, format, the same bytes everywhere, whole or absent, as documented."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hyperparameters import from_flat
from utils.corpora import corpus_by_name, load_manifest
from utils.corpora import demo as demo_corpus
from utils.corpora.demo import NOTE, SAMPLES_SHA256, SPEAKERS, STAMP_NAME, provide, read
from utils.corpora.manifest import Manifest
from utils.corpora.synthesis import PHONES, Delivery, synthesise, vocal_tract
from utils.files import PROJECT

MEN = ("03", "10", "11", "12", "15")
MAKE = [
    sys.executable,
    "-c",
    "import sys, pathlib; from utils.corpora.demo import provide; "
    "provide(pathlib.Path(sys.argv[1]))",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freshly synthesised corpus; tests only read it."""
    made = tmp_path_factory.mktemp("demo") / "DEMO"
    provide(made)
    return made


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read(folder)


@pytest.fixture(scope="module")
def measured(manifest: Manifest) -> dict[str, dict[str, float]]:
    """Acoustic measures by utterance id."""
    return {u.id: measures(samples_of(u.path)) for u in manifest.utterances}


def samples_of(path: Path) -> npt.NDArray[np.float64]:
    with wave.open(str(path)) as file:
        data = file.readframes(file.getnframes())
    return np.frombuffer(data, "<i2") / 32768


def measures(samples: npt.NDArray[np.float64]) -> dict[str, float]:
    """Duration, intensity, share of energy above 1 kHz, and F0 by autocorrelation."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 800)[::320]
    energy = (frames**2).mean(axis=1)
    frames = frames[energy > 0.1 * energy.max()] * np.hanning(800)
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2
    lags = np.fft.irfft(power)[:, :230]
    lags /= lags[:, :1] * (1 - np.arange(230) / 800)
    best = 32 + lags[:, 32:].argmax(axis=1)  # 500 Hz down to 70 Hz
    f0_hz = 16_000 / best[lags.max(axis=1, initial=0, where=np.arange(230) >= 32) > 0.5]
    return {
        "duration_s": len(samples) / 16_000,
        "intensity": float((samples**2).mean()),
        "high_share": float(power[:, 128:].sum() / power.sum()),
        "f0_hz": float(np.median(f0_hz)),
        "f0_spread": float(np.subtract(*np.percentile(np.log2(f0_hz), [75, 25]))),
    }


def digest_of(folder: Path) -> str:
    """SHA-256 over the sample bytes of all files in the order of their names."""
    total = hashlib.sha256()
    for path in sorted((folder / "wav").iterdir()):
        with wave.open(str(path)) as file:
            total.update(file.readframes(file.getnframes()))
    return total.hexdigest()


def test_names_tell_what_emo_db_names_tell(manifest: Manifest) -> None:
    assert len(manifest.utterances) == 140
    assert {u.speaker for u in manifest.utterances} == set(SPEAKERS)
    assert {u.sentence for u in manifest.utterances} == {"a01", "a02", "b01"}
    cells = [(u.speaker, u.label) for u in manifest.utterances]
    assert {cells.count(cell) for cell in cells} == {2}
    assert len(set(cells)) == 10 * 7


def test_note_is_carried(manifest: Manifest) -> None:
    assert manifest.note == NOTE
    assert "say nothing about emotion recognition" in NOTE


def test_files_are_mono_16_bit_16_khz_of_speech_length(folder: Path) -> None:
    for path in (folder / "wav").iterdir():
        with wave.open(str(path)) as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            assert form == (1, 2, 16_000), path
            assert 1.0 <= file.getnframes() / 16_000 <= 2.2, path


def test_no_file_is_clipped_or_faint(manifest: Manifest) -> None:
    for utterance in manifest.utterances:
        assert 0.1 < np.abs(samples_of(utterance.path)).max() < 0.99, utterance.id


def test_bytes_are_the_published_ones(folder: Path) -> None:
    assert digest_of(folder) == SAMPLES_SHA256


def test_utterances_differ(manifest: Manifest) -> None:
    assert len(set(manifest.content_hashes.values())) == len(manifest.utterances)


@pytest.mark.parametrize(
    ("measure", "rising"),
    [
        ("f0_hz", ["boredom", "neutral", "anger", "anxiety_fear"]),
        ("f0_hz", ["sadness", "neutral", "happiness", "anxiety_fear"]),
        ("f0_spread", ["sadness", "neutral", "happiness"]),
        ("f0_spread", ["boredom", "neutral", "anger"]),
        ("intensity", ["sadness", "boredom", "neutral", "happiness", "anger"]),
        ("high_share", ["sadness", "neutral", "happiness"]),
        ("high_share", ["boredom", "neutral", "anger"]),
        ("duration_s", ["anxiety_fear", "anger", "neutral", "sadness"]),
        ("duration_s", ["happiness", "neutral", "boredom"]),
    ],
)
def test_classes_differ_as_documented(
    manifest: Manifest,
    measured: dict[str, dict[str, float]],
    measure: str,
    rising: list[str],
) -> None:
    means = [
        np.mean([measured[u.id][measure] for u in manifest.utterances if u.label == c])
        for c in rising
    ]
    assert means == sorted(means), dict(zip(rising, means, strict=True))


def test_women_speak_higher_than_men(
    manifest: Manifest, measured: dict[str, dict[str, float]]
) -> None:
    neutral = [u for u in manifest.utterances if u.label == "neutral"]
    men = [measured[u.id]["f0_hz"] for u in neutral if u.speaker in MEN]
    women = [measured[u.id]["f0_hz"] for u in neutral if u.speaker not in MEN]
    assert max(men) < 150 < min(women)


def test_two_processes_at_once_make_the_same_bytes_without_vector_instructions(
    tmp_path: Path,
) -> None:
    extensions = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    plain = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(extensions)}
    command = [*MAKE, str(tmp_path / "DEMO")]
    both = [subprocess.Popen(command, cwd=PROJECT, env=plain) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert digest_of(tmp_path / "DEMO") == SAMPLES_SHA256
    assert not list(tmp_path.glob(".DEMO.*.part"))


def test_killed_half_way_leaves_no_corpus_and_the_next_run_makes_it(
    tmp_path: Path,
) -> None:
    process = subprocess.Popen([*MAKE, str(tmp_path / "DEMO")], cwd=PROJECT)
    while len(list(tmp_path.glob(".DEMO.*.part/wav/*.wav"))) < 3:
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not (tmp_path / "DEMO").exists()
    assert list(tmp_path.glob(".DEMO.*.part"))
    made = load_manifest(corpus_by_name("DEMO"), Path("absent"), tmp_path)
    assert len(made.utterances) == 140
    assert not list(tmp_path.glob(".DEMO.*.part"))


def spoil_stamp(folder: Path) -> None:
    (folder / STAMP_NAME).write_text("0123\n")
    (folder / "wav" / "03a01Na.wav").write_bytes(b"made by an older version")


def spoil_file(folder: Path) -> None:
    (folder / "wav" / "16b01Wa.wav").unlink()


@pytest.mark.parametrize("spoil", [spoil_stamp, spoil_file])
def test_older_or_incomplete_corpus_is_made_again(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    old = tmp_path / "DEMO"
    shutil.copytree(folder, old)
    spoil(old)
    assert len(read(old).utterances) == 140
    assert digest_of(old) == SAMPLES_SHA256


def test_whole_corpus_is_only_read(folder: Path) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}

    before = state()
    read(folder)
    assert state() == before


def test_defaults_are_settings() -> None:
    defaults = dict(demo_corpus.CORPUS.defaults)
    settings = from_flat(defaults)
    assert settings.front_end.duration_s == 1.5
    assert settings.data.num_folds == 5


def test_sentences_use_every_phone_and_no_other() -> None:
    tokens = " ".join(demo_corpus.SENTENCES.values()).split()
    assert {token.removeprefix("'") for token in tokens} == set(PHONES)


def test_vocal_tract_resonates_at_its_formants() -> None:
    frequency_hz = np.arange(0.0, 4000.0, 10.0)[None]
    formants_hz = np.array([[500.0, 1500.0, 2500.0, 3500.0]])
    response = vocal_tract(frequency_hz, formants_hz, 1.0)[0]
    inner = response[1:-1]
    is_peak = (inner > response[:-2]) & (inner > response[2:])
    peaks_hz = frequency_hz[0, 1:-1][is_peak]  # the slope of the others shifts each
    np.testing.assert_allclose(peaks_hz, formants_hz[0], atol=40)
    assert response[0] == pytest.approx(1.0)


@pytest.mark.parametrize("pitch_hz", [100.0, 160.0, 250.0])
def test_steady_vowel_has_the_pitch_asked_for(pitch_hz: float) -> None:
    delivery = Delivery(
        pitch_hz=pitch_hz,
        pitch_range=0.0,
        pitch_fall=0.0,
        rate=0.2,
        lengthening=1.0,
        peak=0.5,
        corner_hz=500.0,
        breath=0.0,
        jitter=0.0,
        tremor=0.0,
        tract=1.0,
        damping=1.0,
    )
    samples = synthesise("a:", delivery, np.random.RandomState(0))
    assert measures(samples)["f0_hz"] == pytest.approx(pitch_hz, rel=0.02)
    assert np.abs(samples).max() == pytest.approx(0.5)
