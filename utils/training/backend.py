"""The Keras backend: its threads, its device, and the batch norm that suits it."""

import math
from typing import Any

import keras
from keras import ops

from utils.runs.folder import commit
from utils.training.checkpoint import State


def limit_threads(threads: int) -> None:
    """Limit TensorFlow or PyTorch to some threads.

    Another number of threads adds in another order and gives other weights. JAX cannot
    be limited: it takes the cores that the process may use (XLA's flag for one thread,
    `--xla_cpu_multi_thread_eigen=false`, changes nothing in 0.10).
    """
    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def environment_of_training(threads: int) -> dict[str, Any]:
    """What a fold's numbers depend on besides settings and data.

    Args:
        threads: The limit given to the backend; JAX ignores it.
    """
    backend = keras.config.backend()
    return {
        "commit": commit(),
        "backend": backend,
        "threads": None if backend == "jax" else threads,
        "device": device_name(),
    }


def device_name() -> str:
    """`cpu`, or the name of the accelerator that the backend computes on."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(device)
            return str(details.get("device_name", "gpu"))
    elif keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
        if torch.backends.mps.is_available():
            return "mps"
    elif keras.config.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    return "cpu"


def note_environment(state: State, now: dict[str, Any]) -> list[str]:
    """Record in a state what trains from here on, if it differs from before.

    Args:
        state: Fresh or restored.
        now: As from `environment_of_training`.

    Returns:
        A warning if the earlier epochs were trained otherwise; else nothing.
    """
    known = state.trained_by[-1] if state.trained_by else {}
    if all(known.get(name) == value for name, value in now.items()):
        return []
    state.trained_by.append({"from_epoch": state.epochs_done, **now})
    changes = [
        f"{name} {known[name]}, now {value}"
        for name, value in now.items()
        if name in known and known[name] != value
    ]
    if not changes:
        return []
    return [
        f"resumed after epoch {state.epochs_done} with {'; '.join(changes)}: results "
        "may differ from those of an uninterrupted run"
    ]


def batch_norm() -> type[keras.layers.Layer]:
    """The layer to train with: Keras's, or a faster one on TensorFlow."""
    is_tensorflow = keras.config.backend() == "tensorflow"
    return FusedBatchNormalization if is_tensorflow else keras.layers.BatchNormalization


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer on TensorFlow's own kernel, over (batch, height, width, channels).

    Same values, an epoch a third shorter: Keras 3 composes the layer of a dozen
    operations, each of which carries activations of 30 MB through memory (measured by
    `python -m benchmarks.training`). Saved models hold Keras's own layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch in training, by the moving statistics otherwise."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

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
