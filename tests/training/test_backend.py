"""TensorFlow's batch-norm kernel against Keras's own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hyperparameters import Settings
from models import build_light_sernet
from utils.training.backend import FusedBatchNormalization

SHAPE = (6, 5, 4, 3)


def layers_and_values(
    dtype: str = "float32",
) -> tuple[list[keras.layers.BatchNormalization], np.ndarray]:
    """Both layers with the same weights, and a batch far from mean 0."""
    draw = np.random.RandomState(0)
    layers = [
        kind(momentum=0.9, dtype=dtype)
        for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
    ]
    weights = [draw.uniform(0.5, 1.5, SHAPE[-1]) for _ in range(4)]
    for layer in layers:
        layer.build(SHAPE)
        layer.set_weights(weights)
    return layers, draw.normal(2.0, 3.0, SHAPE).astype(np.float32)


def test_outputs_gradients_and_moving_statistics_are_those_of_keras() -> None:
    both, values = layers_and_values()
    np.testing.assert_array_equal(*(layer(values) for layer in both))
    factors = np.random.RandomState(1).normal(size=SHAPE).astype(np.float32)
    found = []
    for layer in both:
        inputs = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            total = tf.reduce_sum(outputs * factors)
        watched = [inputs, layer.gamma.value, layer.beta.value]
        gradients = tape.gradient(total, watched)
        found.append([outputs, *gradients, *layer.get_weights()])
    for plain, fused in zip(*found, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-5, atol=2e-6)


def test_mixed_precision_computes_in_float32() -> None:
    both, values = layers_and_values("mixed_float16")
    plain, fused = (layer(values, training=True) for layer in both)
    assert fused.dtype == tf.float16
    for found, wanted, tolerance in (
        (fused, plain, {"atol": 2e-3}),
        (both[1].get_weights(), both[0].get_weights(), {"rtol": 1e-3}),
    ):
        np.testing.assert_allclose(
            np.array(found, np.float32), np.array(wanted, np.float32), **tolerance
        )


def test_the_network_has_the_same_weights_in_the_same_order() -> None:
    plain = build_light_sernet(Settings(), 7)
    fused = build_light_sernet(Settings(), 7, FusedBatchNormalization)
    names = [[variable.path for variable in m.weights] for m in (plain, fused)]
    assert names[0] == names[1]
    fused.set_weights(plain.get_weights())
    values = np.random.RandomState(2).normal(size=(2, *plain.input_shape[1:]))
    assert fused(values).numpy() == pytest.approx(plain(values).numpy(), abs=1e-7)
