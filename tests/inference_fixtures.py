"""A pytest plugin, for the modules that name it: small models and a recording."""

from pathlib import Path

import numpy as np
import pytest
from small_models import RATE_HZ, babble, write, write_models

from utils.inference.classify import ModelPerThread
from utils.model_files import catalog as card
from utils.model_files.tflite import load_model


@pytest.fixture
def models_dir(tmp_path_factory, monkeypatch) -> Path:
    """Stands for inference_tests/: small models with a card."""
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    monkeypatch.setattr(card, "MODELS_DIR", folder)
    return folder


@pytest.fixture
def plain(models_dir) -> ModelPerThread:
    return ModelPerThread(lambda: load_model(models_dir / "plain.tflite"))


@pytest.fixture
def talk(tmp_path) -> Path:
    """3 s of sound, 4 s of faint noise, 2 s of zeros, 1.5 s of sound."""
    parts = [babble(3.0), babble(4.0, 1) * 0.01, np.zeros(2 * RATE_HZ), babble(1.5, 2)]
    return write(tmp_path / "talk.wav", np.concatenate(parts), "FLOAT")
