"""Where a fold's random draws come from: one seed, one stream per purpose.

Streams come from `RandomState`: its numbers are the same in every version of NumPy.
"""

import enum

import numpy as np

from hyperparameters import Settings


class Stream(enum.IntEnum):
    """What is drawn from one seed; the numbers must not change."""

    PUBLISHED_FOLDS = 0
    PAPER_HOLD_OUTS = 1
    RANDOM_FOLDS = 2
    RANDOM_VALIDATION = 3
    INITIAL_WEIGHTS = 4
    EPOCH_ORDER = 5
    CALIBRATION = 6
    VARIATION = 7
    VOICES = 8
    KNOWN_VOICE = 9
    MASKS = 10


def random_state(
    settings: Settings, stream: Stream, *numbers: int
) -> np.random.RandomState:
    """A random generator for one purpose.

    Args:
        settings: The seed is taken from them.
        stream: The purpose.
        numbers: Fold, epoch and the like; each gives another generator.
    """
    return np.random.RandomState([settings.training.seed, int(stream), *numbers])
