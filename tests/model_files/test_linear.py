"""A linear model beside a network: the mean of both, the voice, refused files."""

import dataclasses
import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
from damage import damaged
from fuzzing import fuzz, line_of

import inference_single_file
from hyperparameters import FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.functionals import NUM_FUNCTIONALS, functionals
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.scale import Moments, learn_voices, measure
from utils.audio.wav import read_any, to_pcm16, write_wav
from utils.corpora.demo import FOLDER
from utils.files import PROJECT
from utils.inference.classify import MAX_KEPT_S, ModelPerThread, classify_centre
from utils.inference.voice import learn_voice
from utils.model_files import keras_model
from utils.model_files.linear import (
    LinearModel,
    load_linear,
    moments_of,
    save_linear,
)
from utils.model_files.tflite import (
    LiteModel,
    load_model,
    predict_utterance,
    with_linear,
)
from utils.model_files.voice_file import load_voice, save_voice, with_voice
from utils.training.linear_model import fit_linear_model

INT8 = PROJECT / "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
SHIPPED = INT8.with_name("EMO-DB_3.0s_Segmented_mode2_cross_entropy_functionals.npz")
CLASSES = load_model(INT8).classes
LETTERS = "WLEAFTN"
RATE_HZ = 16_000
SPEAKERS = ("03", "08", "09")


def of_speaker(speaker: str) -> list[Path]:
    """One recording per class, in the order of CLASSES."""
    return [sorted(FOLDER.glob(f"{speaker}???{letter}?.flac"))[0] for letter in LETTERS]


@pytest.fixture(scope="module")
def linear() -> LinearModel:
    """Trained on one recording per class of three DEMO voices; unsure of itself."""
    paths = [path for speaker in SPEAKERS for path in of_speaker(speaker)]
    rows = np.array([functionals(read_any(path, RATE_HZ), RATE_HZ) for path in paths])
    speakers = [path.name[:2] for path in paths]
    labels = np.tile(np.arange(7), len(SPEAKERS))
    model = fit_linear_model(rows[None], speakers, labels, CLASSES)
    return dataclasses.replace(
        model, weights=model.weights / 2500, bias=model.bias / 2500
    )


@pytest.fixture
def file(linear: LinearModel, tmp_path: Path) -> Path:
    save_linear(tmp_path / "linear.npz", linear)
    return tmp_path / "linear.npz"


