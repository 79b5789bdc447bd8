"""The state of an unfinished fold: everything that the next epoch depends on.

It holds the variables of the model (with batch-norm statistics and the dropout's random
state) and of the optimiser, the weights of the best epoch so far and the history. It is
saved after every epoch to one of two files in turn, so a damaged file costs one epoch.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hyperparameters import InputError
from utils.cli import one_line
from utils.files import read_arrays, write_atomic
from utils.runs.json_files import Kind, fits, in_words

STATE_NAMES = ("state_0.npz", "state_1.npz")
Arrays = list[np.ndarray]
MOST_STATE_BYTES = 2**28  # the published network needs a tenth of it
# What a state file holds besides arrays
KINDS: dict[str, Kind] = {
    "key": str,
    "epochs_done": int,
    "epoch_kept": int,
    "best_accuracy": float,
    "history": {str: [float]},
    "seconds": float,
    "cpu_seconds": float,
}
# What it may hold
OPTIONAL: dict[str, Kind] = {
    "trained_by": [
        {
            "from_epoch": int,
            "commit": str,
            "backend": str,
            "threads": (int, None),
            "device": str,
        }
    ]
}
TEST_CURVE = "test_accuracy"  # in the history; a resume need not go on with it
# Of a state that was cut short, overwritten or made up
DAMAGE = (KeyError, OSError, TypeError, ValueError, RecursionError)


@dataclass
class State:
    """A fold in progress.

    Attributes:
        key: Identifies run and fold; a state with another key is refused.
        epochs_done: Epochs finished.
        epoch_kept: The epoch whose weights are kept so far, 0-based; −1 before any.
        best_accuracy: Its accuracy on the set that chooses; −1 before any.
        history: By name, one number per epoch.
        seconds: Wall-clock time spent, s.
        cpu_seconds: Processor time spent, s.
        best: The kept epoch's model variables; empty if the last epoch is kept.
        trained_by: Commit, backend, threads and device, with `from_epoch`, 0-based: one
            entry, and one more for each resume under other conditions. Empty in older
            states.
    """

    key: str
    epochs_done: int = 0
    epoch_kept: int = -1
    best_accuracy: float = -1.0
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: Arrays = field(default_factory=list)
    trained_by: list[dict[str, Any]] = field(default_factory=list)


def values_of(variables: list[Any]) -> Arrays:
    """Copies of Keras variables as NumPy arrays."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def assign(variables: list[Any], values: Arrays) -> None:
    """Put arrays back into Keras variables, in the same order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save(folder: Path, state: State, model: keras.Model) -> None:
    """Write the state after an epoch, atomically.

    Raises:
        OSError: The disk is full or the folder not writable; the older state stays.
    """
    scalars = {k: v for k, v in vars(state).items() if k != "best"}
    groups = {
        "model": values_of(model.variables),
        "optimizer": values_of(model.optimizer.variables),
        "best": state.best,
    }
    arrays = {
        f"{name}_{number:03d}": array
        for name, group in groups.items()
        for number, array in enumerate(group)
    }
    arrays["scalars"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
    path = folder / STATE_NAMES[state.epochs_done % len(STATE_NAMES)]
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def restore(folder: Path, key: str, model: keras.Model) -> tuple[State, list[str]]:
    """Bring a compiled model to the newest readable state.

    Args:
        folder: The fold's folder.
        key: Identifies this run and fold.
        model: Built and compiled, its optimiser built.

    Returns:
        The state (a fresh one if none is found), and one line per damaged file.

    Raises:
        InputError: The state is of another run or fold.
    """
    found, warnings = [], []
    for name in STATE_NAMES:
        try:
            state, groups = _read(folder / name)
            if state.key == key:
                _check_arrays(groups, model)
            found.append((state, groups))
        except FileNotFoundError:
            continue
        except DAMAGE as error:
            reason = one_line(error)
            warnings.append(f"{folder / name}: damaged ({reason}); ignored")
    if not found:
        return State(key), warnings
    state, groups = max(found, key=lambda pair: pair[0].epochs_done)
    if state.key != key:
        raise InputError(
            f"{folder}: holds the state of another run ({state.key}); remove it"
        )
    assign(model.variables, groups["model"])
    assign(model.optimizer.variables, groups["optimizer"])
    return state, warnings


def _read(path: Path) -> tuple[State, dict[str, Arrays]]:
    """Read one state file."""
    groups: dict[str, Arrays] = {"model": [], "optimizer": [], "best": []}
    arrays = read_arrays(path, MOST_STATE_BYTES)
    scalars = json.loads(arrays.pop("scalars").tobytes())
    _check_scalars(scalars)
    for name in sorted(arrays):
        groups[name.split("_")[0]].append(arrays[name])
    return State(**scalars, best=groups["best"]), groups


def _check_scalars(scalars: Any) -> None:
    """Check kinds, ranges and the lengths of the curves.

    Raises:
        ValueError: They are not those of a fold after an epoch.
    """
    if not isinstance(scalars, dict):
        raise ValueError("'scalars' must be an object")
    present = {key: kind for key, kind in OPTIONAL.items() if key in scalars}
    for key, kind in (KINDS | present).items():
        if not fits(scalars.get(key), kind):
            raise ValueError(f"{key!r} must be {in_words(kind)}")
    epochs = scalars["epochs_done"]
    if epochs < 1 or not 0 <= scalars["epoch_kept"] < epochs:
        raise ValueError("'epoch_kept' must be one of 'epochs_done' epochs")
    if not -1 <= scalars["best_accuracy"] <= 1:
        raise ValueError("'best_accuracy' must lie in 0..1, or be -1")
    if scalars["seconds"] < 0 or scalars["cpu_seconds"] < 0:
        raise ValueError("'seconds' and 'cpu_seconds' must be 0 or more")
    lengths = {name: len(curve) for name, curve in scalars["history"].items()}
    test = lengths.pop(TEST_CURVE, epochs)
    if set(lengths.values()) != {epochs} or not 1 <= test <= epochs:
        raise ValueError("the lists in 'history' must have one value per epoch")


def _check_arrays(groups: dict[str, Arrays], model: keras.Model) -> None:
    """Check that every variable has an array of its shape, and of numbers like its own.

    Raises:
        ValueError: Missing or unexpected arrays.
    """
    variables = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "best": model.variables if groups["best"] else [],
    }
    for name, wanted in variables.items():
        shapes = [tuple(v.shape) for v in wanted]
        if [array.shape for array in groups[name]] != shapes:
            raise ValueError(f"missing or unexpected arrays of {name!r}")
        for array, variable in zip(groups[name], wanted, strict=True):
            # a backend may keep whole numbers in other sizes, signed or not
            if array.dtype.kind not in ("f" if "float" in variable.dtype else "iu"):
                raise ValueError(f"arrays of {name!r} must be numbers")


def remove(folder: Path) -> None:
    """Delete the state of a finished fold."""
    for name in STATE_NAMES:
        (folder / name).unlink(missing_ok=True)
