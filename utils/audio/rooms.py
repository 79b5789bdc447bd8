"""Recordings as another room and another device give them.

A studio has neither noise nor echoes, and its device keeps all frequencies. What has
learnt from a studio alone is often wrong elsewhere. The echoes are those of a diffuse
field, noise that decays exponentially: Polack, "La transmission de l'énergie sonore
dans les salles", 1988.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

FloatArray = npt.NDArray[np.floating]
# To be raised when the same numbers give other rooms than before
ROOMS_FORMAT = 1
# What is drawn for a room, evenly between two values
NOISE_DB = (5.0, 45.0)
SLOPE = (0.0, 2.0)
ECHO_S = (0.2, 0.9)
ECHO_DB = (0.0, 6.0)
BAND_HZ = (3400.0, 8000.0)
ECHOES_AFTER_S = 0.0025
LOWEST_HZ = 50.0  # below it the noise is white
LEVEL_FRAME_S = 0.025
SPEECH_RANGE_DB = 30.0


@dataclass(frozen=True)
class Room:
    """A room with its noise, and the device that records there.

    Attributes:
        noise_db: Level of the noise below that of the speech.
        slope: Its power falls by 3 dB per octave times this: 0 white, 1 pink, 2 brown.
        echo_s: Time in which the echoes decay by 60 dB, at least 0.01 s; 0 without
            echoes.
        echo_db: Level of all echoes below the direct sound.
        band_hz: The device removes what is above; 0 if it removes nothing.
    """

    noise_db: float
    slope: float = 1.0
    echo_s: float = 0.0
    echo_db: float = 3.0
    band_hz: float = 0.0

    def place(
        self, samples: FloatArray, sample_rate_hz: int, random: np.random.RandomState
    ) -> FloatArray:
        """A recording as it would be if it were made in this room.

        Args:
            samples: (samples,), not empty.
            sample_rate_hz: Their rate.
            random: Draws echoes, then noise.

        Returns:
            Same shape, float64; the direct sound keeps its level.
        """
        sound = np.asarray(samples, np.float64)
        if self.echo_s:
            from scipy.signal import fftconvolve  # slow to import

            echoes = _echoes(self, sample_rate_hz, random)
            sound = sound + fftconvolve(sound, echoes)[: len(sound)]
        noise = coloured_noise(len(sound), self.slope, sample_rate_hz, random)
        gain = speech_level(sound, sample_rate_hz) * 10.0 ** (-self.noise_db / 20.0)
        sound = sound + gain * noise
        if self.band_hz:
            narrow = soxr.resample(sound, sample_rate_hz, 2.0 * self.band_hz)
            wide = soxr.resample(narrow, 2.0 * self.band_hz, sample_rate_hz)
            sound[: len(wide)] = wide[: len(sound)]
        return sound


def draw_room(number: int, voice: str) -> Room:
    """The room in which a voice is heard in one copy of a corpus.

    Args:
        number: Of the copy, from 1. Of four copies, the second and the fourth have
            echoes, the third and the fourth a limited band.
        voice: Name of the speaker, or of the recording if it has none.
    """
    random = np.random.RandomState([ROOMS_FORMAT, number, name_number(voice)])
    noise_db, slope, echo_s, echo_db, band_hz = (
        random.uniform(*limits)
        for limits in (NOISE_DB, SLOPE, ECHO_S, ECHO_DB, BAND_HZ)
    )
    has_echoes, is_narrow = number % 2 == 0, number % 4 in (3, 0)
    return Room(
        noise_db=noise_db,
        slope=slope,
        echo_s=echo_s if has_echoes else 0.0,
        echo_db=echo_db,
        band_hz=band_hz if is_narrow else 0.0,
    )


def name_number(name: str) -> int:
    """A number for a name, to draw from: the same in every process."""
    return zlib.crc32(name.encode())


def _echoes(
    room: Room, sample_rate_hz: int, random: np.random.RandomState
) -> FloatArray:
    """Impulse response of the room without the direct sound."""
    time_s = np.arange(int(room.echo_s * sample_rate_hz)) / sample_rate_hz
    response = random.standard_normal(len(time_s)) * 10.0 ** (-3 * time_s / room.echo_s)
    response[time_s < ECHOES_AFTER_S] = 0.0
    level = np.sqrt(np.sum(response**2))
    return response * 10.0 ** (-room.echo_db / 20.0) / level


def coloured_noise(
    count: int, slope: float, sample_rate_hz: int, random: np.random.RandomState
) -> FloatArray:
    """Gaussian noise whose power falls by `slope` times 3 dB per octave.

    Returns:
        (count,), with a root mean square of 1.
    """
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies_hz = np.fft.rfftfreq(count, 1.0 / sample_rate_hz)
    spectrum *= np.maximum(frequencies_hz, LOWEST_HZ) ** (-slope / 2.0)
    noise = np.fft.irfft(spectrum, count)
    return noise / np.sqrt(np.mean(noise**2))


def speech_level(samples: FloatArray, sample_rate_hz: int) -> float:
    """Root mean square of the frames within 30 dB of the loudest one; 0 for silence."""
    length = max(1, min(len(samples), int(LEVEL_FRAME_S * sample_rate_hz)))
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    power = np.mean(frames**2, axis=1)
    is_speech = power >= power.max() * 10.0 ** (-SPEECH_RANGE_DB / 10.0)
    return float(np.sqrt(power[is_speech].mean()))
