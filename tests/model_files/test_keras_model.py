"""A run's .keras file predicts like its exported model; odd ones are one line."""

import base64
import functools
import io
import json
import marshal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged, put_odd_value
from fuzzing import fuzz, line_of
from small_models import CLASSES, RATE_HZ, babble, classify_json, error_of, write

from hyperparameters import FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_wav
from utils.model_files.keras_model import load_keras_model

pytest_plugins = ["inference_fixtures"]
# from Keras itself, in its TensorFlow backend
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
FRONT_END = FrontEnd(duration_s=1.0)
LABELS = ",".join(CLASSES)
CONFIG = {
    "classes": list(CLASSES),
    "settings": {"duration_s": 1.0},
    "corpus": {"name": "TOYS"},
    "num_folds": 1,
    "hash": "0123abcd",
}


def small_keras(activation: str = "softmax", front_end: FrontEnd = FRONT_END) -> Any:
    """The mean of the features and one dense layer."""
    import keras

    inputs = keras.Input(front_end.input_shape)
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    outputs = keras.layers.Dense(3, activation=activation, name="last")(pooled)
    return keras.Model(inputs, outputs)


@pytest.fixture
def fold(tmp_path):
    """The folder of a fold, in a run with a configuration."""
    fold = tmp_path / "run" / "folds" / "fold_00"
    fold.mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps(CONFIG))
    return fold


def test_a_keras_model_of_a_run_answers(models_dir, fold, tmp_path, capsys):
    model = small_keras()
    model.save(fold / "weights.keras")
    path = write(tmp_path / "a.wav", babble(1.4))
    [answer] = classify_json(capsys, "-fn", path, "--model", fold / "weights.keras")
    segments = from_pcm16(prepare(read_wav(path, RATE_HZ), FRONT_END))
    expected = model.predict(compute_features(segments, FRONT_END), verbose=0)[0]
    np.testing.assert_allclose(
        list(answer["probabilities"].values()), expected, atol=1e-6
    )
    assert load_keras_model(fold / "weights.keras").trained_on == "TOYS"
    alone = tmp_path / "alone.keras"
    model.save(alone)
    foreign = {"model_type": "another program's", "command": ["python", "it.py"]}
    (tmp_path / "config.json").write_text(json.dumps(foreign))
    message = error_of(capsys, "-fn", path, "--model", alone)
    assert "does not name its classes" in message


@pytest.mark.parametrize("activation", ["linear", "log_softmax", "sigmoid", "NaN"])
def test_outputs_that_are_no_probabilities_are_refused(fold, activation):
    model = small_keras("softmax" if activation == "NaN" else activation)
    if activation == "NaN":
        kernel, bias = model.get_layer("last").get_weights()
        model.get_layer("last").set_weights([kernel * np.nan, bias])
    path = fold / "weights.keras"
    model.save(path)
    loaded = load_keras_model(path)
    batch = np.random.RandomState(0).normal(0, 3, (2, *FRONT_END.input_shape))
    with pytest.raises(InputError, match=r"weights\.keras: returns "):
        loaded.predict(batch.astype(np.float32))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "\x1b[2J", "c"], "must be printable"),
        (["a", "b", "B"], "each class once"),
        (["a", "b", 3], "'classes' must be a list"),
    ],
)
def test_classes_of_a_run_are_checked(fold, tmp_path, classes, message):
    small_keras().save(fold / "weights.keras")
    changed = json.dumps(CONFIG | {"classes": classes})
    (tmp_path / "run" / "config.json").write_text(changed)
    with pytest.raises(InputError, match=message) as caught:
        load_keras_model(fold / "weights.keras")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        *(({"segment_mode": v}, "segment_mode must be") for v in (True, 2.0, "2", 3)),
        ({"segment_mode": [2]}, "'settings' must be an object"),
        ({"segment_mode": 10**400}, "'settings' must be an object"),
        ({"duration_s": 1e308}, "input_durations must be at most 3600"),
        ({"hearing": 2}, "no such setting: hearing"),
    ],
)
def test_settings_of_a_run_are_checked(fold, tmp_path, setting, message):
    small_keras().save(fold / "weights.keras")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(CONFIG | {"settings": {"duration_s": 1.0, **setting}}))
    with pytest.raises(InputError, match=message) as caught:
        load_keras_model(fold / "weights.keras")
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(("mode", "heard"), [(0, 1), (1, 1), (2, 2)])
def test_a_model_hears_as_its_run_did(fold, tmp_path, mode, heard):
    """Whole segments one after another (0) are no way to hear a recording."""
    small_keras().save(fold / "weights.keras")
    settings = {"duration_s": 1.0, "segment_mode": mode}
    changed = json.dumps(CONFIG | {"settings": settings})
    (tmp_path / "run" / "config.json").write_text(changed)
    assert load_keras_model(fold / "weights.keras").segment_mode == heard


