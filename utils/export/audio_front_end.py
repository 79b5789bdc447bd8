"""The front-end in front of the network, in one `.tflite`: samples to probabilities.

The front-end is converted alone, in float32 and built-in operators, and its graph is
put before that of an exported network. So all precisions share one front-end, and none
is quantised: the converter's own int8 and dynamic-range ruin mel and DCT matrices.
"""

import copy
import math
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from hyperparameters import FrontEnd
from utils.audio.features import dct_matrix, mel_matrix, window
from utils.audio.wav import PCM16_SCALE
from utils.model_files.metadata import IDENTIFIER

FULL_SCALE = PCM16_SCALE - 1.0  # of `utils.audio.wav.to_pcm16`
Builtin = schema.BuiltinOperator
# QUANTIZE of float32 and DEQUANTIZE to float32, with their versions for int8
QUANTIZE, DEQUANTIZE = (Builtin.QUANTIZE, 1), (Builtin.DEQUANTIZE, 2)


def normalise(samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`utils.audio.prepare.normalise` and the rounding to 16 bits, after padding.

    The percentile is that of the samples between the zeros that
    `utils.audio.prepare.pad` put there, half on each side, the odd one at the end.
    Zeros of the recording itself count as padding if it begins and ends with them.

    Plain float32 would round one sample in 7,000 to the next of its 65,536 steps, and
    move an MFCC of a quiet frame by up to 0.008: the gain is a sum of two float32.

    Args:
        samples: (1, duration_samples), float32, cut and padded.
        front_end: Percentile and length.

    Returns:
        Same shape, float32, within ±1.
    """
    gain, gain_rest = _gain(samples, front_end)
    scaled, scaled_rest = samples * gain, samples * gain_rest
    nearest = tf.round(scaled + scaled_rest)
    steps = nearest + tf.round((scaled - nearest) + scaled_rest)
    return tf.clip_by_value(steps, -FULL_SCALE, FULL_SCALE) / PCM16_SCALE


def _gain(samples: tf.Tensor, front_end: FrontEnd) -> tuple[tf.Tensor, tf.Tensor]:
    """32767 over the percentile: its upper 8 bits, so that a product with a 16-bit
    sample is exact, and the rest; (), float32."""
    length = front_end.duration_samples
    share_above = 1.0 - front_end.normalise_percentile / 100.0
    kept = min(length, math.ceil((length - 1) * share_above) + 2)
    loudest = tf.math.top_k(tf.abs(samples[0]), kept).values
    last = tf.maximum(0.0, length - 1 - _padding_samples(samples))
    mantissa, exponent = math.frexp(share_above)
    share_upper = math.ldexp(round(mantissa * 256), exponent - 8)
    rank, rank_rest = last * share_upper, last * (share_above - share_upper)
    whole = tf.floor(rank + rank_rest)
    index = tf.cast(whole, tf.int32)
    louder, quieter = (tf.gather(loudest, index + i) for i in (0, 1))
    drop = ((rank - whole) + rank_rest) * (louder - quieter)
    louder += np.finfo(np.float64).eps
    level = louder - drop
    level_rest = (louder - level) - drop  # what float32 lost in the line before
    gain, _ = _split(FULL_SCALE / level, 16)
    level_upper, level_lower = _split(level, 8)
    missing = FULL_SCALE - gain * level_upper - gain * level_lower - gain * level_rest
    return gain, missing / level


def _split(value: tf.Tensor, bits: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A float32 as the sum of one without its last bits, and the rest (Dekker 1971)."""
    scaled = value * (2.0**bits + 1.0)
    upper = scaled - (scaled - value)
    return upper, value - upper


def _padding_samples(samples: tf.Tensor) -> tf.Tensor:
    """How many zeros were added on both sides together, (), float32."""
    is_sound = tf.cast(tf.not_equal(samples, 0.0), tf.float32)
    before, after = (
        tf.reduce_sum(
            tf.cast(tf.equal(tf.cumsum(is_sound, 1, reverse=end), 0.0), tf.float32)
        )
        for end in (False, True)
    )
    return tf.minimum(before + after, tf.minimum(2.0 * before + 1.0, 2.0 * after))


def features(samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """`utils.audio.features.compute_features` in operators that TFLite has.

    Args:
        samples: (1, duration_samples), float32, normalised.
        front_end: Input type and its constants.

    Returns:
        (1, num_frames, num_features, 1), float32.
    """
    length, hop = front_end.frame_length_samples, front_end.hop_samples
    frames = tf.signal.frame(samples, length, hop)
    frames *= window(front_end).astype(np.float32)
    values = tf.abs(tf.signal.rfft(frames, [front_end.fft_size]))
    if front_end.input_type != "spectrogram":
        matrix = mel_matrix(front_end).astype(np.float32)
        rows = np.flatnonzero(matrix.any(axis=1))  # no weight outside: 6 % smaller
        used = slice(rows[0], rows[-1] + 1)
        mel = tf.matmul(values[..., used], matrix[used])
        values = tf.math.log(mel + front_end.log_offset)
    if front_end.input_type == "mfcc":
        limit = front_end.mfcc_limit
        values = tf.matmul(values, dct_matrix(front_end).astype(np.float32))
        values = tf.clip_by_value(values, -limit, limit)
    return values[..., None]


def convert_front_end(front_end: FrontEnd) -> bytes:
    """The front-end alone as a `.tflite`: samples to features, float32."""
    shape = (1, front_end.duration_samples)
    module = tf.Module()
    function = tf.function(
        lambda samples: features(normalise(samples, front_end), front_end),
        input_signature=[tf.TensorSpec(shape, tf.float32, name="samples")],
    ).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    return bytes(converter.convert())


def join(front: bytes, network: bytes) -> bytes:
    """Put one model's graph before another's.

    Args:
        front: `.tflite` of one subgraph, float32.
        network: `.tflite` of one subgraph, float32 or int8 at its ends; its weights
            and operators are kept as they are.

    Returns:
        `.tflite` of one subgraph, float32 at both ends.
    """
    joined = schema.ModelT()
    joined.version, joined.description = 3, "front-end and network"
    joined.operatorCodes, joined.buffers = [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    joined.subgraphs = [graph]
    samples, features_made = _append(joined, front)
    first = len(graph.operators)
    features_taken, probabilities = _append(joined, network)
    if graph.tensors[features_taken].type == schema.TensorType.FLOAT32:
        for operator in graph.operators[first:]:
            operator.inputs = [
                features_made if index == features_taken else index
                for index in operator.inputs
            ]
    else:
        seam = _operator(joined, QUANTIZE, features_made, features_taken)
        graph.operators.insert(first, seam)
        integers, probabilities = probabilities, _add_real(graph, probabilities)
        end = _operator(joined, DEQUANTIZE, integers, probabilities)
        graph.operators.append(end)
    graph.inputs, graph.outputs = [samples], [probabilities]
    joined.signatureDefs = [_signature(samples, probabilities)]
    builder = flatbuffers.Builder(len(front) + len(network))
    builder.Finish(joined.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _append(target: Any, content: bytes) -> tuple[int, int]:
    """Add a model's tensors and operators; return the new numbers of its two ends."""
    source = schema.ModelT.InitFromPackedBuf(content, 0)
    [graph], [added] = target.subgraphs, source.subgraphs
    shift, buffers = len(graph.tensors), {0: 0}
    for tensor in added.tensors:
        if tensor.buffer not in buffers:
            buffers[tensor.buffer] = len(target.buffers)
            target.buffers.append(source.buffers[tensor.buffer])
        tensor.buffer = buffers[tensor.buffer]
    graph.tensors += added.tensors
    for operator in added.operators:
        code = source.operatorCodes[operator.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        operator.opcodeIndex = _code_index(target, (builtin, code.version))
        # −1 is an input left out
        operator.inputs = [i + shift if i >= 0 else i for i in operator.inputs]
        operator.outputs = [i + shift for i in operator.outputs]
    graph.operators += added.operators
    return int(added.inputs[0]) + shift, int(added.outputs[0]) + shift


def _code_index(model: Any, code: tuple[int, int]) -> int:
    """Number of a built-in operator and version in the model's list, added if new."""
    for index, known in enumerate(model.operatorCodes):
        if (known.builtinCode, known.version) == code:
            return index
    added = schema.OperatorCodeT()
    added.builtinCode, added.version = code
    added.deprecatedBuiltinCode = min(code[0], 127)  # what old readers look at
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1


def _operator(model: Any, code: tuple[int, int], source: int, result: int) -> Any:
    """An operator with one input, one output and no options."""
    operator = schema.OperatorT()
    operator.opcodeIndex = _code_index(model, code)
    operator.inputs, operator.outputs = [source], [result]
    return operator


def _add_real(graph: Any, index: int) -> int:
    """Add a float32 tensor of the shape of a quantised one; return its number."""
    tensor = copy.copy(graph.tensors[index])
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    tensor.name = b"probabilities"
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _signature(samples: int, probabilities: int) -> Any:
    """Names of the two ends, for runtimes that ask by name."""
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    ends = []
    for name, index in ((b"samples", samples), (b"probabilities", probabilities)):
        end = schema.TensorMapT()
        end.name, end.tensorIndex = name, index
        ends.append(end)
    signature.inputs, signature.outputs = [ends[0]], [ends[1]]
    return signature
