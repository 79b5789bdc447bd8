"""How far up a recording reaches: telephone and low-bitrate codecs leave a band empty.

The network was trained on full-band speech. Where nothing is recorded the logarithm of
mel + 1e-6 falls by many units, and the answer is no longer to be relied on.
"""

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd

FRAME_SAMPLES = 1024
# Below lie offset, hum and rumble, which no feature hears: they set no level.
LOWEST_HZ = 80.0
# Mean spectrum below this, relative to its peak, counts as empty. Of 535 EMO-DB files
# none falls below -65 dB up to 8 kHz; above the edge of an 8 kHz copy, or of MP3 at
# 16 kHz, the mean spectrum lies under -100 dB.
EMPTY_DB = -65.0
# A band edge this near the Nyquist frequency is a resampling filter's.
USABLE_SHARE_OF_NYQUIST = 0.9375


class Bandwidth:
    """The highest frequency with sound in a stream of blocks, in flat memory."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Start with nothing heard; see `add`."""
        self._sample_rate_hz = sample_rate_hz
        self._power = np.zeros(FRAME_SAMPLES // 2 + 1)
        self._rest = np.empty(0)
        self._window = np.hanning(FRAME_SAMPLES)

    def add(self, block: npt.NDArray[np.floating]) -> None:
        """Take in the next samples, (samples,)."""
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        frames = joined[:whole].reshape(-1, FRAME_SAMPLES)
        self._power += (np.abs(np.fft.rfft(frames * self._window)) ** 2).sum(axis=0)
        self._rest = joined[whole:]

    @property
    def hz(self) -> float | None:
        """Bandwidth in Hz; None where less than a frame (64 ms) or no sound came."""
        frequencies_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / self._sample_rate_hz)
        power = np.where(frequencies_hz >= LOWEST_HZ, self._power, 0.0)
        peak = power.max()
        if peak <= 0.0:
            return None
        heard = power > peak * 10 ** (EMPTY_DB / 10)
        return float(frequencies_hz[heard][-1])


def needed_hz(front_end: FrontEnd) -> float:
    """The bandwidth the features need; 7500 Hz for mel up to 7600 at 16 kHz."""
    nyquist_hz = front_end.sample_rate_hz / 2
    is_mel = front_end.input_type != "spectrogram"
    top_hz = front_end.mel_high_hz if is_mel else nyquist_hz
    return min(top_hz, USABLE_SHARE_OF_NYQUIST * nyquist_hz)
