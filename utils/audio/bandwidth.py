"""The spectrum of a recording: its highest frequency, and its level over time.

Telephones and codecs leave the upper bands empty.

The network was trained on full-band speech. In an empty band, the logarithm of mel +
1e-6 falls by many units, so predictions become unreliable.
"""

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd

FRAME_SAMPLES = 1024
# Offset, hum and rumble lie below; no feature contains them, so they set no level.
LOWEST_HZ = 80.0
# A mean spectrum below this, relative to its peak, is empty. No EMO-DB file falls below
# -65 dB up to 8 kHz; above the band of an 8 kHz copy or an MP3 at 16 kHz, the mean
# spectrum is below -100 dB.
EMPTY_DB = -65.0
# Band edges above this share of the Nyquist frequency are due to resampling filters.
USABLE_SHARE_OF_NYQUIST = 0.9375
# Most power of speech. Below it, rumble changes the level more than a voice does.
SPEECH_BAND_HZ = (250.0, 3500.0)
LEAST_POWER = 1e-20
FULL_SCALE_DB = 10.0 * np.log10(FRAME_SAMPLES**2 * 3 / 16)  # noise of level 0 dB


class Bandwidth:
    """Measures the highest frequency in a stream of blocks, in constant memory."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Start without samples; see `add`."""
        self._sample_rate_hz = sample_rate_hz
        self._power = np.zeros(FRAME_SAMPLES // 2 + 1)
        self._rest = np.empty(0)
        self._window = np.hanning(FRAME_SAMPLES)
        bins = np.array(SPEECH_BAND_HZ) * FRAME_SAMPLES / sample_rate_hz
        self._band = slice(*np.rint(bins).astype(int))
        self._levels_db = [np.empty(0)]

    def add(self, block: npt.NDArray[np.floating]) -> None:
        """Add the next samples, (samples,)."""
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        frames = joined[:whole].reshape(-1, FRAME_SAMPLES)
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2
        self._power += power.sum(axis=0)
        band = np.maximum(power[:, self._band].sum(axis=1), LEAST_POWER)
        self._levels_db.append(10.0 * np.log10(band) - FULL_SCALE_DB)
        self._rest = joined[whole:]

    @property
    def levels_db(self) -> npt.NDArray[np.float64]:
        """(frames,): level from 250 to 3500 Hz of each frame of 64 ms, dB."""
        return np.concatenate(self._levels_db)

    @property
    def hz(self) -> float | None:
        """Bandwidth in Hz; None for silence or less than one frame (64 ms)."""
        frequencies_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / self._sample_rate_hz)
        power = np.where(frequencies_hz >= LOWEST_HZ, self._power, 0.0)
        peak = power.max()
        if peak <= 0.0:
            return None
        is_filled = power > peak * 10 ** (EMPTY_DB / 10)
        return float(frequencies_hz[is_filled][-1])


def needed_hz(front_end: FrontEnd) -> float:
    """The bandwidth that the features need: 7500 Hz for mel up to 7600 at 16 kHz."""
    nyquist_hz = front_end.sample_rate_hz / 2
    is_mel = front_end.input_type != "spectrogram"
    top_hz = front_end.mel_high_hz if is_mel else nyquist_hz
    return min(top_hz, USABLE_SHARE_OF_NYQUIST * nyquist_hz)
