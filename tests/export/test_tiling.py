"""The tiled network: same answers, little work, a small file, a sound memory plan."""

import itertools
import math
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import test_export
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import models
from hyperparameters import FrontEnd, InputError, Network, Settings
from utils.export import convert as export
from utils.export import tiling
from utils.export.flatbuffer import unpack
from utils.export.memory_plan import (
    METADATA_NAME,
    aligned,
    graph_operations,
    live_ranges,
    peak_bytes,
)
from utils.export.tile_choice import MOST_TILES, choose_tiling
from utils.export.tiling import tile, tile_file
from utils.model_files.metadata import attach_metadata, read_metadata
from utils.model_files.tflite import file_name, load_model

SETTINGS = {
    "MFCC, 3 s": Settings(),
    "odd number of frames": Settings(front_end=FrontEnd(duration_s=0.71)),
    "mel, two paths": Settings(
        front_end=FrontEnd(input_type="mel_spectrogram", duration_s=0.5),
        network=Network(path_kernels="9x1,1x11"),
    ),
    "even kernels": Settings(
        front_end=FrontEnd(duration_s=1.0), network=Network(path_kernels="4x2,1x6,2x3")
    ),
    "one path": Settings(
        front_end=FrontEnd(duration_s=0.3), network=Network(path_kernels="3x3")
    ),
}


