"""Slide a window over a recording of any length, in constant memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError

FloatArray = npt.NDArray[np.floating]

# Normalising lifts silence to full scale, and the network then predicts an emotion for
# it. So the level decides: a window this far below the file's speech level is not
# speech. The softest utterance of EMO-DB is 12 dB below the corpus's level (10 dB more
# for a window with a tenth of speech); the quietest frames of 95 % of its files are at
# least 26 dB below their speech.
SPEECH_RANGE_DB = 25.0
SPEECH_LEVEL_PERCENTILE = 95.0
SILENCE_DB = -200.0  # stands for digital silence, whose logarithm is not finite
# The level of speech rises and falls with its syllables. The range from the 10th to the
# 95th percentile of its frames is above 12 dB in every EMO-DB file, and above 5 dB in
# 99.8 % of their windows of 1 s; it is below 5 dB in hiss, hum and the noise of fans.
EVEN_RANGE_DB = 5.0
EVEN_PERCENTILE = 10.0
LEAST_FRAMES = 8  # fewer (half a second) do not tell
HOP_S = 1.0
LONGEST_HOP_S = 86_400.0
# Of streams that never end:
ROOM_DB = -60.0  # before anyone speaks, room noise must not set the speech level
LEVELS_KEPT = 600  # windows that set the speech level: ten minutes at 1 s


class Window(NamedTuple):
    """Part of a recording: first sample and samples, (samples,), float64."""

    start: int
    samples: FloatArray


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """Length and hop of the window, in samples."""

    length: int
    hop: int

    @classmethod
    def build(
        cls, front_end: FrontEnd, *, length_s: float | None, hop_s: float | None
    ) -> "Sliding":
        """Window and hop for a model.

        Args:
            front_end: The model's; its duration is the longest and default window.
            length_s: Window in seconds; shorter ones are padded as in training.
            hop_s: Seconds from one window to the next; by default a second, or the
                window if it is shorter, so that all is heard.

        Raises:
            InputError: The window is longer than the model's segment or shorter than
                one frame, or the hop is not positive or above a day.
        """
        longest_s = front_end.duration_s
        length_s = longest_s if length_s is None else length_s
        if not 0.0 < length_s <= longest_s:
            raise InputError(
                f"--length must be above 0 and at most the model's segment, "
                f"{longest_s:g} s, got {length_s:g}"
            )
        length = int(length_s * front_end.sample_rate_hz)
        if length < front_end.frame_length_samples:
            raise InputError(
                f"--length must be at least one frame, {front_end.frame_length_samples}"
                f" samples at {front_end.sample_rate_hz} Hz, got {length_s:g} s"
            )
        hop_s = min(HOP_S, length_s) if hop_s is None else hop_s
        shortest_hop_s = 1.0 / front_end.sample_rate_hz
        if not shortest_hop_s <= hop_s <= LONGEST_HOP_S:
            raise InputError(
                f"--hop must be above 0 and at most {LONGEST_HOP_S:g} s, got {hop_s:g}"
            )
        return cls(length=length, hop=int(hop_s * front_end.sample_rate_hz))


def slide(blocks: Iterable[FloatArray], sliding: Sliding) -> Iterator[Window]:
    """Cut a stream into windows.

    Args:
        blocks: Consecutive samples, (samples,) each, of any lengths.
        sliding: Window and hop.

    Yields:
        Whole windows every hop; a final, shorter window covers any remaining samples.
    """
    length, hop = sliding.length, sliding.hop
    kept: FloatArray = np.empty(0)
    position = 0  # `kept` starts at sample `position`
    start, covered = 0, 0  # the next window's first sample; the end of the last
    for block in blocks:
        kept, position = _from(start, np.concatenate([kept, block]), position)
        while position == start and len(kept) >= length:
            yield Window(start, kept[:length])
            start, covered = start + hop, start + length
            kept, position = _from(start, kept, position)
    if position == start and len(kept) and start + len(kept) > covered:
        yield Window(start, kept[:length])


def _from(start: int, kept: FloatArray, position: int) -> tuple[FloatArray, int]:
    """Drop the samples before `start`; return the rest and its first position."""
    dropped = min(start - position, len(kept))
    return kept[dropped:], position + dropped


def level_db(samples: FloatArray) -> float:
    """Root mean square in dB re full scale, without the mean; -200 for silence.

    The mean is the offset of a sound card, which is no sound.
    """
    power = float(np.var(samples))
    return max(SILENCE_DB, 10.0 * np.log10(power)) if power > 0.0 else SILENCE_DB


def is_speech(levels_db: Sequence[float] | FloatArray) -> npt.NDArray[np.bool_]:
    """Find the windows that are loud enough to be speech.

    Args:
        levels_db: (windows,) from `level_db`, all of one recording.

    Returns:
        (windows,): False for windows more than 25 dB below the 95th percentile.
    """
    levels = np.asarray(levels_db, np.float64)
    # "higher": one loud window among few must count as speech
    speech_level = np.percentile(levels, SPEECH_LEVEL_PERCENTILE, method="higher")
    is_near: npt.NDArray[np.bool_] = levels >= speech_level - SPEECH_RANGE_DB
    return is_near & (levels > SILENCE_DB)


def is_even(frame_levels_db: Sequence[float] | FloatArray) -> bool:
    """Whether sound is as even as noise, so that it cannot be speech.

    Args:
        frame_levels_db: (frames,), as from `Bandwidth.levels_db`; quiet ones are
            ignored.
    """
    levels = np.asarray(frame_levels_db, np.float64)
    if len(levels) < LEAST_FRAMES:
        return False
    loud = levels[is_speech(levels)]
    if len(loud) < LEAST_FRAMES:
        return False
    low, high = np.percentile(loud, [EVEN_PERCENTILE, SPEECH_LEVEL_PERCENTILE])
    return bool(high - low < EVEN_RANGE_DB)
