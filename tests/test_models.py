"""The network layer by layer, its size and work, and the losses by hand."""

import itertools
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from hyperparameters import INPUT_TYPES, InputError, Network, Settings, from_flat
from models import SparseCategoricalFocalLoss, build_light_sernet, build_loss

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])
TRUE = np.array([0, 2, 0])  # with probabilities 0.7, 0.8, 0.25


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_light_sernet(Settings(), 7)


@pytest.mark.parametrize(
    ("input_type", "duration_s", "num_classes", "parameters"),
    [
        *((input_type, 3.0, 7, 463_431) for input_type in INPUT_TYPES),
        ("mfcc", 2.25, 7, 463_431),
        ("mfcc", 7.0, 4, 462_468),
    ],
)
def test_parameters(
    input_type: str, duration_s: float, num_classes: int, parameters: int
) -> None:
    settings = from_flat({"input_type": input_type, "duration_s": duration_s})
    model = build_light_sernet(settings, num_classes)
    assert model.input_shape == (None, *settings.front_end.input_shape)
    assert model.output_shape == (None, num_classes)
    assert model.count_params() == parameters
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert parameters - trained == 1728  # 461,703 of 463,431 are trained


@pytest.mark.parametrize(("duration_s", "millions"), [(3.0, 159.3), (7.0, 376.2)])
def test_multiply_accumulates(duration_s: float, millions: float) -> None:
    total = 0
    for layer in build_light_sernet(from_flat({"duration_s": duration_s}), 7).layers:
        if isinstance(layer, layers.Conv2D):
            positions = math.prod(layer.output.shape[1:3])
            total += positions * math.prod(layer.kernel.shape)
        elif isinstance(layer, layers.Dense):
            total += math.prod(layer.kernel.shape)
    assert round(total / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("name", "before", "filters", "kernel", "pool_size", "shape"),
    [
        ("path1", "features", 32, (11, 1), (2, 2), (92, 20)),
        ("path2", "features", 32, (1, 9), (2, 2), (92, 20)),
        ("path3", "features", 32, (3, 3), (2, 2), (92, 20)),
        ("body1", "paths", 64, (3, 3), (2, 2), (46, 10)),
        ("body2", "body1_pool", 96, (3, 3), (2, 2), (23, 5)),
        ("body3", "body2_pool", 128, (3, 3), (2, 1), (12, 5)),
        ("body4", "body3_pool", 160, (3, 3), (2, 1), (6, 5)),
        ("body5", "body4_pool", 320, (1, 1), None, ()),
    ],
)
def test_a_stage(
    model: keras.Model,
    name: str,
    before: str,
    filters: int,
    kernel: tuple[int, int],
    pool_size: tuple[int, int] | None,
    shape: tuple[int, ...],
) -> None:
    ends = ("conv", "norm", "relu", "pool")
    conv, norm, relu, pool = stage = [model.get_layer(f"{name}_{end}") for end in ends]
    assert conv.input is model.get_layer(before).output
    assert all(b.input is a.output for a, b in itertools.pairwise(stage))
    assert isinstance(conv, layers.Conv2D)
    assert (conv.filters, conv.kernel_size, conv.padding) == (filters, kernel, "same")
    assert conv.use_bias == name.startswith("path")
    l2 = 0.0 if conv.use_bias else 1e-6
    assert float(getattr(conv.kernel_regularizer, "l2", 0.0)) == pytest.approx(l2)
    assert isinstance(norm, layers.BatchNormalization)
    assert (norm.momentum, norm.epsilon) == (0.99, 1e-3)
    assert isinstance(relu, layers.ReLU)
    assert pool.output.shape == (None, *shape, filters)
    if pool_size is None:
        assert isinstance(pool, layers.GlobalAveragePooling2D)
    else:
        assert isinstance(pool, layers.AveragePooling2D)
        assert (pool.pool_size, pool.padding) == (pool_size, "same")


def test_the_head(model: keras.Model) -> None:
    assert model.get_layer("paths").output.shape == (None, 92, 20, 96)
    dropout, dense = model.get_layer("dropout"), model.get_layer("probabilities")
    assert dropout.rate == 0.3
    assert dropout.seed is not None, "PyTorch would use a hidden random state"
    state = dropout.seed_generator.state.numpy()
    assert state.tolist() == [dropout.seed, 0]
    assert dropout.input is model.get_layer("body5_pool").output
    assert dense.input is dropout.output
    assert dense.activation is keras.activations.softmax
    assert model.output is dense.output