def repacked(path, **changes: bytes) -> bytes:
    """A `.keras` file with other members; names without their dots."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            key = name.replace(".", "_")
            new.writestr(name, changes.get(key, old.read(name)))
    return buffer.getvalue()


def with_layers(path, **values: Any) -> bytes:
    """A `.keras` file whose dense layer has other values."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][-1]["config"].update(values)
    return repacked(path, config_json=json.dumps(config).encode())


def huge_weights(path) -> bytes:
    """A `.keras` file whose weights claim 40 GB."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "a") as file:
        file.create_dataset("more", (10**10,), "f4", chunks=(1000,))
    return repacked(path, model_weights_h5=buffer.getvalue())


def without_weights(path, group: str, new: str | None = None) -> bytes:
    """A `.keras` file whose weights lack a group, or have it under another name."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "a") as file:
        if new:
            file.move(group, new)
        else:
            del file[group]
    return repacked(path, model_weights_h5=buffer.getvalue())


def of_many_files(path) -> bytes:
    buffer = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(50):
            archive.writestr(f"{number}", b"")
    return buffer.getvalue()


SPOILT = {
    "cut": lambda path: path.read_bytes()[:1000],
    "empty": lambda path: b"",
    "no ZIP": lambda path: b"RIFF" * 300,
    "a billion units": lambda path: with_layers(path, units=10**9),
    "a strange unit": lambda path: with_layers(path, units="\x1b[2J"),
    "half the layer": lambda path: with_layers(path, units=None),
    "huge configuration": lambda path: repacked(path, config_json=b" " * (2**20 + 1)),
    "no JSON": lambda path: repacked(path, config_json=b"{"),
    "deep JSON": lambda path: repacked(path, config_json=b"[" * 500_000),
    "another object": lambda path: repacked(path, config_json=b"[1]"),
    "huge weights": huge_weights,
    "no weights": lambda path: repacked(path, model_weights_h5=b"\x89HDF"),
    "many files": of_many_files,
    "no group of layers": lambda path: without_weights(path, "layers"),
    "no group of a layer": lambda path: without_weights(path, "layers/dense"),
    "another layer's": lambda path: without_weights(path, "layers", "others"),
    "no bias": lambda path: without_weights(path, "layers/dense/vars/1"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_or_hostile_file_is_one_line(tmp_path, kind):
    path = tmp_path / "m.keras"
    small_keras(front_end=FrontEnd()).save(path)
    assert load_keras_model(path, LABELS).classes == CLASSES
    path.write_bytes(SPOILT[kind](path))
    with pytest.raises(InputError, match=r"m\.keras: ") as caught:
        load_keras_model(path, LABELS)
    assert str(caught.value).isprintable()


def test_no_lacking_weight_is_drawn_at_random(models_dir, tmp_path, capsys):
    """Keras itself only warns, and the answers would be those of chance."""
    import h5py
    import keras

    inputs = keras.Input(FRONT_END.input_shape)
    body = keras.layers.Conv2D(2, 3)(inputs)
    body = keras.layers.BatchNormalization()(body)
    body = keras.layers.GlobalAveragePooling2D()(body)
    outputs = keras.layers.Dense(3, activation="softmax")(body)
    whole, path = tmp_path / "whole.keras", tmp_path / "m.keras"
    keras.Model(inputs, outputs).save(whole)
    with zipfile.ZipFile(whole) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    names: list[str] = []
    with h5py.File(weights) as file:
        file.visititems(
            lambda name, item: names.append(name) if hasattr(item, "shape") else None
        )
    assert len(names) == 8  # kernels and biases, scale, offset, mean and variance
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    clip = write(tmp_path / "a.wav", babble(1.4))
    [answer] = classify_json(capsys, "-fn", clip, "--model", whole)
    assert answer["class"] in CLASSES
    spoilt = [without_weights(whole, name) for name in names]
    spoilt += [without_weights(whole, name, f"{name}x") for name in names[:2]]
    spoilt.append(repacked(whole, model_weights_h5=b""))
    for content in spoilt:
        path.write_bytes(content)
        message = error_of(capsys, "-fn", clip, "--model", path)
        assert message.startswith(f"{path}: cannot be loaded by Keras (")


def lambda_layer(mark: Path) -> dict[str, Any]:
    """A layer whose Python code, in marshalled form, writes a file."""
    code = compile(f"lambda x: open({str(mark)!r}, 'w')", "x", "eval").co_consts[0]
    text = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__lambda__", "config": {"code": text}}
    function["config"] |= {"defaults": None, "closure": None}
    return {
        "class_name": "Lambda",
        "module": "keras.layers",
        "config": {"name": "last", "function": function, "output_shape": [3]},
    }


def call(module: str, name: str) -> dict[str, Any]:
    """What Keras writes for a function of a module."""
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def instance(module: str, name: str, **config: Any) -> dict[str, Any]:
    """What Keras writes for an object of a class of a module."""
    return {"module": module, "class_name": name, "config": config}


ATTACKS = {
    "Lambda": lambda_layer,
    "function of os": lambda mark: {"config": {"activation": call("os", "system")}},
    "builtin": lambda mark: {"config": {"activation": call("builtins", "exec")}},
    "Popen": lambda mark: {
        "config": {
            "kernel_initializer": instance(
                "subprocess", "Popen", args=["touch", str(mark)]
            )
        }
    },
    "layer of subprocess": lambda mark: instance(
        "subprocess", "Popen", args=["touch", str(mark)]
    ),
    "layer of os": lambda mark: instance("os", "system", command=f"touch {mark}"),
    "module of ours": lambda mark: instance(
        "utils.files", "write_atomic", path=str(mark), write="x"
    ),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_code_in_a_file_is_not_executed(tmp_path, kind):
    path, mark = tmp_path / "m.keras", tmp_path / "mark"
    small_keras(front_end=FrontEnd()).save(path)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    layer, attack = config["config"]["layers"][-1], ATTACKS[kind](mark)
    if set(attack) == {"config"}:
        layer["config"] |= attack["config"]
    else:
        layer |= attack
    path.write_bytes(repacked(path, config_json=json.dumps(config).encode()))
    with pytest.raises(InputError, match=r"m\.keras: cannot be loaded by Keras"):
        load_keras_model(path, LABELS)
    assert not mark.exists()


@functools.cache
def whole_keras(folder: Path) -> tuple[Path, dict[str, bytes]]:
    """A `.keras` file and its members."""
    path = folder / "whole.keras"
    small_keras(front_end=FrontEnd()).save(path)
    with zipfile.ZipFile(path) as archive:
        return path, {name: archive.read(name) for name in archive.namelist()}


def try_damaged_keras(folder: Path, number: int) -> str:
    """Load a file with damage in the configuration, the weights or the archive."""
    whole, members = whole_keras(folder)
    random, changes = np.random.RandomState(number), {}
    if number % 3 == 0:
        config = json.loads(members["config.json"])
        put_odd_value(config, random)
        changes["config_json"] = json.dumps(config).encode()
    elif number % 3 == 1:
        weights = damaged(members["model.weights.h5"], random)
        changes["model_weights_h5"] = weights
    path, content = folder / "m.keras", repacked(whole, **changes)
    path.write_bytes(content if changes else damaged(content, random))
    batch = np.ones((1, *FrontEnd().input_shape), np.float32)
    try:
        load_keras_model(path, LABELS).predict(batch)
    except InputError as error:
        return line_of(error, path)
    return "answered"


@pytest.mark.parametrize("count", [12, pytest.param(1_000, marks=pytest.mark.proof)])
def test_damaged_files_answer_or_are_one_line(tmp_path, count):
    found = fuzz(try_damaged_keras, count, tmp_path)
    assert count / 4 < found["refused"] < count
