"""Copies of a corpus to train on as well: at other speeds, then in other rooms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from hyperparameters import Inputs
from utils.audio.rooms import ROOMS_FORMAT, draw_room, name_number

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Copy:
    """What differs from the recordings as they are.

    Attributes:
        speed: Factor of playing speed: pitch, formants and tempo change.
        room: Number of the copy whose rooms are heard; 0 for none.
    """

    speed: float = 1.0
    room: int = 0

    def play(
        self, samples: FloatArray, sample_rate_hz: int, name: str, voice: str
    ) -> FloatArray:
        """One recording of the copy.

        Args:
            samples: (samples,), not empty.
            sample_rate_hz: Their rate.
            name: Of the recording; its echoes and its noise are drawn from it.
            voice: The room is drawn from it: how loud, long and wide these are.

        Returns:
            Same shape, or shorter or longer at another speed.
        """
        if self.speed != 1.0:
            samples = soxr.resample(
                samples, sample_rate_hz * self.speed, sample_rate_hz
            )
        if self.room:
            numbers = [ROOMS_FORMAT, self.room, name_number(name)]
            random = np.random.RandomState(numbers)
            room = draw_room(self.room, voice)
            samples = room.place(samples, sample_rate_hz, random)
        return samples


ORIGINAL = Copy()


def copies_of(inputs: Inputs) -> tuple[Copy, ...]:
    """The copies that the settings ask for, without the original."""
    speeds = [Copy(speed=factor) for factor in inputs.speed_factors]
    return (*speeds, *(Copy(room=n) for n in range(1, inputs.rooms + 1)))
