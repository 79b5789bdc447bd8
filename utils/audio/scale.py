"""Standardise features by mean and standard deviation of the sounding frames.

The scale is that of the training corpus, or that of one voice, which some unlabelled
recordings of it teach: the fewer they are, the closer the scale stays to the corpus's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd

FloatArray = npt.NDArray[np.floating]
# A frame sounds if its level is at most this far below the recording's loudest frame;
# in natural logarithms of amplitude: 52 dB.
SOUNDING_RANGE = 6.0
# The standard deviation of a voice weighs n / (n + 10) after n recordings.
DEVIATION_RECORDINGS = 10.0
LEAST_DEVIATION = 1e-3
COMPARED = slice(1, 20)  # features that tell voices apart; the zeroth is the level
DECIMALS = 5


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each feature.

    Attributes:
        mean: (features,).
        deviation: (features,), above 0.
    """

    mean: FloatArray
    deviation: FloatArray

    def apply(
        self, features: npt.NDArray[np.float32], front_end: FrontEnd
    ) -> npt.NDArray[np.float32]:
        """Standardise features; MFCC are then clipped to ± `mfcc_limit`.

        Args:
            features: (..., frames, features, 1), not clipped.
            front_end: Input type and limit.

        Returns:
            Same shape, float32.
        """
        mean, deviation = self.mean[:, None], self.deviation[:, None]
        values = (features - mean) / deviation
        if front_end.input_type == "mfcc":
            values = np.clip(values, -front_end.mfcc_limit, front_end.mfcc_limit)
        return values.astype(np.float32)


@dataclass(frozen=True)
class Moments:
    """Sums over the sounding frames of some recordings; they can be added.

    Attributes:
        recordings: Number of recordings.
        frames: Number of sounding frames.
        total: (features,), sum of each feature.
        squares: (features,), sum of its squares.
    """

    recordings: int
    frames: int
    total: FloatArray
    squares: FloatArray

    @property
    def scale(self) -> Scale:
        """Mean and standard deviation over all sounding frames."""
        mean = self.total / self.frames
        variance = self.squares / self.frames - mean**2
        return Scale(mean, np.sqrt(np.maximum(variance, LEAST_DEVIATION**2)))


def distance(found: Scale, expected: Scale) -> float:
    """How far two voices are apart: the root mean square difference of feature means.

    Args:
        found: Scale of some recordings.
        expected: Its standard deviations are the unit.
    """
    difference = (found.mean - expected.mean) / expected.deviation
    return float(np.sqrt(np.mean(difference[COMPARED] ** 2)))


def level(features: FloatArray, front_end: FrontEnd) -> FloatArray:
    """Natural logarithm of each frame's mean amplitude over the mel bands.

    Args:
        features: (..., frames, features, 1): MFCC, not clipped, or log mel.
        front_end: Input type; not `spectrogram`.

    Returns:
        (..., frames).
    """
    values = features[..., 0]
    if front_end.input_type == "mfcc":  # the zeroth is the sum times 2 / sqrt(2 bands)
        return values[..., 0] / np.sqrt(2.0 * front_end.num_mel_bins)
    return values.mean(axis=-1)


def measure(features: FloatArray, front_end: FrontEnd) -> Moments:
    """The moments of one recording's sounding frames.

    Args:
        features: (frames, features, 1), not clipped, not standardised.
        front_end: Input type.
    """
    levels = level(features, front_end)
    kept = features[levels > levels.max() - SOUNDING_RANGE, :, 0].astype(np.float64)
    return Moments(1, len(kept), kept.sum(axis=0), np.square(kept).sum(axis=0))


def add(moments: Sequence[Moments]) -> Moments:
    """The moments of several sets of recordings together.

    Args:
        moments: At least one.
    """
    return Moments(
        sum(item.recordings for item in moments),
        sum(item.frames for item in moments),
        np.sum([item.total for item in moments], axis=0),
        np.sum([item.squares for item in moments], axis=0),
    )


@dataclass(frozen=True)
class Voices:
    """What the voices of a training corpus have in common.

    Attributes:
        typical: The mean over voices of their scales: for a voice not known.
        recordings_needed: (features,), the number of recordings after which the mean of
            a voice counts as much as that of the corpus: the variance of recordings
            within a voice, divided by that of the voices' means.
    """

    typical: Scale
    recordings_needed: FloatArray

    def scale_of(self, voice: Moments | None) -> Scale:
        """The scale of a voice, shrunk towards the corpus's if recordings are few.

        Args:
            voice: Moments of its recordings; None if there are none.
        """
        if voice is None:
            return self.typical
        count, found = voice.recordings, voice.scale
        of_mean = count / (count + self.recordings_needed)
        of_deviation = count / (count + DEVIATION_RECORDINGS)
        return Scale(
            of_mean * found.mean + (1.0 - of_mean) * self.typical.mean,
            of_deviation * found.deviation
            + (1.0 - of_deviation) * self.typical.deviation,
        )

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON: `mean`, `deviation`, `recordings_needed`, one number per feature."""
        arrays = (self.typical.mean, self.typical.deviation, self.recordings_needed)
        names = ("mean", "deviation", "recordings_needed")
        return {
            name: np.round(values, DECIMALS).tolist()
            for name, values in zip(names, arrays, strict=True)
        }

    @staticmethod
    def from_dict(values: dict[str, Any], num_features: int) -> "Voices":
        """Read what `to_dict` returned.

        Args:
            values: The JSON object.
            num_features: Features per frame.

        Raises:
            ValueError: A list is missing or has another length, or a number is not
                finite or a deviation not above 0.
        """
        rows = []
        for name in ("mean", "deviation", "recordings_needed"):
            row = np.array(values.get(name, ()), np.float64)
            if row.shape != (num_features,) or not np.isfinite(row).all():
                raise ValueError(f"{name} must be {num_features} finite numbers")
            rows.append(row)
        if (rows[1] <= 0.0).any() or (rows[2] < 0.0).any():
            raise ValueError("deviation must be above 0, recordings_needed at least 0")
        return Voices(Scale(rows[0], rows[1]), rows[2])


def learn_voices(recordings: Mapping[str, Sequence[Moments]]) -> Voices:
    """What the voices of a corpus have in common.

    Args:
        recordings: The moments of each recording, by speaker.
    """
    scales = [add(of_voice).scale for of_voice in recordings.values()]
    means = np.stack([scale.mean for scale in scales])
    typical = Scale(
        means.mean(axis=0), np.mean([scale.deviation for scale in scales], axis=0)
    )
    within = np.mean(
        [
            np.var([item.scale.mean for item in of_voice], axis=0, ddof=1)
            for of_voice in recordings.values()
            if len(of_voice) > 1
        ]
        or [np.zeros_like(typical.mean)],
        axis=0,
    )
    between = means.var(axis=0, ddof=1) if len(means) > 1 else np.zeros(means.shape[1])
    return Voices(typical, within / np.maximum(between, np.finfo(np.float64).eps))
