"""Remove the mean error of int8 arithmetic from a network's logits.

int8 average pooling rounds halves down for all but the largest values, and the sum of
two or four values is often halfway between two steps. The logits of every utterance are
therefore wrong by about the same amount (0.1), more than they scatter (0.05). The mean
error on the calibration set is subtracted from the bias of the last layer: empirical
bias correction, section 4.2 of Nagel, van Baalen, Blankevoort and Welling, "Data-free
quantization through weight equalization and bias correction", ICCV 2019. Weights,
operators and size do not change.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from utils.model_files.interpreter import dequantise, quantise

Float32Array = npt.NDArray[np.float32]
BIAS_INPUT = 2  # inputs of a fully connected layer: values, weights, bias


def correct_bias(int8: bytes, float32: bytes, calibration: Float32Array) -> bytes:
    """The full-int8 network with the mean logits of the float32 network.

    Args:
        int8: `.tflite` that ends in a fully connected layer and softmax.
        float32: The same network in float32.
        calibration: (n, frames, features, 1), float32: features of training utterances.

    Returns:
        `.tflite` of the same length with another bias in the last layer. Without such a
        bias (the converter omits zeros, as before training), `int8` itself.

    Raises:
        ValueError: The network ends differently.
    """
    corrected = bytearray(int8)
    model = schema.Model.GetRootAs(corrected, 0)
    dense, _ = _last_layers(model)
    if dense.Inputs(BIAS_INPUT) < 0:
        return int8
    error = logits(int8, calibration) - logits(float32, calibration)
    tensor = model.Subgraphs(0).Tensors(dense.Inputs(BIAS_INPUT))
    steps = np.rint(error.mean(axis=0) / tensor.Quantization().ScaleAsNumpy())
    bias = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.int32)  # in place
    bias -= steps.astype(np.int32)
    return bytes(corrected)


def logits(model: bytes, inputs: Float32Array) -> Float32Array:
    """The input of a network's softmax, computed by LiteRT's built-in kernels.

    Args:
        model: `.tflite` that ends in a fully connected layer and softmax.
        inputs: (n, frames, features, 1), float32.

    Returns:
        (n, classes), float32.
    """
    _, softmax = _last_layers(schema.Model.GetRootAs(model, 0))
    index = softmax.Inputs(0)
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_preserve_all_tensors=True,  # not possible with XNNPACK
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    [source] = interpreter.get_input_details()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}[index]
    rows = []
    for value in quantise(inputs, source):
        interpreter.set_tensor(source["index"], value[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(index)[0])
    return dequantise(np.stack(rows), details)


def _last_layers(model: Any) -> tuple[Any, Any]:
    """The last two operators, which must be fully connected and softmax."""
    graph = model.Subgraphs(0)
    last = [graph.Operators(graph.OperatorsLength() - back) for back in (2, 1)]
    codes = [model.OperatorCodes(operator.OpcodeIndex()) for operator in last]
    found = [max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes]
    builtin = schema.BuiltinOperator
    if found != [builtin.FULLY_CONNECTED, builtin.SOFTMAX]:
        raise ValueError("the network must end in a fully connected layer and softmax")
    return last[0], last[1]
