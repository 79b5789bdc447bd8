"""The weights of a starting model, put into the network of a fold."""

from pathlib import Path

import keras
import numpy as np

from hyperparameters import InputError
from utils.files import sha256
from utils.model_files.keras_model import read_keras
from utils.model_files.starting import DIGITS, StartingModel

OUTPUTS = "probabilities"
STAGES = (("path1", "path2", "path3"), *((f"body{n}",) for n in range(1, 6)))
EPSILON = 1e-3  # of Keras's batch norm
Weights = dict[str, list[np.ndarray]]


def start_from(
    model: keras.Model,
    start: StartingModel,
    classes: tuple[str, ...],
    features: np.ndarray,
) -> None:
    """Replace a network's first weights by those of a starting model.

    Outputs of classes that the starting model lacks keep their first weights.

    Args:
        model: The network of a fold, as it was built.
        start: The starting model.
        classes: Of the fold.
        features: Training segments, for the statistics that a `.tflite` file lacks.

    Raises:
        InputError: The file has changed, cannot be read, or is another network.
    """
    if sha256(start.path)[:DIGITS] != start.digest:
        raise InputError(
            f"{start.path} has changed since this run began; put the file back"
        )
    is_folded = start.path.suffix == ".tflite"
    weights = _of_tflite(start.path) if is_folded else _of_keras(start.path)
    kernel, bias = model.get_layer(OUTPUTS).get_weights()
    count = len(start.classes)
    _check(start, OUTPUTS, weights, [(len(kernel), count), (count,)])
    for number, column in enumerate(start.columns(classes)):
        if column is not None:
            kernel[:, number] = weights[OUTPUTS][0][:, column]
            bias[number] = weights[OUTPUTS][1][column]
    weights[OUTPUTS] = [kernel, bias]
    for layer in model.layers:
        if layer.weights:
            _check(start, layer.name, weights, [tuple(w.shape) for w in layer.weights])
            layer.set_weights(weights[layer.name])
    if is_folded:
        _unfold(model, features)


def _check(
    start: StartingModel, name: str, weights: Weights, shapes: list[tuple[int, ...]]
) -> None:
    """Check that a layer of the starting model has weights of these shapes.

    Raises:
        InputError: It is missing or has other shapes.
    """
    if [w.shape for w in weights.get(name, [])] != shapes:
        raise InputError(
            f"{start.path}: its layer {name} does not fit this network; the starting "
            "model must be a Light-SERNet with the same kernels"
        )


def freeze(model: keras.Model, stages: int) -> None:
    """Let the first stages of a network keep their weights and statistics.

    Args:
        model: Not compiled yet.
        stages: How many: 1 is the three paths, 2 to 6 are the blocks of the body.
    """
    for name in (name for stage in STAGES[:stages] for name in stage):
        for part in ("conv", "norm"):
            model.get_layer(f"{name}_{part}").trainable = False


def _of_keras(path: Path) -> Weights:
    """The weights of each layer of a `.keras` file."""
    return {layer.name: layer.get_weights() for layer in read_keras(path).layers}


def _of_tflite(path: Path) -> Weights:
    """The weights of each layer of a float32 file, the norms folded into convolutions.

    A norm adds the folded bias and changes nothing else.
    """
    from ai_edge_litert import schema_py_generated as schema

    from utils.export.flatbuffer import code_of, unpack

    flat = unpack(path.read_bytes())
    [graph] = flat.subgraphs
    weights: Weights = {}

    def array(index: int) -> np.ndarray:
        tensor = graph.tensors[index]
        data = flat.buffers[tensor.buffer].data
        return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)

    for operator in graph.operators:
        code = code_of(flat, operator)[0]
        if code == schema.BuiltinOperator.FULLY_CONNECTED:
            kernel, bias = (array(index) for index in operator.inputs[1:3])
            weights[OUTPUTS] = [kernel.T, bias]
        if code == schema.BuiltinOperator.CONV_2D:
            kernel, bias = (array(index) for index in operator.inputs[1:3])
            name = graph.tensors[operator.inputs[1]].name.decode()
            stage = next(
                (s for stage in STAGES for s in stage if f"{s}_conv" in name), ""
            )
            one, zero = np.ones_like(bias), np.zeros_like(bias)
            scale = one * np.sqrt(1 + EPSILON)
            kernels = [np.transpose(kernel, (1, 2, 3, 0))]
            weights[f"{stage}_conv"] = [*kernels, *([zero] if "path" in stage else [])]
            weights[f"{stage}_norm"] = [scale, bias, zero, one]
    return weights


def _unfold(model: keras.Model, features: np.ndarray) -> None:
    """Give norms the statistics of training segments; the outputs stay the same."""
    names = [name for stage in STAGES for name in stage]
    convolutions = [model.get_layer(f"{name}_conv").output for name in names]
    outputs = keras.Model(model.inputs, convolutions).predict(features, verbose=0)
    for name, values in zip(names, outputs, strict=True):
        norm = model.get_layer(f"{name}_norm")
        mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
        bias = norm.get_weights()[1]
        norm.set_weights([np.sqrt(variance + EPSILON), bias + mean, mean, variance])
