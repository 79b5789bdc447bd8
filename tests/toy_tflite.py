"""Tiny real `.tflite` models, packed from the schema: one dense layer and a softmax."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INPUT_SCALE = 0.05
INPUT_ZERO_POINT = 3
WEIGHT_SCALE = 0.01
LOGIT_SCALE = 0.1


def toy_model(
    input_shape: tuple[int, ...], num_classes: int, *, is_int8: bool = False
) -> bytes:
    """A model from `input_shape` to `num_classes` probabilities.

    Args:
        input_shape: With the batch, 1.
        num_classes: Outputs.
        is_int8: Weights, input and output are int8.

    Returns:
        The flatbuffer. Weights are those of `toy_weights`, times 0.01.
    """
    size = int(np.prod(input_shape))
    weights = toy_weights(size, num_classes)
    content = weights if is_int8 else (weights * WEIGHT_SCALE).astype(np.float32)
    model = schema.ModelT()
    model.version, model.description = 3, "toy"
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = content.view(np.uint8).ravel()
    model.operatorCodes = [schema.OperatorCodeT(), schema.OperatorCodeT()]
    builtin = schema.BuiltinOperator
    for code, value in zip(
        model.operatorCodes, (builtin.FULLY_CONNECTED, builtin.SOFTMAX), strict=True
    ):
        code.builtinCode = code.deprecatedBuiltinCode = value
        code.version = 4 if value == builtin.FULLY_CONNECTED else 2
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(input_shape, 0, is_int8, (INPUT_SCALE, INPUT_ZERO_POINT)),
        _tensor((num_classes, size), 1, is_int8, (WEIGHT_SCALE, 0)),
        _tensor((1, num_classes), 0, is_int8, (LOGIT_SCALE, 0)),
        _tensor((1, num_classes), 0, is_int8, (1 / 256, -128)),
    ]
    dense, softmax = schema.OperatorT(), schema.OperatorT()
    dense.opcodeIndex, dense.inputs, dense.outputs = 0, [0, 1, -1], [2]
    dense.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = schema.FullyConnectedOptionsT()
    softmax.opcodeIndex, softmax.inputs, softmax.outputs = 1, [2], [3]
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    graph.operators, graph.inputs, graph.outputs = [dense, softmax], [0], [3]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def toy_weights(size: int, num_classes: int) -> np.ndarray:
    """(num_classes, size), int8."""
    random = np.random.RandomState(0)
    return random.randint(-127, 128, (num_classes, size)).astype(np.int8)


def _tensor(
    shape: tuple[int, ...], buffer: int, is_int8: bool, scale: tuple[float, int]
) -> schema.TensorT:
    """A tensor; with quantisation if it is int8."""
    tensor = schema.TensorT()
    tensor.shape, tensor.buffer, tensor.name = list(shape), buffer, "toy"
    tensor.type = schema.TensorType.INT8 if is_int8 else schema.TensorType.FLOAT32
    if is_int8:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [scale[0]]
        tensor.quantization.zeroPoint = [scale[1]]
    return tensor
