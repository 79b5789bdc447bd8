"""A timeline as stretches of one class: which window stands for which time."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from utils.inference.classify import Answer

NO_SPEECH = "no speech"


class Stretch(NamedTuple):
    """Neighbouring windows of one class.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        class_name: The most probable class; None if there is no speech.
        share: Mean probability of this class; 0 if there is no speech.
    """

    start_s: float
    end_s: float
    class_name: str | None
    share: float


def edges_of(answer: Answer) -> npt.NDArray[np.float64]:
    """The times between which each window stands for the recording.

    Windows overlap or leave gaps, so each time belongs to the window whose middle is
    nearest.

    Args:
        answer: With its spans.

    Returns:
        (windows + 1,), s, from 0 to the end of the recording.
    """
    middles_s = np.array([(span.start_s + span.end_s) / 2 for span in answer.spans])
    between_s = (middles_s[1:] + middles_s[:-1]) / 2
    return np.concatenate([[0.0], between_s, [answer.duration_s]])


def stretches(answer: Answer, classes: Sequence[str]) -> list[Stretch]:
    """Merge neighbouring windows of one class; they cover the whole recording."""
    edges_s = edges_of(answer)
    found = [
        int(np.argmax(s.probabilities)) if s.is_speech else -1 for s in answer.spans
    ]
    merged, first = [], 0
    for best, group in itertools.groupby(found):
        end = first + len(list(group))
        shares = [span.probabilities[best] for span in answer.spans[first:end]]
        is_speech = best >= 0
        merged.append(
            Stretch(
                start_s=float(edges_s[first]),
                end_s=float(edges_s[end]),
                class_name=classes[best] if is_speech else None,
                share=float(np.mean(shares)) if is_speech else 0.0,
            )
        )
        first = end
    return merged


def time_by_class(found: Sequence[Stretch]) -> dict[str, float]:
    """Seconds of each class that occurs, the longest first."""
    total: defaultdict[str, float] = defaultdict(float)
    for stretch in found:
        if stretch.class_name is not None:
            total[stretch.class_name] += stretch.end_s - stretch.start_s
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def clock(seconds: float) -> str:
    """Minutes, seconds and tenths: `1:02.5`; from one hour on `1:01:02.5`."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths // 10:02}.{tenths % 10}"
