"""The int8 network on TensorFlow Lite Micro: memory, answers, the command."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from c_programs import (
    QUANTISATION,
    build,
    expected_rows,
    read_recordings,
    run_driver,
    tool,
)

from hyperparameters import FrontEnd, InputError
from utils.audio.scale import Moments
from utils.export import microcontroller
from utils.export.flatbuffer import pack, unpack
from utils.export.microcontroller import (
    litert_answers,
    load_int8,
    micro_answers,
    smallest_arena_bytes,
)
from utils.export.tile_choice import choose_tiling
from utils.export.tiling import tile, tile_file
from utils.files import PROJECT
from utils.model_files.metadata import (
    attach_metadata,
    read_metadata,
    without_metadata,
)
from utils.model_files.tflite import TILED
from utils.model_files.voice_file import Voice, save_voice

SHIPPED = PROJECT / "inference_tests"
FRONT_END_HEADER = "light_sernet_front_end.h"
INT8 = SHIPPED / "EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
LARGEST_ARENA_BYTES = 2**17
ENOUGH_BYTES = 500_000
A_DOZEN = slice(None, None, 45)  # of 535


@pytest.fixture(scope="module")
def plain() -> bytes:
    """The shipped int8 network."""
    pytest.importorskip("tflite_micro", reason="needs requirements-microcontroller.txt")
    return without_metadata(INT8.read_bytes())


@pytest.fixture(scope="module")
def tiled(plain: bytes) -> bytes:
    return tile(plain)


def test_smallest_arena_is_exact(plain: bytes, tiled: bytes) -> None:
    arena_bytes = smallest_arena_bytes(tiled)
    assert arena_bytes <= LARGEST_ARENA_BYTES < 380_000 < smallest_arena_bytes(plain)
    estimate = choose_tiling(unpack(plain)).arena_bytes
    assert estimate == pytest.approx(arena_bytes, rel=0.02)
    inputs = np.zeros((1, 184, 40, 1), np.int8)
    assert micro_answers(tiled, inputs, arena_bytes).shape == (1, 7)
    with pytest.raises(RuntimeError, match="failed to allocate"):
        micro_answers(tiled, inputs, arena_bytes - 1)


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(A_DOZEN, id="a dozen"),
        pytest.param(slice(None), id="all", marks=pytest.mark.proof),
    ],
)
def test_recordings_of_emo_db(
    chosen: slice, plain: bytes, tiled: bytes, emo_db_dir: Path, tmp_path: Path
) -> None:
    """Tiles change no bit; the front-end in C changes no class."""
    front_end = FrontEnd()
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[chosen]
    recordings = read_recordings(paths)
    assert load_int8(INT8).interpreter.get_input_details()[0]["quantization"] == (
        pytest.approx(QUANTISATION)
    )
    rows = expected_rows(front_end, recordings)[..., None]
    expected = micro_answers(logits_of(plain), rows, ENOUGH_BYTES)
    assert np.ptp(expected.astype(int), axis=0).min() > 30  # else equality means little
    found = micro_answers(logits_of(tiled), rows, LARGEST_ARENA_BYTES)
    np.testing.assert_array_equal(found, expected)
    steps = found.astype(int) - litert_answers(logits_of(tiled), rows)
    assert np.abs(steps).max() <= 1
    program = build(tmp_path, front_end, [tool("gcc"), "-O2"])
    rows_in_c = run_driver([program], tmp_path, front_end, recordings).rows[..., None]
    in_c = micro_answers(logits_of(tiled), rows_in_c, LARGEST_ARENA_BYTES)
    assert in_c.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()


def logits_of(content: bytes) -> bytes:
    """A network without its softmax, which hides small differences."""
    model = unpack(content)
    [graph] = model.subgraphs
    softmax = graph.operators.pop()
    graph.outputs = [softmax.inputs[0]]
    model.signatureDefs = None
    return pack(model)


@pytest.mark.parametrize("kind", ["fuse_int8", "float32"])
def test_model_of_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="must take features and be int8"):
        load_int8(INT8.with_name(INT8.name.replace("int8", kind)))


def test_missing_operator_is_one_line(plain: bytes) -> None:
    fused = INT8.with_name(INT8.name.replace("int8", "fuse_int8"))
    with pytest.raises(InputError, match="does not support all operators"):
        smallest_arena_bytes(fused.read_bytes())


@pytest.mark.parametrize("is_tiled", [False, True])
def test_command_writes_the_tiled_network(
    is_tiled: bool,
    tiled: bytes,
    tone_wav: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / INT8.name
    path.write_bytes(INT8.read_bytes())
    source = tile_file(path) if is_tiled else path
    folder = tmp_path / "firmware"
    recordings = [str(tone_wav)] if is_tiled else []
    options = ["--output_dir", str(folder)]
    assert microcontroller.main([str(source), *recordings, *options]) == 0
    assert "#define LS_IS_SCALED 0" in (folder / FRONT_END_HEADER).read_text()
    arena_bytes = smallest_arena_bytes(tiled)
    shown = capsys.readouterr().out
    assert f"smallest arena: {arena_bytes:,} bytes" in shown
    compared = f"on {1 if is_tiled else 7} segments: 0 int8 steps"
    header = (folder / "light_sernet_model.h").read_text()
    assert f"#define LIGHT_SERNET_ARENA_BYTES {arena_bytes}\n" in header
    assert f"#define LIGHT_SERNET_MODEL_BYTES {len(tiled)}\n" in header
    for text in (shown, (folder / "README.md").read_text()):
        assert compared in text


def test_command_scales_features_to_a_voice(
    tiled: bytes, tmp_path: Path, tone_wav: Path
) -> None:
    scales = {"mean": [1.5] * 40, "deviation": [3.0] * 40}
    described = (read_metadata(INT8) or {}) | {
        "precision": TILED,
        "voices": scales | {"recordings_needed": [1.0] * 40},
    }
    path, folder, voice = tmp_path / INT8.name, tmp_path / "out", tmp_path / "anna.json"
    path.write_bytes(attach_metadata(tiled, described))
    moments = Moments(1, 1, np.full(40, 8.5), np.full(40, 8.5**2))
    save_voice(voice, Voice(front_end=FrontEnd(), speech_s=9.0, moments=moments))
    command = [str(path), str(tone_wav), "--output_dir", str(folder)]
    tables = folder / "light_sernet_front_end_tables.h"
    for options, mean, text in (
        ([], "1.5f", "a typical voice"),
        (["--voice", str(voice)], "5.0f", "scale of anna"),  # half of both
    ):
        assert microcontroller.main(command + options) == 0
        assert "#define LS_IS_SCALED 1" in (folder / FRONT_END_HEADER).read_text()
        [first] = re.findall(r"ls_means\[.*\] = {\s+([^,]+),", tables.read_text())
        assert first == mean
        assert text in (folder / "README.md").read_text()


def test_without_tflite_micro_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(InputError, match=r"requirements-microcontroller\.txt"):
        smallest_arena_bytes(b"")
