"""A pytest plugin for the modules that name it: small models and a recording."""

from pathlib import Path

import numpy as np
import pytest
from small_models import RATE_HZ, babble, write, write_model

from hyperparameters import FrontEnd
from utils.files import write_json
from utils.inference.classify import ModelPerThread
from utils.model_files import catalog
from utils.model_files.tflite import load_model


@pytest.fixture
def models_dir(tmp_path_factory, monkeypatch) -> Path:
    """Replaces inference_tests/: four models; the default takes MFCC of 1 s."""
    folder = tmp_path_factory.mktemp("models")
    front_end = FrontEnd(duration_s=1.0)
    write_model(folder / "plain.tflite", front_end)
    write_model(folder / "fuse.tflite", front_end, takes_audio=True)
    write_model(folder / "focal.tflite", front_end, loss_name="focal")
    mel = FrontEnd(duration_s=0.5, input_type="mel_spectrogram")
    write_model(folder / "mel.tflite", mel, audio_type="impro")
    content = catalog.build_catalog(folder, "plain.tflite")
    write_json(folder / catalog.CATALOG_NAME, content)
    monkeypatch.setattr(catalog, "MODELS_DIR", folder)
    return folder


@pytest.fixture
def plain(models_dir) -> ModelPerThread:
    return ModelPerThread(lambda: load_model(models_dir / "plain.tflite"))


@pytest.fixture
def talk(tmp_path) -> Path:
    """3 s of sound, 4 s of faint noise, 2 s of zeros, 1.5 s of sound."""
    parts = [babble(3.0), babble(4.0, 1) * 0.01, np.zeros(2 * RATE_HZ), babble(1.5, 2)]
    return write(tmp_path / "talk.wav", np.concatenate(parts), "FLOAT")
