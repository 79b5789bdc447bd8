"""Light-SERNet V1 and its losses, in Keras 3 for any backend.

Aftab, Morsali, Ghaemmaghami, Champagne, "Light-SERNet: a lightweight fully
convolutional neural network for speech emotion recognition", ICASSP 2022.
"""

import functools
import random
from collections.abc import Callable

import keras
from keras import KerasTensor, layers, ops

from hyperparameters import InputError, Network, Settings

PATH_FILTERS = 32
PATH_POOL = (2, 2)
# filters, kernel, average pool; None pools globally (Light-SERNet, section 2.2)
BODY = (
    (64, (3, 3), (2, 2)),
    (96, (3, 3), (2, 2)),
    (128, (3, 3), (2, 1)),
    (160, (3, 3), (2, 1)),
    (320, (1, 1), None),
)
DEFAULT_SEED_LIMIT = 10**9  # as for the seeds that Keras draws
Pair = tuple[int, int]
Norm = Callable[..., layers.BatchNormalization]


def build_light_sernet(
    settings: Settings,
    num_classes: int,
    batch_norm: Norm = layers.BatchNormalization,
) -> keras.Model:
    """Build the network; it is not compiled.

    Args:
        settings: Input shape, kernels, dropout, L2, batch-norm momentum.
        num_classes: Number of classes; with 7, the network has 463,431 parameters.
        batch_norm: Keras's layer, or another layer with the same result.

    Returns:
        Model from (batch, frames, features, 1) to float32 class probabilities
        (batch, num_classes).

    Raises:
        InputError: Fewer than two classes.
    """
    if num_classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, got {num_classes}")
    network = settings.network
    norm = functools.partial(batch_norm, momentum=network.batch_norm_momentum)
    inputs = layers.Input(settings.front_end.input_shape, name="features")
    paths = [
        _path(inputs, kernel, f"path{number}", norm)
        for number, kernel in enumerate(network.kernels, start=1)
    ]
    hidden = layers.Concatenate(name="paths")(paths)
    for number, (filters, kernel, pool) in enumerate(BODY, start=1):
        hidden = layers.Conv2D(
            filters,
            kernel,
            padding="same",
            use_bias=False,
            kernel_regularizer=keras.regularizers.L2(network.l2),
            name=f"body{number}_conv",
        )(hidden)
        hidden = _normalise_and_pool(hidden, pool, f"body{number}", norm)
    # Without a seed, PyTorch's dropout would use a random state that is not among the
    # model's variables, and a resumed run would differ. Keras draws seeds like this.
    seed = random.randint(1, DEFAULT_SEED_LIMIT) if network.dropout else None
    hidden = layers.Dropout(network.dropout, seed=seed, name="dropout")(hidden)
    # float32 also under mixed precision: a float16 softmax loses small probabilities
    outputs = layers.Dense(
        num_classes, activation="softmax", dtype="float32", name="probabilities"
    )(hidden)
    return keras.Model(inputs, outputs, name="light_sernet")


def _path(inputs: KerasTensor, kernel: Pair, name: str, norm: Norm) -> KerasTensor:
    """One of the three paths: convolution with bias, then as in every stage."""
    conv = layers.Conv2D(PATH_FILTERS, kernel, padding="same", name=f"{name}_conv")
    return _normalise_and_pool(conv(inputs), PATH_POOL, name, norm)


def _normalise_and_pool(
    hidden: KerasTensor, pool: Pair | None, name: str, norm: Norm
) -> KerasTensor:
    """Batch norm → ReLU → average pool, the end of every stage."""
    hidden = norm(name=f"{name}_norm")(hidden)
    hidden = layers.ReLU(name=f"{name}_relu")(hidden)
    if pool is None:
        return layers.GlobalAveragePooling2D(name=f"{name}_pool")(hidden)
    return layers.AveragePooling2D(pool, padding="same", name=f"{name}_pool")(hidden)


@keras.saving.register_keras_serializable(package="light_sernet")
class SparseCategoricalFocalLoss(keras.losses.Loss):
    """Cross-entropy times (1 − p)^γ, with p the probability of the true class.

    Easy utterances count less (Lin, Goyal, Girshick, He, Dollár, "Focal loss for
    dense object detection", ICCV 2017, equation 4). There are no class weights.

    Args:
        gamma: Focusing parameter, at least 0; with 0 it is cross-entropy.
        reduction, name, dtype: As in `keras.losses.Loss`.

    Call:
        y_true: (batch,) or (batch, 1), class indices.
        y_pred: (batch, classes), probabilities.

    Raises:
        InputError: `gamma` is negative.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        reduction: str = "sum_over_batch_size",
        name: str = "sparse_categorical_focal_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if gamma < 0.0:
            raise InputError(f"gamma must be at least 0, got {gamma}")
        self.gamma = gamma

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """The loss of each utterance, (batch,)."""
        epsilon = keras.config.epsilon()  # 1e-7, as Keras's own cross-entropy clips
        indices = ops.cast(ops.reshape(y_true, (-1, 1)), "int32")
        true_probability = ops.take_along_axis(y_pred, indices, axis=-1)[:, 0]
        clipped = ops.clip(true_probability, epsilon, 1.0 - epsilon)
        return -ops.power(1.0 - clipped, self.gamma) * ops.log(clipped)

    def get_config(self) -> dict[str, object]:
        """Arguments that rebuild the loss."""
        return {**super().get_config(), "gamma": self.gamma}


def build_loss(network: Network) -> keras.losses.Loss:
    """The loss that `network.loss_name` names, for class indices and probabilities."""
    if network.loss_name == "focal":
        return SparseCategoricalFocalLoss(network.focal_gamma)
    return keras.losses.SparseCategoricalCrossentropy()
