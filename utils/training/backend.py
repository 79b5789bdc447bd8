"""What computes: the Keras backend, its threads and device, as a record names them."""

from typing import Any

import keras

from utils.runs.folder import commit
from utils.training.checkpoint import State


def limit_threads(threads: int) -> None:
    """Hold TensorFlow or PyTorch to some threads, also in a worker of others.

    Another number of threads adds in another order and gives other weights. JAX can't
    be held: it takes the cores that the process may use (XLA's flag for one thread,
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
        threads: What the backend was held to; JAX can't be.
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


def note_conditions(state: State, now: dict[str, Any]) -> list[str]:
    """Add to a state what trains from here on, where that is news.

    Args:
        state: Fresh or restored.
        now: As `environment_of_training` has them.

    Returns:
        A warning where other conditions trained the epochs before; else nothing.
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
