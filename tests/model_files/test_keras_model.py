"""A run's .keras file predicts like its exported model."""

import json

import numpy as np
import pytest
from small_models import CLASSES, RATE_HZ, babble, classify_json, error_of, write

from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_wav
from utils.model_files.keras_model import load_keras_model

pytest_plugins = ["inference_fixtures"]


@pytest.mark.filterwarnings(  # from Keras itself, in its TensorFlow backend
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
def test_a_keras_model_of_a_run_answers(models_dir, tmp_path, capsys):
    import keras

    front_end = FrontEnd(duration_s=1.0)
    inputs = keras.Input(front_end.input_shape)
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))
    fold = tmp_path / "run" / "folds" / "fold_00"
    fold.mkdir(parents=True)
    model.save(fold / "weights.keras")
    config = {
        "classes": list(CLASSES),
        "settings": {"duration_s": 1.0},
        "corpus": {"name": "TOYS"},
        "num_folds": 1,
        "hash": "0123abcd",
    }
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    path = write(tmp_path / "a.wav", babble(1.4))
    [answer] = classify_json(capsys, "-fn", path, "--model", fold / "weights.keras")
    segments = from_pcm16(prepare(read_wav(path, RATE_HZ), front_end))
    expected = model.predict(compute_features(segments, front_end), verbose=0)[0]
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
    alone.write_bytes(alone.read_bytes()[:1000])
    assert "cannot be loaded by Keras" in error_of(
        capsys, "-fn", path, "--model", alone
    )
