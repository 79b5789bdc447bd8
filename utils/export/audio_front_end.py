"""The front-end and a network joined in one `.tflite`: samples to probabilities.

The front-end is converted alone, to float32 and built-in operators; its graph then
precedes the graph of an exported network. All precisions share it, and it is never
quantised: the converter's int8 and dynamic-range modes ruin mel and DCT matrices.
"""

import copy
import math
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from hyperparameters import FrontEnd
from utils.audio.features import dct_matrix, mel_matrix, window
from utils.audio.wav import PCM16_SCALE
from utils.export.flatbuffer import code_index, code_of, pack, unpack

FULL_SCALE = PCM16_SCALE - 1.0  # of `utils.audio.wav.to_pcm16`
SCALE_INPUT = "scale"  # name of the second input, if features are standardised
Builtin = schema.BuiltinOperator
# QUANTIZE of float32 and DEQUANTIZE to float32, with their versions for int8
QUANTIZE, DEQUANTIZE = (Builtin.QUANTIZE, 1), (Builtin.DEQUANTIZE, 2)


def normalise(samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`utils.audio.prepare.normalise` and rounding to 16 bits, in a graph.

    `utils.audio.prepare.pad` has put zeros around the samples, half on each side, the
    odd one at the end. The percentile leaves them out. If the recording itself begins
    and ends with zeros, those count as padding too.

    float32 rounds about one sample in 10,000 to the neighbouring 16-bit step.

    Args:
        samples: (1, duration_samples), float32, cut and padded.
        front_end: Percentile and length.

    Returns:
        Same shape, float32, within ±1.
    """
    steps = tf.round(samples * (FULL_SCALE / _level(samples, front_end)))
    return tf.clip_by_value(steps, -FULL_SCALE, FULL_SCALE) / PCM16_SCALE


def _level(samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Percentile of the absolute samples, interpolated as in NumPy; (), float32."""
    length = front_end.duration_samples
    share_above = 1.0 - front_end.normalise_percentile / 100.0
    kept = min(length, math.ceil((length - 1) * share_above) + 2)
    loudest = tf.math.top_k(tf.abs(samples[0]), kept).values
    rank = tf.maximum(0.0, length - 1 - _padding_samples(samples)) * share_above
    whole = tf.floor(rank)
    louder, quieter = (
        tf.gather(loudest, tf.cast(whole, tf.int32) + step) for step in (0, 1)
    )
    level = louder - (rank - whole) * (louder - quieter)
    return level + np.finfo(np.float64).eps  # silence is not divided by zero


def _padding_samples(samples: tf.Tensor) -> tf.Tensor:
    """Number of zeros that padding added on both sides together, (), float32."""
    is_sound = tf.cast(tf.not_equal(samples, 0.0), tf.float32)
    before, after = (
        tf.reduce_sum(
            tf.cast(tf.equal(tf.cumsum(is_sound, 1, reverse=end), 0.0), tf.float32)
        )
        for end in (False, True)
    )
    return tf.minimum(before + after, tf.minimum(2.0 * before + 1.0, 2.0 * after))


def features(
    samples: tf.Tensor, front_end: FrontEnd, scale: tf.Tensor | None = None
) -> tf.Tensor:
    """`utils.audio.features.compute_features` in TFLite's built-in operators.

    Args:
        samples: (1, duration_samples), float32, normalised.
        front_end: Input type and constants.
        scale: (2, num_features), float32: mean and standard deviation, by which
            `utils.audio.scale.Scale.apply` standardises; None does not.

    Returns:
        (1, num_frames, num_features, 1), float32.
    """
    length, hop = front_end.frame_length_samples, front_end.hop_samples
    frames = tf.signal.frame(samples, length, hop)
    frames *= window(front_end).astype(np.float32)
    values = tf.abs(tf.signal.rfft(frames, [front_end.fft_size]))
    if front_end.input_type != "spectrogram":
        matrix = mel_matrix(front_end).astype(np.float32)
        rows = np.flatnonzero(matrix.any(axis=1))  # others are zero: 6 % smaller
        used = slice(rows[0], rows[-1] + 1)
        mel = tf.matmul(values[..., used], matrix[used])
        values = tf.math.log(mel + front_end.log_offset)
    if front_end.input_type == "mfcc":
        values = tf.matmul(values, dct_matrix(front_end).astype(np.float32))
    if scale is not None:
        values = (values - scale[0]) / scale[1]
    if front_end.input_type == "mfcc":
        limit = front_end.mfcc_limit
        values = tf.clip_by_value(values, -limit, limit)
    return values[..., None]


def convert_front_end(front_end: FrontEnd, *, is_scaled: bool = False) -> bytes:
    """The front-end alone as a `.tflite`: samples to features, float32.

    Args:
        front_end: Input type and constants.
        is_scaled: A second input standardises the features; see `features`.
    """
    shapes = {"samples": (1, front_end.duration_samples)}
    if is_scaled:
        shapes[SCALE_INPUT] = (2, front_end.num_features)
    function = tf.function(
        lambda samples, scale=None: features(
            normalise(samples, front_end), front_end, scale
        ),
        input_signature=[
            tf.TensorSpec(shape, tf.float32, name=name)
            for name, shape in shapes.items()
        ],
    ).get_concrete_function()
    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    return bytes(converter.convert())


def join(front: bytes, network: bytes) -> bytes:
    """Feed one model's output into another model.

    Args:
        front: `.tflite` with one subgraph, float32.
        network: `.tflite` with one subgraph whose input and output are float32 or
            int8. Its weights and operators do not change.

    Returns:
        `.tflite` with one subgraph, float32 at both ends. Its inputs are those of
        `front`, `samples` first.
    """
    joined = schema.ModelT()
    joined.version, joined.description = 3, "front-end and network"
    joined.operatorCodes, joined.buffers = [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    joined.subgraphs = [graph]
    inputs, features_out = _append(joined, front)
    first = len(graph.operators)
    [features_in], probabilities = _append(joined, network)
    if graph.tensors[features_in].type == schema.TensorType.FLOAT32:
        for operator in graph.operators[first:]:
            operator.inputs = [
                features_out if index == features_in else index
                for index in operator.inputs
            ]
    else:
        quantize = _operator(joined, QUANTIZE, features_out, features_in)
        graph.operators.insert(first, quantize)
        integers, probabilities = probabilities, _add_float32(graph, probabilities)
        dequantize = _operator(joined, DEQUANTIZE, integers, probabilities)
        graph.operators.append(dequantize)
    inputs.sort(key=lambda index: graph.tensors[index].shape[0])  # samples: 1
    graph.inputs, graph.outputs = inputs, [probabilities]
    joined.signatureDefs = [_signature(inputs, probabilities)]
    return pack(joined, len(front) + len(network))


def _append(target: Any, content: bytes) -> tuple[list[int], int]:
    """Add a model's graph; return the new indices of its inputs and its output."""
    source = unpack(content)
    [graph], [added] = target.subgraphs, source.subgraphs
    shift, buffers = len(graph.tensors), {0: 0}
    for tensor in added.tensors:
        if tensor.buffer not in buffers:
            buffers[tensor.buffer] = len(target.buffers)
            target.buffers.append(source.buffers[tensor.buffer])
        tensor.buffer = buffers[tensor.buffer]
    graph.tensors += added.tensors
    for operator in added.operators:
        operator.opcodeIndex = code_index(target, code_of(source, operator))
        # −1: an optional input that is absent
        operator.inputs = [i + shift if i >= 0 else i for i in operator.inputs]
        operator.outputs = [i + shift for i in operator.outputs]
    graph.operators += added.operators
    inputs = [int(index) + shift for index in added.inputs]
    return inputs, int(added.outputs[0]) + shift


def _operator(model: Any, code: tuple[int, int], source: int, result: int) -> Any:
    """An operator without options from one tensor to another."""
    operator = schema.OperatorT()
    operator.opcodeIndex = code_index(model, code)
    operator.inputs, operator.outputs = [source], [result]
    return operator


def _add_float32(graph: Any, index: int) -> int:
    """Add a float32 tensor with a quantised tensor's shape; return its index."""
    tensor = copy.copy(graph.tensors[index])
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    tensor.name = b"probabilities"
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _signature(inputs: list[int], probabilities: int) -> Any:
    """Names of inputs and output, for runtimes that address them by name."""
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    names = (b"samples", SCALE_INPUT.encode())[: len(inputs)]
    signature.inputs = [_named(*pair) for pair in zip(names, inputs, strict=True)]
    signature.outputs = [_named(b"probabilities", probabilities)]
    return signature


def _named(name: bytes, index: int) -> Any:
    """A tensor's name in a signature."""
    end = schema.TensorMapT()
    end.name, end.tensorIndex = name, index
    return end