@cache
def int8_network(settings: Settings) -> bytes:
    """A network that is not trained, in full int8."""
    shape = settings.front_end.input_shape
    values = np.random.RandomState(1).normal(0, 3, (8, *shape)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PRECISIONS", ("float32", "int8"))
        network = (
            test_export.build_network()
            if settings == Settings()
            else models.build_light_sernet(settings, 3)
        )
        return export.convert(network, values)["int8"]


@pytest.fixture(scope="module", params=SETTINGS)
def content(request: pytest.FixtureRequest) -> bytes:
    return int8_network(SETTINGS[request.param])


@pytest.fixture(scope="module")
def mfcc() -> bytes:
    return int8_network(SETTINGS["MFCC, 3 s"])


def layer_values(content: bytes, inputs: np.ndarray) -> list[np.ndarray]:
    """Logits and probabilities on reference kernels."""
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    operators = graph_operations(unpack(content))
    found = []
    for value in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        # from the global pooling on: many values, so a wrong row shows
        found += [interpreter.get_tensor(output) for _, output in operators[-3:]]
    return found


@pytest.mark.parametrize("num_tiles", [None, 1, 2, 5])
def test_answers_are_equal_bit_for_bit(content: bytes, num_tiles: int | None) -> None:
    shape = unpack(content).subgraphs[0].tensors[0].shape
    random = np.random.RandomState(2)
    inputs = np.stack(
        [
            random.randint(-128, 128, shape),
            random.randint(-128, 128, shape) // 4,
            np.full(shape, 127),
        ]
    ).astype(np.int8)
    expected = layer_values(content, inputs)
    found = layer_values(tile(content, num_tiles), inputs)
    assert len(np.unique(expected[0])) > 20  # otherwise equality would mean little
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("rows", "stride"), [(60, 3), (61, 3), (62, 3), (61, 4), (63, 4)]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_network_of_another_project(rows: int, stride: int, channels: int) -> None:
    """Tiled, with the same answers, or refused: padding may stand before the rows."""
    source = keras.Input((rows, 12, channels))
    layer = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(source)
    layer = keras.layers.AveragePooling2D(stride, padding="same")(layer)
    layer = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(layer)
    layer = keras.layers.GlobalAveragePooling2D()(layer)
    network = keras.Model(source, keras.layers.Dense(3, activation="softmax")(layer))
    random = np.random.RandomState(1)
    values = random.normal(0, 3, (8, rows, 12, channels)).astype(np.float32)
    content = quantised(network, values)
    if -rows % stride >= 2:
        with pytest.raises(InputError):
            tile(content, 4)
        return
    inputs = random.randint(-128, 128, (3, 1, rows, 12, channels)).astype(np.int8)
    expected, found = (layer_values(c, inputs) for c in (content, tile(content, 4)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def quantised(network: keras.Model, values: np.ndarray) -> bytes:
    """Full int8, by TensorFlow's own converter."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([value[None]] for value in values)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def test_memory_plan_is_sound_and_tight(content: bytes) -> None:
    model = unpack(tile(content))
    [graph] = model.subgraphs
    [entry] = [e for e in model.metadata if e.name == METADATA_NAME]
    version, subgraph, count, *offsets = np.frombuffer(
        bytes(model.buffers[entry.buffer].data), np.int32
    ).tolist()
    assert (version, subgraph, count) == (0, 0, len(graph.tensors))
    assert len(offsets) == count
    operations = graph_operations(model)
    ranges = live_ranges(operations, [int(i) for i in graph.outputs])
    assert {i for i, offset in enumerate(offsets) if offset >= 0} == set(ranges)

    def size(tensor: int) -> int:
        return aligned(math.prod(graph.tensors[tensor].shape))

    for one, other in itertools.combinations(ranges, 2):
        (first, last), (start, stop) = ranges[one], ranges[other]
        is_apart = offsets[one] + size(one) <= offsets[other]
        is_apart |= offsets[other] + size(other) <= offsets[one]
        assert is_apart or last < start or stop < first
    needed = max(offsets[tensor] + size(tensor) for tensor in ranges)
    assert needed <= 1.02 * peak_bytes(ranges, size)


def test_work_size_and_tiles_of_the_published_network(mfcc: bytes) -> None:
    chosen = choose_tiling(unpack(mfcc))
    assert chosen.rows[0] == 0
    assert chosen.rows[-1] == 46
    assert 1.0 < chosen.work <= 1.02
    assert chosen.arena_bytes <= 131_072
    assert len(tile(mfcc)) <= 1.05 * len(mfcc)
    for number in range(1, MOST_TILES + 1):
        other = choose_tiling(unpack(mfcc), number)
        assert len(other.rows) - 1 <= number
        assert other.arena_bytes >= chosen.arena_bytes


def test_bytes_depend_on_the_arguments_only(mfcc: bytes) -> None:
    assert tile(mfcc) == tile(mfcc)
    assert tile(mfcc) != tile(mfcc, 3)


@pytest.mark.parametrize("num_tiles", [0, MOST_TILES + 1])
def test_number_of_tiles_out_of_range(mfcc: bytes, num_tiles: int) -> None:
    with pytest.raises(InputError, match=f"1 to {MOST_TILES}, got {num_tiles}"):
        tile(mfcc, num_tiles)


def test_tiled_model_is_not_tiled_again(mfcc: bytes) -> None:
    with pytest.raises(InputError, match="cannot be computed in tiles"):
        tile(tile(mfcc))


def test_command_writes_the_model_with_its_description(
    mfcc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / file_name("toy", "int8")
    description = export.describe(test_export.job(tmp_path), "int8")
    path.write_bytes(attach_metadata(mfcc, description))
    assert tiling.main([str(path), "--tiles", "4"]) == 0
    target = tmp_path / file_name("toy", "int8_tiled")
    assert capsys.readouterr().out == f"{target}\n"
    assert read_metadata(target) == description | {"precision": "int8_tiled"}
    features = test_export.speechlike_features(3)
    found, expected = (load_model(p).predict(features) for p in (target, path))
    np.testing.assert_allclose(found, expected, atol=2 / 256)  # not reference kernels


def test_file_that_cannot_be_tiled_is_named(tmp_path: Path) -> None:
    path = Path("inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_fuse_int8.tflite")
    with pytest.raises(InputError, match=r"fuse_int8\.tflite: .*its input is not int8"):
        tile_file(path)
