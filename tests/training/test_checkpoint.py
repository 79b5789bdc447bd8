"""The state of an unfinished fold: whole, or refused; never half believed."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from hyperparameters import InputError
from utils.training import checkpoint
from utils.training.checkpoint import STATE_NAMES, State

KEY = "run/0/backend"
# TensorFlow's variables under NumPy 2
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept"
)


def small_model(seed: int) -> keras.Model:
    """Variables of every kind: weights, statistics, a random state, the optimiser's."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=seed),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, seed + number))
    return model


def state_after(epochs: int, model: keras.Model) -> State:
    """A state with something in every field."""
    history = {"loss": [1.0 / (epoch + 1) for epoch in range(epochs)]}
    best = checkpoint.values_of(model.variables)
    conditions = [{"from_epoch": 0, "commit": "abc", "threads": 1}]
    return State(KEY, epochs, epochs - 1, 0.5, history, 1.5, 2.5, best, conditions)


def all_values(model: keras.Model) -> list[np.ndarray]:
    """Every variable of a model and its optimiser."""
    return checkpoint.values_of([*model.variables, *model.optimizer.variables])


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    """Bit-equal arrays, in order."""
    for first, second in zip(left, right, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, list[list[np.ndarray]]]:
    """A folder with the states after epochs 1 and 2, and the values in each."""
    values = []
    for epochs in (1, 2):
        model = small_model(epochs)
        checkpoint.save(tmp_path, state_after(epochs, model), model)
        values.append(all_values(model))
    return tmp_path, values


def test_everything_comes_back(saved: tuple[Path, list[list[np.ndarray]]]) -> None:
    folder, values = saved
    model = small_model(9)
    state, warnings = checkpoint.restore(folder, KEY, model)
    assert warnings == []
    assert_same(all_values(model), values[1])
    wanted = state_after(2, small_model(2))
    assert_same(state.best, wanted.best)
    assert {**vars(state), "best": []} == {**vars(wanted), "best": []}


def test_a_state_of_an_older_version_is_restored(
    saved: tuple[Path, list[list[np.ndarray]]],
) -> None:
    """It does not say what trained it."""
    folder, values = saved
    newest = folder / STATE_NAMES[0]
    with np.load(newest) as archive:
        arrays = dict(archive)
    scalars = json.loads(arrays["scalars"].tobytes())
    del scalars["trained_by"]
    arrays["scalars"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
    np.savez(newest, **arrays)
    model = small_model(9)
    state, warnings = checkpoint.restore(folder, KEY, model)
    assert (state.epochs_done, state.trained_by, warnings) == (2, [], [])
    assert_same(all_values(model), values[1])


def test_the_dropout_that_follows_is_the_same(tmp_path: Path) -> None:
    model, inputs = small_model(1), np.ones((8, 3), np.float32)
    model(inputs, training=True)
    checkpoint.save(tmp_path, state_after(1, model), model)
    wanted = np.array(model(inputs, training=True))
    other = small_model(2)
    checkpoint.restore(tmp_path, KEY, other)
    np.testing.assert_array_equal(np.array(other(inputs, training=True)), wanted)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_a_state_cut_short_costs_one_epoch(
    saved: tuple[Path, list[list[np.ndarray]]], share: float
) -> None:
    folder, values = saved
    newest = folder / STATE_NAMES[0]
    os.truncate(newest, int(newest.stat().st_size * share))
    model = small_model(9)
    state, [warning] = checkpoint.restore(folder, KEY, model)
    assert state.epochs_done == 1
    assert_same(all_values(model), values[0])
    assert warning.startswith(f"{newest}: damaged")
    assert "\n" not in warning


def test_an_overwritten_byte_is_found_or_harmless(
    saved: tuple[Path, list[list[np.ndarray]]],
) -> None:
    folder, values = saved
    newest = folder / STATE_NAMES[0]
    content, draw = newest.read_bytes(), np.random.RandomState(0)
    outcomes = set()
    model = small_model(9)
    for position in draw.randint(len(content), size=300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << draw.randint(8)
        newest.write_bytes(damaged)
        state, warnings = checkpoint.restore(folder, KEY, model)
        assert len(warnings) == 2 - state.epochs_done
        assert_same(all_values(model), values[state.epochs_done - 1])
        outcomes.add(state.epochs_done)
    assert outcomes == {1, 2}, "some bytes of a ZIP archive count, some do not"


def test_nothing_readable_starts_anew(
    saved: tuple[Path, list[list[np.ndarray]]],
) -> None:
    folder, _ = saved
    for name in STATE_NAMES:
        (folder / name).write_bytes(b"")
    model = small_model(9)
    before = all_values(model)
    state, warnings = checkpoint.restore(folder, KEY, model)
    assert (state.epochs_done, len(warnings)) == (0, 2)
    assert_same(all_values(model), before)


def test_another_run_is_refused(saved: tuple[Path, list[list[np.ndarray]]]) -> None:
    folder, _ = saved
    with pytest.raises(InputError, match="holds the state of another run"):
        checkpoint.restore(folder, "other", small_model(9))


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file grows beyond 1 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_older_state(tmp_path: Path) -> None:
    (tmp_path / STATE_NAMES[0]).write_bytes(b"older")
    model = small_model(2)
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        checkpoint.save(tmp_path, state_after(2, model), model)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAMES[0]]
    assert (tmp_path / STATE_NAMES[0]).read_bytes() == b"older"
