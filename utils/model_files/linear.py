"""A linear model on functionals, for voices of which all, little or nothing is known.

It may answer beside a network; then the mean of both counts. It is kept in a `.npz`
file of plain numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.functionals import NUM_FUNCTIONALS, functionals, most_samples
from utils.audio.prepare import cut
from utils.audio.scale import Moments, Scale, Voices
from utils.files import read_arrays, write_atomic

FloatArray = npt.NDArray[np.floating]
LIMIT = 5.0  # standardised functionals are clipped to ± this value
FORMAT = 2  # 1 had other functionals
LINEAR_SUFFIX = "_functionals.npz"  # of file names; the stem is the network's
ARRAYS = ("corpus_mean", "corpus_deviation", "mean", "deviation", "recordings_needed")
MOST_BYTES = 2**23  # of the file; with seven classes it has 0.1 MB
MOST_NUMBER = 1e15  # of any number; the greatest of deviations' inverses too


def standardise(
    values: FloatArray, mean: FloatArray, deviation: FloatArray
) -> FloatArray:
    """Scale functionals, (n, functionals), and clip outliers."""
    scaled = (values - mean) / (deviation + np.finfo(np.float32).eps)
    return np.clip(scaled, -LIMIT, LIMIT)


def moments_of(values: FloatArray) -> Moments:
    """The moments of one recording's functionals; it counts as one frame."""
    wide = values.astype(np.float64)
    return Moments(1, 1, wide, wide**2)


def recording_functionals(
    samples: FloatArray, sample_rate_hz: int
) -> npt.NDArray[np.float32]:
    """The functionals of one recording, of its centre if it is long."""
    part = cut(samples, most_samples(sample_rate_hz))[0]
    return functionals(part, sample_rate_hz)


@dataclass(frozen=True)
class LinearModel:
    """Linear discriminant analysis on functionals that are scaled to the voice.

    Attributes:
        classes: Class names.
        corpus: Mean and standard deviation of the training set: common units.
        voices: What the training voices have in common, in these units.
        weights: (functionals, classes), of functionals scaled to the voice.
        bias: (classes,); −inf for a class that the training set lacks.
        voice: Sum of `moments_of` recordings of the voice to be classified; None if it
            is not known.
    """

    classes: tuple[str, ...]
    corpus: Scale
    voices: Voices
    weights: FloatArray
    bias: FloatArray
    voice: Moments | None = None

    def predict(self, values: FloatArray) -> FloatArray:
        """Class probabilities of recordings of one voice.

        Args:
            values: (recordings, functionals).

        Returns:
            (recordings, classes).
        """
        scale = self.voices.scale_of(self.voice and self._in_units(self.voice))
        values = (values - self.corpus.mean) / self.corpus.deviation
        scaled = standardise(values, scale.mean, scale.deviation)
        return softmax(scaled @ self.weights + self.bias)

    def _in_units(self, voice: Moments) -> Moments:
        """Moments of functionals that are standardised by the training set."""
        mean, deviation = self.corpus.mean, self.corpus.deviation
        squares = voice.squares - 2.0 * mean * voice.total + voice.frames * mean**2
        total = (voice.total - voice.frames * mean) / deviation
        return Moments(voice.recordings, voice.frames, total, squares / deviation**2)


def softmax(scores: FloatArray) -> FloatArray:
    """Probabilities from scores, row by row."""
    values = np.exp(scores - scores.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def save_linear(path: Path, model: LinearModel) -> None:
    """Write a linear model, atomically, in float32.

    Raises:
        OSError: The file cannot be written.
    """
    corpus, typical = model.corpus, model.voices.typical
    rows = (corpus.mean, corpus.deviation, typical.mean, typical.deviation)
    arrays = dict(zip(ARRAYS, (*rows, model.voices.recordings_needed), strict=True))
    arrays |= {"weights": model.weights, "bias": model.bias}
    narrow = {name: values.astype(np.float32) for name, values in arrays.items()}
    names, number = np.array(model.classes), np.array(FORMAT)
    write_atomic(
        path,
        lambda file: np.savez(file, format=number, classes=names, **narrow),  # type: ignore[arg-type]
    )


def load_linear(path: Path, classes: tuple[str, ...]) -> LinearModel:
    """Read a linear model.

    Args:
        path: From `save_linear`.
        classes: Those of the network that it answers beside.

    Raises:
        InputError: The file is missing, damaged or no linear model, is for other
            functionals, or has other classes.
    """
    try:
        found = read_arrays(path, MOST_BYTES)
        if found.pop("format") != FORMAT:
            raise InputError(
                f"{path}: is for other functionals than this version computes; make "
                "it again with `python train.py --export_only RUN`"
            )
        names = tuple(str(name) for name in found.pop("classes"))
        if any(array.dtype.kind != "f" for array in found.values()):
            raise ValueError
        values = {name: array.astype(np.float64) for name, array in found.items()}
        model = LinearModel(
            names,
            Scale(values["corpus_mean"], values["corpus_deviation"]),
            Voices(
                Scale(values["mean"], values["deviation"]), values["recordings_needed"]
            ),
            values["weights"],
            values["bias"],
        )
        _check(model, values)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged or no linear model") from error
    if names != classes:
        raise InputError(
            f"{path}: has the classes {', '.join(names)}, the network has "
            f"{', '.join(classes)}"
        )
    return model


def _check(model: LinearModel, values: Mapping[str, FloatArray]) -> None:
    """Raise ValueError if shapes or numbers are impossible."""
    functionals_shape = (NUM_FUNCTIONALS,)
    if any(values[name].shape != functionals_shape for name in ARRAYS):
        raise ValueError
    if model.weights.shape != (*functionals_shape, len(model.classes)):
        raise ValueError
    if model.bias.shape != (len(model.classes),) or not np.isfinite(model.bias.max()):
        raise ValueError  # −inf is the bias of a class that no recording had
    bias = model.bias[model.bias > -np.inf]
    numbers = [bias, *(values[name] for name in (*ARRAYS, "weights"))]
    # NaN is not below the limit
    if not all((np.abs(array) < MOST_NUMBER).all() for array in numbers):
        raise ValueError
    if model.voices.recordings_needed.min() < 0.0:
        raise ValueError
    deviations = (model.corpus.deviation, model.voices.typical.deviation)
    if min(array.min() for array in deviations) < 1.0 / MOST_NUMBER:
        raise ValueError
