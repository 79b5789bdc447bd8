"""Every exported file: name, types, operators, answers, metadata and bytes."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from conftest import tone
from toy_tflite import toy_model

import models
from hyperparameters import FrontEnd, InputError, Network, Settings
from utils.audio.scale import Moments, Scale, Voices
from utils.export import convert as export
from utils.export.audio_front_end import convert_front_end, join
from utils.export.convert import ExportJob, export_models
from utils.export.flatbuffer import operators_of, pack, unpack
from utils.files import PROJECT
from utils.model_files.metadata import (
    attach_metadata,
    read_metadata,
    without_metadata,
)
from utils.model_files.tflite import (
    NAMES,
    PRECISIONS,
    TILED,
    load_model,
    predict_utterance,
)
from utils.model_files.voice_file import Voice, with_voice

CLASSES = ("boredom", "sadness", "happiness", "anxiety_fear", "disgust", "calm", "joy")
NETWORK_OPS = {
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "FULLY_CONNECTED",
    "MEAN",
    "SOFTMAX",
}
RANDOM = np.random.RandomState(0)
UTTERANCES = {
    "tone": tone(2.0),
    "noise": RANDOM.uniform(-0.5, 0.5, 30_001),
    "long": RANDOM.normal(0, 0.1, 60_003),
    "short": tone(0.05),
    "silent ends": np.r_[np.zeros(700), tone(1.0), np.zeros(700)],
}


def build_network(seed: int = 1) -> keras.Model:
    """Not trained, but with uneven batch statistics and confident answers."""
    keras.utils.set_random_seed(seed)
    model = models.build_light_sernet(Settings(), len(CLASSES))
    random = np.random.RandomState(seed)
    model.set_weights(
        [value * random.uniform(0.5, 1.5, value.shape) for value in model.get_weights()]
    )
    pooled = keras.Model(model.inputs, model.get_layer("dropout").output)
    hidden = pooled.predict(speechlike_features(32), verbose=0)
    kernel = random.normal(0, 1, (hidden.shape[1], len(CLASSES)))
    kernel *= 1.0 / ((hidden - hidden.mean(axis=0)) @ kernel).std()
    model.layers[-1].set_weights([kernel, -hidden.mean(axis=0) @ kernel])
    return model


def speechlike_features(count: int, seed: int = 2) -> np.ndarray:
    """(count, 184, 40, 1), float32: clipped MFCCs that vary by utterance."""
    random, size = np.random.RandomState(seed), 12.0 / (1.0 + np.arange(40))
    values = random.normal(0, 1, (count, 184, 40)) + random.normal(0, 1, (count, 1, 40))
    return (values * size).clip(-10, 10).astype(np.float32)[..., None]


def job(folder: Path) -> ExportJob:
    return ExportJob(
        folder=folder,
        stem="toy_3.0s",
        classes=CLASSES,
        front_end=FrontEnd(),
        calibration=speechlike_features(16),
        origin={"run": "toy", "protocol": "published", "scores": {"ua": 0.5}},
        with_audio=True,
    )


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network()


@pytest.fixture(scope="module")
def paths(
    network: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    return export_models(network, job(tmp_path_factory.mktemp("export")))


def test_files_are_named_as_the_original_names_them(paths: dict[str, Path]) -> None:
    assert tuple(paths) == NAMES
    names = {path.name for path in paths["int8"].parent.iterdir()}
    assert names == {f"toy_3.0s_{name}.tflite" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_operators_types_and_description(paths: dict[str, Path], name: str) -> None:
    takes_audio, precision = name.startswith("fuse_"), name.removeprefix("fuse_")
    found = set(operators_of(paths[name].read_bytes()))
    assert not [op for op in found if "CUSTOM" in op or "Flex" in op]
    added = {"PAD", "SLICE"} if name == TILED else set()
    if name in ("int8", TILED):
        assert found == NETWORK_OPS | added
    else:
        assert found > NETWORK_OPS - {"MEAN"}
    assert ("RFFT2D" in found) == takes_audio
    model = load_model(paths[name])
    [source] = model.interpreter.get_input_details()
    [result] = model.interpreter.get_output_details()
    assert model.input_shape == ((1, 48_000) if takes_audio else (1, 184, 40, 1))
    assert tuple(result["shape"]) == (1, 7)
    expected = np.int8 if name in ("int8", TILED) else np.float32
    assert source["dtype"] == result["dtype"] == expected
    if expected is np.int8:
        assert result["quantization"] == (1 / 256, -128)
        types = [t["dtype"] for t in model.interpreter.get_tensor_details()]
        assert set(types) == {np.int8, np.int32}  # int32: biases, shapes
        assert types.count(np.int8) > 20
    metadata = read_metadata(paths[name]) or {}
    assert metadata["classes"] == list(CLASSES)
    assert metadata["front_end"] == asdict(FrontEnd())
    assert metadata["precision"] == precision
    assert metadata["input"] == ("audio" if takes_audio else "features")
    assert metadata["scores"] == {"ua": 0.5}
    needed = "48000 mono samples at 16000 Hz" if takes_audio else "(1, 184, 40, 1)"
    assert needed in metadata["caller_must"]
    json.dumps(metadata, allow_nan=False)


def test_custom_operators_would_be_found() -> None:
    model = unpack(toy_model((1, 4), 2))
    [code, _] = model.operatorCodes
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM, 32
    code.customCode = b"Erfinv"
    assert operators_of(pack(model)) == ["CUSTOM:Erfinv", "SOFTMAX"]


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", 1e-4), ("float16", 1e-2), ("dynamic", 0.1), ("int8", 0.35)],
)
def test_probabilities_are_those_of_keras(
    network: keras.Model, paths: dict[str, Path], precision: str, tolerance: float
) -> None:
    features = speechlike_features(12, seed=3)
    expected = network.predict(features, verbose=0)
    assert expected.max(axis=1).mean() > 0.3  # otherwise agreement would mean little
    found = load_model(paths[precision]).predict(features)
    assert np.abs(found - expected).max() <= tolerance
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.7


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("utterance", UTTERANCES)
def test_audio_model_answers_as_the_features_model(
    paths: dict[str, Path], precision: str, utterance: str
) -> None:
    plain, audio = (load_model(paths[f"{kind}{precision}"]) for kind in ("", "fuse_"))
    samples = np.rint(UTTERANCES[utterance] * 32767) / 32768
    expected, found = (predict_utterance(m, samples) for m in (plain, audio))
    tolerance = {"dynamic": 0.03, "int8": 3 / 256}.get(precision, 1e-4)
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert found.argmax() == expected.argmax()


def test_audio_model_takes_the_scale_of_a_voice(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    ones = np.ones(40)
    voices = Voices(Scale(ones, 9 * ones), ones)
    described = replace(job(tmp_path), voices=voices)
    front = convert_front_end(FrontEnd(), is_scaled=True)
    network = without_metadata(paths["float32"].read_bytes())
    for name, content in (
        ("float32", network),
        ("fuse_float32", join(front, network)),
    ):
        model = attach_metadata(content, export.describe(described, name))
        (tmp_path / name).write_bytes(model)
    audio = load_model(tmp_path / "fuse_float32")
    assert "`scale`, shape (2, 40)" in (audio.metadata or {})["caller_must"]
    voice = Voice(
        front_end=FrontEnd(), speech_s=9.0, moments=Moments(5, 9, 90 * ones, 990 * ones)
    )
    plain = load_model(tmp_path / "float32")
    samples, answers = UTTERANCES["long"], []
    for one, other in (
        (plain, audio),
        (with_voice(plain, voice), with_voice(audio, voice)),
    ):
        expected, found = (predict_utterance(m, samples) for m in (one, other))
        np.testing.assert_allclose(found, expected, atol=1e-4)
        answers.append(found)
    assert np.abs(answers[1] - answers[0]).max() > 0.05


def test_an_audio_model_with_other_inputs_is_refused(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    content = without_metadata(paths["fuse_int8"].read_bytes())
    ones = np.ones(40)
    described = replace(job(tmp_path), voices=Voices(Scale(ones, ones), ones))
    path = tmp_path / "one_input.tflite"
    path.write_bytes(attach_metadata(content, export.describe(described, "fuse_int8")))
    with pytest.raises(InputError, match=r"besides the first must be \[\(2, 40\)\]"):
        load_model(path)


def test_bytes_without_metadata(paths: dict[str, Path]) -> None:
    sizes = {n: len(without_metadata(p.read_bytes())) for n, p in paths.items()}
    assert sizes["float32"] <= 1_860_000
    assert sizes["float16"] <= 940_000
    assert sizes["dynamic"] <= 500_000
    assert sizes["int8"] <= 500_000
    assert sizes[TILED] <= 1.05 * sizes["int8"]
    for precision in PRECISIONS:
        assert sizes[f"fuse_{precision}"] - sizes[precision] <= 310_000
    for name, path in paths.items():
        assert 0 < path.stat().st_size - sizes[name] <= 2_500


def test_only_int8_depends_on_the_calibration(
    network: keras.Model, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PRECISIONS", ("float32", "int8"))
    again = export.convert(network, speechlike_features(4, seed=9))
    for precision in again:
        is_same = again[precision] == without_metadata(paths[precision].read_bytes())
        assert is_same == (precision != "int8")


def test_mixed_precision_is_exported_as_float32(
    network: keras.Model, paths: dict[str, Path]
) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = models.build_light_sernet(Settings(), len(CLASSES))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(network.get_weights())
    features = speechlike_features(4, seed=3)
    found = export.in_float32(mixed).predict(features, verbose=0)
    np.testing.assert_array_equal(found, network.predict(features, verbose=0))


def test_other_inputs_and_kernels(tmp_path: Path) -> None:
    front_end = FrontEnd(input_type="mel_spectrogram", duration_s=0.5)
    settings = Settings(front_end=front_end, network=Network(path_kernels="9x1,1x11"))
    features = np.random.RandomState(1).normal(-5, 3, (4, *front_end.input_shape))
    paths = export_models(
        models.build_light_sernet(settings, 3),
        ExportJob(
            folder=tmp_path,
            stem="toy",
            classes=("a", "b", "c"),
            front_end=front_end,
            calibration=features.astype(np.float32),
            origin={},
            with_audio=True,
        ),
    )
    plain, audio = (load_model(paths[name]) for name in ("int8", "fuse_int8"))
    assert plain.front_end == audio.front_end == front_end
    samples = RANDOM.uniform(-0.5, 0.5, 9_000)
    answers = [predict_utterance(model, samples) for model in (audio, plain)]
    np.testing.assert_allclose(*answers, atol=2.5 / 256)


REEXPORT = """
import sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/export"]
import keras
import test_export
from utils.export.convert import export_models
folder = Path(sys.argv[1])
network = keras.models.load_model(folder / "weights.keras", compile=False)
print("begin"); print("begin", file=sys.stderr)
export_models(network, test_export.job(folder))
"""


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)
def test_fresh_process_exports_the_same_bytes_in_silence(
    network: keras.Model, paths: dict[str, Path], tmp_path: Path
) -> None:
    network.save(tmp_path / "weights.keras")
    done = subprocess.run(
        [sys.executable, "-c", REEXPORT, tmp_path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "begin\n"
    assert done.stderr.split("begin\n")[1] == ""
    for path in paths.values():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