def test_the_command_answers_with_the_mean_of_both(
    linear: LinearModel, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = of_speaker("10")[0]
    samples = read_any(path, RATE_HZ)
    network = predict_utterance(load_model(INT8), samples)
    [beside] = linear.predict(functionals(samples, RATE_HZ)[None])
    words = [str(path), "--model", str(INT8), "--functionals", str(file), "--json"]
    assert inference_single_file.main(words) == 0
    [answer] = json.loads(capsys.readouterr().out)["files"]
    found = [answer["probabilities"][name] for name in CLASSES]
    np.testing.assert_allclose(found, (network + beside) / 2, atol=1e-4)
    assert np.abs(network - beside).max() > 0.1  # else the mean would mean little


def test_of_a_long_recording_the_linear_model_hears_ten_seconds(
    linear: LinearModel, file: Path, tmp_path: Path
) -> None:
    """Beside a network that hears three; recordings above two minutes are not kept."""
    clips = [read_any(path, RATE_HZ) for s in ("10", "11") for path in of_speaker(s)]
    length = int(MAX_KEPT_S * RATE_HZ) + 7
    talk = np.resize(np.concatenate(clips), length)
    path = tmp_path / "talk.wav"
    write_wav(path, to_pcm16(talk), RATE_HZ)
    models = ModelPerThread(lambda: with_linear(load_model(INT8), file))
    answer = classify_centre(path, "talk", models)
    start = (length - 10 * RATE_HZ) // 2
    ten = read_any(path, RATE_HZ)[start:][: 10 * RATE_HZ]
    [beside] = linear.predict(functionals(ten, RATE_HZ)[None])
    network = predict_utterance(load_model(INT8), ten)
    np.testing.assert_allclose(answer.probabilities, (network + beside) / 2, atol=1e-4)
    assert any("only the centre 10 s were classified" in note for note in answer.notes)


def test_resampling_changes_no_functional_much() -> None:
    """In the corpus's standard deviations; by 12 if one depends on faint sounds."""
    name = "EMO-DB_3.0s_Segmented_mode2_cross_entropy_functionals.npz"
    shipped = load_linear(PROJECT / "inference_tests" / name, CLASSES)
    clips = sorted((PROJECT / "inference_tests").glob("*_emodb.wav"))
    assert len(clips) == 7
    for path in clips:
        samples = read_any(path, RATE_HZ)
        there = soxr.resample(samples, RATE_HZ, 44_100)
        copy = to_pcm16(soxr.resample(there, 44_100, RATE_HZ)) / 2**15
        change = functionals(copy, RATE_HZ) - functionals(samples, RATE_HZ)
        assert np.abs(change / shipped.corpus.deviation).max() < 3.0


def test_threads_share_one_keras_model(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(path: Path, labels: str | None) -> LiteModel:
        loaded.append(path)
        return load_model(INT8)

    monkeypatch.setattr(keras_model, "load_keras_model", load)
    once = inference_single_file.model_loader(Path("a.keras"), None, file)
    assert once().linear is not None
    assert once().linear is not None
    assert loaded == [Path("a.keras")]


def test_a_voice_reaches_the_linear_model(
    linear: LinearModel, file: Path, tmp_path: Path
) -> None:
    paths = of_speaker("10")
    segments = [prepare(read_any(path, RATE_HZ), FrontEnd()) for path in paths]
    features = compute_features(
        from_pcm16(np.concatenate(segments)), FrontEnd(), clipped=False
    )
    voices = learn_voices({"10": [measure(row, FrontEnd()) for row in features]})
    plain = dataclasses.replace(load_model(INT8), voices=voices)
    model = with_linear(plain, file)
    voice = learn_voice([(path, path.name) for path in paths], model)
    save_voice(tmp_path / "anna.json", voice)
    known = with_voice(model, load_voice(tmp_path / "anna.json", model))
    assert known.linear is not None
    rows = np.array([functionals(read_any(p, RATE_HZ), RATE_HZ) for p in paths])
    assert known.linear.voice is not None
    assert known.linear.voice.recordings == len(paths)
    np.testing.assert_allclose(
        known.linear.voice.total, rows.astype(np.float64).sum(axis=0), rtol=1e-6
    )
    before, after = linear.predict(rows), known.linear.predict(rows)
    assert np.abs(before - after).max() > 0.05
    many = np.zeros(2501)  # of an earlier version: the network alone can use it
    count = voice.moments.recordings
    older = dataclasses.replace(voice, functionals=Moments(count, count, many, many))
    save_voice(tmp_path / "old.json", older)
    loaded = load_voice(tmp_path / "old.json", plain)
    assert with_voice(plain, loaded).voice is loaded.moments
    np.testing.assert_array_equal(loaded.moments.total, voice.moments.total)
    with pytest.raises(InputError, match="make it again with --calibrate"):
        with_voice(model, loaded)


DAMAGE: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "a missing array": lambda arrays: arrays.pop("bias"),
    "NaN": lambda arrays: arrays["weights"].fill(np.nan),
    "another shape": lambda arrays: arrays.update(mean=np.ones(3, np.float32)),
    "a deviation of 0": lambda arrays: arrays["deviation"].fill(0.0),
    "objects": lambda arrays: arrays.update(bias=np.array([{}], object)),
    "other functionals": lambda arrays: arrays.update(
        {k: v[:-1] for k, v in arrays.items() if len(v.shape) and len(v) > 7}
    ),
    "whole numbers": lambda arrays: arrays.update(bias=np.zeros(7, int)),
    "a number too large": lambda arrays: arrays["weights"].fill(3e38),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_one_line(file: Path, damage: str) -> None:
    arrays = dict(np.load(file))
    assert arrays["weights"].shape == (NUM_FUNCTIONALS, 7)
    DAMAGE[damage](arrays)
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=r"linear\.npz: is damaged or no linear model"):
        load_linear(file, CLASSES)


def test_a_model_of_other_functionals_is_refused(file: Path) -> None:
    np.savez(file, **{**np.load(file), "format": np.array(1)})
    with pytest.raises(InputError, match="for other functionals than this version"):
        load_linear(file, CLASSES)


def test_other_files_and_classes_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has the classes .*, the network has a, b"):
        load_linear(file, ("a", "b"))
    with pytest.raises(InputError, match="is damaged or no linear model"):
        load_linear(INT8, CLASSES)
    np.savez(tmp_path / "long.npz", long=np.zeros(2**21))
    with pytest.raises(InputError, match=r"long\.npz: has 16777\d+ bytes; at most"):
        load_linear(tmp_path / "long.npz", CLASSES)
    with pytest.raises(InputError, match="No such file"):
        load_linear(tmp_path / "none.npz", CLASSES)


@functools.cache
def whole_arrays() -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Classes and arrays of the shipped linear model."""
    arrays = dict(np.load(SHIPPED))
    return tuple(map(str, arrays["classes"])), arrays


# Shapes and types that a header may claim; none needs the bytes that follow it
SHAPES = ((10**12,), (2**62,), (-1,), (0,), (), (10**5,) * 2, (NUM_FUNCTIONALS, 10**9))
TYPES = ("<f8", "<f2", "|O", "<U5", "<U0", "|V8", "<c16", "|S1000000000", "<M8[s]")
TEXTS = (np.array("x"), np.array(b"\xff"), np.array(["\x1b[2J"] * 7))


def damaged_array(array: np.ndarray, random: np.random.RandomState) -> bytes:
    """An array in NumPy's format, with another header, other numbers or other bytes."""
    content = io.BytesIO()
    kind = random.randint(5)
    if kind == 0:
        shape = SHAPES[random.randint(len(SHAPES))]
        header = {"descr": TYPES[random.randint(len(TYPES))], "fortran_order": False}
        np.lib.format.write_array_header_1_0(content, header | {"shape": shape})
        content.write(array.tobytes())
    elif kind == 1:
        np.save(content, TEXTS[random.randint(len(TEXTS))])
    elif kind == 2:
        np.save(content, array[None])
    elif kind == 3 and array.dtype.kind == "f":
        changed = array.copy()
        odd = (np.nan, np.inf, 3e38, -3e38, 1e-45, 0.0)
        changed.flat[random.randint(array.size, size=9)] = odd[random.randint(len(odd))]
        np.save(content, changed)
    else:
        np.save(content, array)
        return damaged(content.getvalue(), random)
    return content.getvalue()


def try_damaged_linear(folder: Path, number: int) -> str:
    """Load a file with damage in one array or in the archive, and predict with it."""
    random, path = np.random.RandomState(number), folder / "m.npz"
    classes, arrays = whole_arrays()
    if number % 3 == 0:
        path.write_bytes(damaged(SHIPPED.read_bytes(), random))
    else:
        chosen = sorted(arrays)[random.randint(len(arrays))]
        method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
        with zipfile.ZipFile(path, "w", method[max(0, random.randint(9) - 6)]) as file:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.save(content, array)
                text = damaged_array(array, random)
                file.writestr(
                    f"{name}.npy", text if name == chosen else content.getvalue()
                )
    try:
        model = load_linear(path, classes)
    except InputError as error:
        return line_of(error, path)
    rows = np.ones((2, NUM_FUNCTIONALS), np.float32)
    known = dataclasses.replace(model, voice=moments_of(rows[0]))
    for probabilities in (model.predict(rows), known.predict(rows)):
        if not np.allclose(probabilities.sum(axis=1), 1.0):
            return "FAULT: no probabilities"
    return "answered"


@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=pytest.mark.proof)])
def test_damaged_arrays_answer_or_are_one_line(tmp_path: Path, count: int) -> None:
    found = fuzz(try_damaged_linear, count, tmp_path)
    assert count / 2 < found["refused"] < count
