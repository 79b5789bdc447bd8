"""The state of an unfinished fold: whole, or refused; never half believed."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from training_runs import edit_state

from hyperparameters import InputError
from utils.training import checkpoint
from utils.training.checkpoint import STATE_NAMES, State

KEY = "run/0/backend"
BATCH = np.ones((8, 3), np.float32)
Arrays = list[np.ndarray]
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


def all_values(model: keras.Model) -> Arrays:
    """Every variable of a model and its optimiser."""
    return checkpoint.values_of([*model.variables, *model.optimizer.variables])


def assert_same(left: Arrays, right: Arrays) -> None:
    """Bit-equal arrays, in order."""
    for first, second in zip(left, right, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.fixture
def values(tmp_path: Path) -> list[Arrays]:
    """`tmp_path` holds the states after epochs 1 and 2; the values in each."""
    found = []
    for epochs in (1, 2):
        model = small_model(epochs)
        checkpoint.save(tmp_path, state_after(epochs, model), model)
        found.append(all_values(model))
    return found


def test_everything_comes_back_and_the_next_dropout_is_the_same(
    tmp_path: Path, values: list[Arrays]
) -> None:
    model, other = small_model(9), small_model(2)
    state, warnings = checkpoint.restore(tmp_path, KEY, model)
    assert warnings == []
    assert_same(all_values(model), values[1])
    wanted = state_after(2, other)
    assert_same(state.best, wanted.best)
    assert {**vars(state), "best": []} == {**vars(wanted), "best": []}
    dropped = [np.array(each(BATCH, training=True)) for each in (model, other)]
    np.testing.assert_array_equal(*dropped)


@pytest.mark.usefixtures("values")
def test_an_older_version_does_not_record_what_trained(tmp_path: Path) -> None:
    edit_state(tmp_path / STATE_NAMES[0], trained_by=None)
    state, warnings = checkpoint.restore(tmp_path, KEY, small_model(9))
    assert (state.epochs_done, state.trained_by, warnings) == (2, [], [])


ALTERED = [
    {"key": 5},
    {"epochs_done": "2"},
    {"epochs_done": -2},
    {"epochs_done": 0},
    {"epochs_done": 10**12},
    {"epochs_done": 10**30},
    {"epochs_done": True},
    {"epoch_kept": 2},
    {"epoch_kept": -1},
    {"epoch_kept": 1.0},
    {"best_accuracy": "high"},
    {"best_accuracy": float("nan")},
    {"best_accuracy": 7.0},
    {"history": []},
    {"history": {}},
    {"history": {"loss": 1.0}},
    {"history": {"loss": [1.0]}},
    {"history": {"loss": [1.0, float("inf")]}},
    {"history": {"loss": [1.0, 1.0], "accuracy": [1.0, 1.0, 1.0]}},
    {"history": {"loss": [1.0, 1.0], "accuracy": [1.0]}},
    {"history": {"loss": [1.0, 1.0], checkpoint.TEST_CURVE: []}},
    {"seconds": "long"},
    {"seconds": -1.0},
    {"cpu_seconds": [1.0]},
    {"cpu_seconds": -1e300},
    {"trained_by": {}},
    {"trained_by": ["cpu"]},
    {"trained_by": [{"threads": "many"}]},
    {"trained_by": [{"commit": {"a": 1}}]},
    {"best": []},
    {"other": 1},
]


def test_an_altered_state_costs_one_epoch(tmp_path: Path, values: list[Arrays]) -> None:
    newest, model = tmp_path / STATE_NAMES[0], small_model(9)
    content = newest.read_bytes()
    lacking = ({name: None} for name in checkpoint.KINDS)
    for changes in (*ALTERED, *lacking):
        newest.write_bytes(content)
        edit_state(newest, **changes)
        state, warnings = checkpoint.restore(tmp_path, KEY, model)
        assert (state.epochs_done, len(warnings)) == (1, 1), changes
        assert warnings[0].startswith(f"{newest}: damaged")
    assert_same(all_values(model), values[0])


@pytest.mark.usefixtures("values")
def test_a_resume_may_end_the_test_curve(tmp_path: Path) -> None:
    history = {"loss": [1.0, 0.5], checkpoint.TEST_CURVE: [0.5]}
    edit_state(tmp_path / STATE_NAMES[0], history=history)
    state, warnings = checkpoint.restore(tmp_path, KEY, small_model(9))
    assert (state.history, warnings) == (history, [])


@pytest.mark.parametrize("group", ["model", "optimizer", "best"])
def test_arrays_of_no_numbers_cost_one_epoch(
    tmp_path: Path, values: list[Arrays], group: str
) -> None:
    newest, model = tmp_path / STATE_NAMES[0], small_model(9)
    with np.load(newest) as archive:
        arrays = dict(archive)
    name = max(name for name in arrays if name.startswith(group))
    if group != "optimizer":
        name = f"{group}_000"  # weights; the last is a random state
    shape = arrays[name].shape
    for kind in ("<U3", "S3", "c8", "M8[s]", "V4", "?", "i4"):
        np.savez(newest, **arrays | {name: np.zeros(shape, kind)})
        state, warnings = checkpoint.restore(tmp_path, KEY, model)
        assert (state.epochs_done, len(warnings)) == (1, 1), kind
        assert f"arrays of {group!r} must be numbers" in warnings[0]
    assert_same(all_values(model), values[0])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_a_state_cut_short_costs_one_epoch(
    tmp_path: Path, values: list[Arrays], share: float
) -> None:
    newest, model = tmp_path / STATE_NAMES[0], small_model(9)
    os.truncate(newest, int(newest.stat().st_size * share))
    state, [warning] = checkpoint.restore(tmp_path, KEY, model)
    assert state.epochs_done == 1
    assert_same(all_values(model), values[0])
    assert warning.startswith(f"{newest}: damaged")
    assert "\n" not in warning


def test_an_overwritten_byte_is_found_or_harmless(
    tmp_path: Path, values: list[Arrays]
) -> None:
    newest, model = tmp_path / STATE_NAMES[0], small_model(9)
    content, draw = newest.read_bytes(), np.random.RandomState(0)
    outcomes = set()
    for position in draw.randint(len(content), size=300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << draw.randint(8)
        newest.write_bytes(damaged)
        state, warnings = checkpoint.restore(tmp_path, KEY, model)
        assert len(warnings) == 2 - state.epochs_done
        assert_same(all_values(model), values[state.epochs_done - 1])
        outcomes.add(state.epochs_done)
    assert outcomes == {1, 2}, "some bytes of a ZIP archive count, some do not"


@pytest.mark.usefixtures("values")
def test_without_a_readable_state_the_fold_starts_again(tmp_path: Path) -> None:
    for name in STATE_NAMES:
        (tmp_path / name).write_bytes(b"")
    model = small_model(9)
    before = all_values(model)
    state, warnings = checkpoint.restore(tmp_path, KEY, model)
    assert (state.epochs_done, len(warnings)) == (0, 2)
    assert_same(all_values(model), before)


@pytest.mark.usefixtures("values")
def test_another_run_is_refused(tmp_path: Path) -> None:
    edit_state(tmp_path / STATE_NAMES[0], key="other")
    with pytest.raises(InputError, match="holds the state of another run"):
        checkpoint.restore(tmp_path, KEY, small_model(9))
