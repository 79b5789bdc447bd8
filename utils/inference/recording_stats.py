"""What a recording is like: length, silence, speech, bandwidth, the decoder's notes."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.bandwidth import FRAME_SAMPLES, Bandwidth, needed_hz
from utils.audio.windows import (
    LEAST_FRAMES,
    SILENCE_DB,
    SPEECH_LEVEL_PERCENTILE,
    is_even,
    is_speech,
    level_db,
)

FloatArray = npt.NDArray[np.floating]

LEAST_SPEECH_S = 0.75  # a note follows below; no EMO-DB file has less
# A note follows if the level between words is closer to that of the loudest speech. It
# is 39 dB below it or more in 99 % of EMO-DB's files, 21 dB or more in all of 197 cuts
# of 2 s from their middle (shorter ones may have no pause), and less than 21 dB in 99 %
# of the files if noise is 10 dB below the mean level of the speech.
BACKGROUND_DB = 21.0
BACKGROUND_PERCENTILE = 2.0
LEAST_BACKGROUND_S = 2.0
MARGIN_FRAMES = 3  # 0.2 s at 16 kHz: soft sounds at the ends of words
QUIETEST_DB = -100.0  # below it is digital silence, which no room has


class RecordingStats:
    """Length, silence, bandwidth and decoder's notes, measured block by block."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.samples = 0
        self.has_sound = False
        self.notes: list[str] = []  # of the decoder
        self._rate_hz = sample_rate_hz
        self._bandwidth = Bandwidth(sample_rate_hz)

    def measure(self, stream: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Yield the same blocks, and measure them as they pass."""
        for block in stream:
            self.add(block)
            yield block

    def add(self, block: FloatArray) -> None:
        """Measure the next samples, (samples,)."""
        self.samples += len(block)
        self.has_sound = self.has_sound or level_db(block) > SILENCE_DB
        self._bandwidth.add(block)

    @property
    def duration_s(self) -> float:
        """Length so far, in seconds."""
        return self.samples / self._rate_hz

    @property
    def bandwidth_hz(self) -> float | None:
        """Highest frequency with sound; None if the recording is too short."""
        return self._bandwidth.hz

    @property
    def levels_db(self) -> FloatArray:
        """(frames,): level of each frame of `FRAME_SAMPLES`."""
        return self._bandwidth.levels_db

    def speech_s(self, start: int = 0, end: int | None = None) -> float:
        """Duration of the speech between two samples, in seconds."""
        frames = slice(start // FRAME_SAMPLES, end and end // FRAME_SAMPLES)
        if not len(self.levels_db):
            return 0.0
        count = int(is_speech(self.levels_db)[frames].sum())
        return count * FRAME_SAMPLES / self._rate_hz

    def near_speech(self) -> npt.NDArray[np.bool_]:
        """(samples,) of all whole frames: whether there is speech there or nearby."""
        frames = is_speech(self.levels_db) if len(self.levels_db) else np.empty(0, bool)
        near = np.convolve(frames, np.ones(2 * MARGIN_FRAMES + 1))
        near = near[MARGIN_FRAMES:][: len(frames)]
        return np.repeat(near > 0, FRAME_SAMPLES)

    @property
    def telling_s(self) -> float:
        """Shorter windows, in seconds, do not tell whether they are even."""
        return (LEAST_FRAMES + 1) * FRAME_SAMPLES / self._rate_hz

    def is_even_around(self, time_s: float) -> bool:
        """Whether the 16 frames around a time, in seconds, are as even as noise."""
        first = int(time_s * self._rate_hz) // FRAME_SAMPLES - LEAST_FRAMES
        first = max(0, min(first, len(self.levels_db) - 2 * LEAST_FRAMES))
        return is_even(self.levels_db[first:][: 2 * LEAST_FRAMES])

    @property
    def background_db(self) -> float | None:
        """Level between words below that of loud speech; None if it cannot be told."""
        levels = self.levels_db[self.levels_db > QUIETEST_DB]
        if len(levels) * FRAME_SAMPLES < LEAST_BACKGROUND_S * self._rate_hz:
            return None
        percentiles = (BACKGROUND_PERCENTILE, SPEECH_LEVEL_PERCENTILE)
        low, high = np.percentile(levels, percentiles)
        return float(high - low)

    def check(self, name: str, front_end: FrontEnd) -> None:
        """Raise if the recording cannot be classified.

        Raises:
            InputError: It is empty, shorter than one frame, or silent throughout.
        """
        if self.samples == 0:
            raise InputError(f"{name}: contains no samples")
        if self.samples < front_end.frame_length_samples:
            shortest_ms = 1000 * front_end.frame_length_samples / self._rate_hz
            raise InputError(
                f"{name}: must last at least {shortest_ms:g} ms, got "
                f"{1000 * self.duration_s:.3g} ms"
            )
        if not self.has_sound:
            raise InputError(f"{name}: is silent throughout")

    def all_notes(self, front_end: FrontEnd) -> tuple[str, ...]:
        """The decoder's notes; an empty upper band, little speech, much noise."""
        found_hz, wanted_hz = self.bandwidth_hz, needed_hz(front_end)
        notes = list(self.notes)
        if found_hz is not None and found_hz < wanted_hz:
            notes.append(
                f"sound reaches only {found_hz / 1000:.1f} kHz, but the model expects "
                f"{wanted_hz / 1000:.1f} kHz (telephone or lossy coding): the answer "
                "is unreliable"
            )
        if (speech_s := self.speech_s()) < LEAST_SPEECH_S:
            notes.append(f"only {speech_s:.1f} s of speech: the answer is unreliable")
        elif (below := self.background_db) is not None and below < BACKGROUND_DB:
            notes.append(
                f"noise or echoes are only {below:.0f} dB below the loudest speech: "
                "the answer is unreliable"
            )
        return tuple(notes)
