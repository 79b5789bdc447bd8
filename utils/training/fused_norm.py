"""Batch norm by TensorFlow's own kernel: the same values, an epoch a third shorter.

Keras 3 composes it of a dozen operations, and each of them carries activations of 30 MB
through memory. `python -m benchmarks.training` measures what that costs. Saved models
hold Keras's own layer.
"""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer over the last axis of (batch, height, width, channels)."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch in training, by the moving statistics otherwise."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            ops.cast(inputs, "float32"),
            ops.cast(self.gamma, "float32"),
            ops.cast(self.beta, "float32"),
            epsilon=self.epsilon,
        )
        count = math.prod(inputs.shape[1:-1]) * ops.cast(
            ops.shape(inputs)[0], "float32"
        )
        variance *= (count - 1.0) / count  # the kernel's is unbiased, Keras's is not
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            kept = ops.cast(moving, "float32") * self.momentum
            moving.assign(kept + value * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)
