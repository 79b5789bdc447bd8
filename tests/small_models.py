"""Small real models, recordings and the command, for inference tests."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import soundfile
from ai_edge_litert import schema_py_generated as schema
from toy_tflite import toy_model

import inference_single_file
from hyperparameters import FrontEnd
from utils.cli import run_main
from utils.model_files.metadata import METADATA_FORMAT, attach_metadata

CLASSES = ("neutral", "anxiety_fear", "anger")
RATE_HZ = 16_000
SOFTNESS = 0.002  # otherwise large weights make every probability 0 or 1


def small_model(input_shape: tuple[int, ...], classes: tuple[str, ...]) -> bytes:
    """A dense layer and a soft softmax, without metadata."""
    packed = toy_model(input_shape, len(classes))
    model = schema.ModelT.InitFromPackedBuf(packed, 0)
    model.subgraphs[0].operators[1].builtinOptions.beta = SOFTNESS
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write_model(
    path: Path, front_end: FrontEnd, *, takes_audio: bool = False, **described: Any
) -> None:
    """A model file with metadata."""
    shape = (1, front_end.duration_samples) if takes_audio else None
    content = small_model(shape or (1, *front_end.input_shape), CLASSES)
    metadata = {
        "format": METADATA_FORMAT,
        "classes": list(CLASSES),
        "front_end": dataclasses.asdict(front_end),
        "input": "audio" if takes_audio else "features",
        "corpus": {"name": "TOY", "note": ""},
        "audio_type": "all",
        "loss_name": "cross_entropy",
        "epochs": 300,
        "precision": "float32",
        **described,
    }
    path.write_bytes(attach_metadata(content, metadata))


def babble(seconds: float, seed: int = 0, rate_hz: int = 16_000) -> np.ndarray:
    """Full-band noise of changing level, rounded to 16 bits: (samples,)."""
    random = np.random.RandomState(seed)
    count = int(seconds * rate_hz)
    swell = 0.54 + 0.46 * np.sin(np.arange(count) * 2 * np.pi * 3.0 / rate_hz + seed)
    return np.rint(random.uniform(-0.4, 0.4, count) * swell * 32768) / 32768


def write(path: Path, samples: np.ndarray, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, RATE_HZ, subtype=subtype)
    return path


def classify(capsys, *words: object) -> str:
    """The output of the command, which must succeed."""
    assert inference_single_file.main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def classify_json(capsys, *words: object) -> list[dict]:
    """The `files` of the command's JSON output."""
    return json.loads(classify(capsys, *words, "--json"))["files"]


def error_of(capsys, *words: object) -> str:
    """The one-line error of the command, which must end with status 2."""
    argv = [str(word) for word in words]
    assert run_main(lambda _: inference_single_file.main(argv)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.split(": error: ")[1].removesuffix("\n")
