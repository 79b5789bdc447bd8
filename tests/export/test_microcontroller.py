"""The int8 network on TensorFlow Lite Micro, and its C files."""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import test_export

from hyperparameters import InputError
from utils.audio.wav import read_wav
from utils.export import microcontroller
from utils.export.c_source import TEMPLATES, CModel, write_c_files
from utils.export.convert import export_models
from utils.export.flatbuffer import unpack
from utils.export.microcontroller import (
    litert_answers,
    load_int8,
    micro_answers,
    smallest_arena_bytes,
)
from utils.export.tile_choice import choose_tiling
from utils.model_files.interpreter import quantise
from utils.model_files.metadata import without_metadata
from utils.model_files.tflite import TILED, file_name, model_inputs

CLASSES = test_export.CLASSES


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full-int8 network at 3 s."""
    folder = tmp_path_factory.mktemp("micro")
    job = test_export.job(folder)
    network: keras.Model = test_export.build_network()
    return export_models(network, job)["int8"]


@pytest.fixture(scope="module")
def content(path: Path) -> bytes:
    pytest.importorskip("tflite_micro", reason="needs pip install --pre tflite-micro")
    return path.read_bytes()


def test_smallest_arena_is_exact(content: bytes) -> None:
    arena_bytes = smallest_arena_bytes(content)
    assert 380_000 < arena_bytes < 450_000
    inputs = np.zeros((1, 184, 40, 1), np.int8)
    assert micro_answers(content, inputs, arena_bytes).shape == (1, 7)
    with pytest.raises(RuntimeError, match="failed to allocate"):
        micro_answers(content, inputs, arena_bytes - 1)


def test_tiled_network_needs_a_third_of_the_memory(content: bytes, path: Path) -> None:
    plain = without_metadata(content)
    tiled = without_metadata(path.with_name(file_name("toy_3.0s", TILED)).read_bytes())
    arena_bytes = smallest_arena_bytes(tiled)
    assert arena_bytes <= 131_072
    estimate = choose_tiling(unpack(plain)).arena_bytes
    assert estimate == pytest.approx(arena_bytes, rel=0.02)
    features = test_export.speechlike_features(3, seed=6)
    source = load_int8(path).interpreter.get_input_details()[0]
    inputs = quantise(features, source)
    found = micro_answers(tiled, inputs, arena_bytes)
    np.testing.assert_array_equal(found, micro_answers(plain, inputs, 500_000))


def test_command_takes_a_tiled_file(
    content: bytes, path: Path, tone_wav: Path, tmp_path: Path
) -> None:
    tiled = path.with_name(file_name("toy_3.0s", TILED))
    arguments = [str(tiled), str(tone_wav), "--output_dir", str(tmp_path)]
    assert microcontroller.main(arguments) == 0
    text = (tmp_path / "light_sernet_classify.cc").read_text()
    for method in ("AddPad", "AddSlice", "AddConcatenation"):
        assert f"resolver.{method}() == kTfLiteOk" in text


@pytest.mark.parametrize("kind", ["synthetic", "real speech"])
def test_answers_are_those_of_litert(
    content: bytes, path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    features = test_export.speechlike_features(6, seed=5)
    model = load_int8(path)
    if kind == "real speech":
        folder: Path = request.getfixturevalue("emo_db_dir") / "EMO-DB"
        recordings = (read_wav(p, 16_000) for p in sorted(folder.rglob("*.wav"))[::40])
        features = np.concatenate([model_inputs(model, r) for r in recordings])
    inputs = quantise(features, model.interpreter.get_input_details()[0])
    micro = micro_answers(content, inputs, 500_000).astype(int)
    assert np.ptp(micro, axis=0).max() > 30  # otherwise equality would mean little
    assert np.abs(micro - litert_answers(content, inputs)).max() <= 1


@pytest.mark.parametrize("other", ["fuse_int8", "float32"])
def test_model_of_another_kind_is_refused(path: Path, other: str) -> None:
    with pytest.raises(InputError, match="must take features and be int8"):
        load_int8(path.with_name(path.name.replace("int8", other)))


def test_missing_operator_is_one_line(content: bytes, path: Path) -> None:
    fused = path.with_name(path.name.replace("int8", "fuse_int8"))
    with pytest.raises(InputError, match="does not support all operators"):
        smallest_arena_bytes(fused.read_bytes())


def test_command_proves_and_writes(
    content: bytes,
    path: Path,
    tone_wav: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(path), str(tone_wav), "--output_dir", str(tmp_path / "c")]
    assert microcontroller.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"smallest arena: {smallest_arena_bytes(content):,} bytes" in shown
    assert "CONV_2D, FULLY_CONNECTED, MEAN, SOFTMAX" in shown
    assert "largest difference from LiteRT on 1 segments: 0 int8 steps" in shown
    assert len(list((tmp_path / "c").iterdir())) == len(list(TEMPLATES.glob("*.*")))
    header = (tmp_path / "c" / "light_sernet_model.h").read_text()
    size = len(without_metadata(content))
    assert size < len(content)
    assert f"#define LIGHT_SERNET_MODEL_BYTES {size}\n" in header


def test_without_tflite_micro_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(InputError, match=r"requirements-microcontroller\.txt"):
        smallest_arena_bytes(b"")


C_MODEL = CModel(
    content=bytes(range(256)) * 3 + b"\0\xff\x80",
    classes=("joy", 'qu"ote'),
    operators=("AVERAGE_POOL_2D", "FULLY_CONNECTED", "MEAN"),
    arena_bytes=1_234,
    input_shape=(1, 184, 40, 1),
    input_quantisation=(0.078, -1),
    output_quantisation=(1 / 256, -128),
)
DUMP = """
#include <stdio.h>
#include "light_sernet_model.h"
int main(void) {
  fwrite(light_sernet_model, 1, sizeof light_sernet_model, stdout);
  fputs(light_sernet_classes[LIGHT_SERNET_NUM_CLASSES - 1], stderr);
  return ((unsigned long)light_sernet_model % 16 == 0 &&
          LIGHT_SERNET_ARENA_BYTES == 1234 && LIGHT_SERNET_NUM_FEATURES == 40 &&
          LIGHT_SERNET_OUTPUT_SCALE * (127 - LIGHT_SERNET_OUTPUT_ZERO_POINT) < 1.0f)
             ? 0 : 1;
}
"""


@pytest.fixture
def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("needs a C compiler (gcc or cc)")
    return found


def compiled(compiler: str, folder: Path, main: str) -> Path:
    """Compile the array with a program that uses it, warnings being errors."""
    (folder / "main.c").write_text(main)
    program = folder / "program"
    flags = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    sources = [folder / "light_sernet_model.c", folder / "main.c"]
    subprocess.run([compiler, *flags, *sources, "-o", program], check=True)
    return program


def test_compiled_array_is_the_file_byte_for_byte(
    compiler: str, tmp_path: Path
) -> None:
    write_c_files(C_MODEL, tmp_path)
    program = compiled(compiler, tmp_path, DUMP)
    done = subprocess.run([program], capture_output=True, check=False)
    assert done.stdout == C_MODEL.content
    assert done.stderr == b'qu"ote'
    assert done.returncode == 0


def test_real_model_compiles_to_the_file(
    compiler: str, content: bytes, path: Path, tmp_path: Path
) -> None:
    model = load_int8(path)
    described = microcontroller.describe(model, content, 423_728)
    assert described.classes == CLASSES
    write_c_files(described, tmp_path)
    main = DUMP.replace("1234", "423728")
    done = subprocess.run(
        [compiled(compiler, tmp_path, main)], capture_output=True, check=False
    )
    assert done.stdout == content
    assert done.returncode == 0


def test_inference_loop_registers_every_operator(tmp_path: Path) -> None:
    write_c_files(C_MODEL, tmp_path)
    text = (tmp_path / "light_sernet_classify.cc").read_text()
    for method in ("AddAveragePool2D", "AddFullyConnected", "AddMean"):
        assert f"resolver.{method}() == kTfLiteOk" in text