def test_options_of_the_network() -> None:
    given = {"path_kernels": "9x1,1x11,3x3", "dropout": 0.1, "l2": 0.5}
    model = build_light_sernet(from_flat({**given, "batch_norm_momentum": 0.8}), 2)
    assert model.get_layer("path1_conv").kernel_size == (9, 1)
    assert model.get_layer("path2_conv").kernel_size == (1, 11)
    assert model.get_layer("dropout").rate == 0.1
    assert float(model.get_layer("body1_conv").kernel_regularizer.l2) == 0.5
    assert model.get_layer("path1_norm").momentum == 0.8
    lone = build_light_sernet(from_flat({"path_kernels": "3x3"}), 2)
    assert lone.get_layer("paths").output.shape[-1] == 32


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 classes, got 1"):
        build_light_sernet(Settings(), 1)


def test_mixed_precision_keeps_probabilities_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_light_sernet(Settings(), 7)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("body1_conv").compute_dtype == "float16"
    assert model.output.dtype == "float32"


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_the_model_comes_back_from_its_file(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "weights.keras"
    model.save(path)
    again = keras.models.load_model(path)
    batch = np.random.RandomState(0).randn(2, 184, 40, 1).astype(np.float32)
    probabilities = model.predict(batch, verbose=0)
    np.testing.assert_array_equal(again.predict(batch, verbose=0), probabilities)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize(
    ("gamma", "losses"),
    [
        (2.0, [0.0321007, 0.0089257, 0.7797906]),  # by hand, from the formula
        (0.5, [-math.sqrt(1 - p) * math.log(p) for p in (0.7, 0.8, 0.25)]),
    ],
)
def test_focal_loss(shape: tuple[int, ...], gamma: float, losses: list[float]) -> None:
    each = SparseCategoricalFocalLoss(gamma, reduction="none")
    found = keras.ops.convert_to_numpy(each(TRUE.reshape(shape), PROBABILITIES))
    assert found.shape == (3,)
    np.testing.assert_allclose(found, losses, atol=1e-6)
    mean = SparseCategoricalFocalLoss(gamma)(TRUE.reshape(shape), PROBABILITIES)
    assert float(mean) == pytest.approx(np.mean(losses), abs=1e-6)


def test_gamma_0_is_cross_entropy() -> None:
    draw = np.random.RandomState(0)
    probabilities = draw.dirichlet(np.ones(7), 200).astype(np.float32)
    labels = draw.randint(7, size=200)
    focal = SparseCategoricalFocalLoss(gamma=0.0, reduction="none")
    entropy = build_loss(Network())
    assert isinstance(entropy, keras.losses.SparseCategoricalCrossentropy)
    entropy.reduction = "none"
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(focal(labels, probabilities)),
        keras.ops.convert_to_numpy(entropy(labels, probabilities)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_probability_of_0_or_1_has_a_finite_loss() -> None:
    certain = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    loss = SparseCategoricalFocalLoss(reduction="none")
    right, wrong = keras.ops.convert_to_numpy(loss(np.array([0, 1]), certain))
    assert right == pytest.approx(0.0, abs=1e-12)
    assert wrong == pytest.approx(-math.log(1e-7), rel=1e-4)


def test_the_loss_comes_back_from_its_configuration() -> None:
    loss = build_loss(Network(loss_name="focal", focal_gamma=1.5))
    stored = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(stored)
    assert isinstance(again, SparseCategoricalFocalLoss)
    assert again.get_config() == loss.get_config()
    assert again.gamma == 1.5
    np.testing.assert_array_equal(again(TRUE, PROBABILITIES), loss(TRUE, PROBABILITIES))
    with pytest.raises(InputError, match="gamma must be at least 0, got -1"):
        SparseCategoricalFocalLoss(gamma=-1)


def test_training_lowers_the_focal_loss() -> None:
    """The loss has a gradient: one layer learns three directions."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((3,)), layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(0.1), SparseCategoricalFocalLoss())
    batch, labels = np.eye(3, dtype=np.float32), np.arange(3)
    losses = [float(model.train_on_batch(batch, labels)) for _ in range(30)]
    assert losses[-1] < 0.1 * losses[0]
