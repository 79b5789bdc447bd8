"""Classify recordings: the centre segment or a timeline; many at a time."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.bandwidth import Bandwidth
from utils.audio.decode import blocks
from utils.audio.prepare import cut
from utils.audio.windows import (
    SILENCE_DB,
    Sliding,
    Window,
    is_even,
    is_speech,
    level_db,
    slide,
)
from utils.inference.recording_stats import RecordingStats
from utils.model_files.tflite import Classifier, predict_utterance, samples_heard
from utils.processes import capture_stderr

FloatArray = npt.NDArray[np.floating]
Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_KEPT_S = 120.0  # longer recordings are decoded twice instead of kept in memory
LEAST_UNHEARD_S = 0.25  # a note follows from here: about a syllable
EVEN = "the sound is as even as noise"
WINDOWS = "--windows classifies all of it"


@dataclass(frozen=True, kw_only=True)
class Span:
    """One window of a timeline.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds, at most the recording's.
        level_db: Root mean square, dB re full scale.
        probabilities: (classes,), float32; meaningless if there is no speech.
        is_even: Whether the sound is as even as noise.
        is_speech: Whether the level is close to the recording's speech level, and the
            sound not even; see `mark_speech`.
    """

    start_s: float
    end_s: float
    level_db: float
    probabilities: FloatArray
    is_even: bool = False
    is_speech: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The classification of one recording.

    Attributes:
        name: Name of the recording, printable on one line.
        probabilities: (classes,), float32; for a timeline, the mean over windows with
            speech.
        duration_s: Length of the whole recording.
        bandwidth_hz: Highest frequency with sound; None if unknown.
        notes: Reasons to doubt the answer, one line each.
        spans: The timeline; empty if only the centre was classified.
    """

    name: str
    probabilities: FloatArray
    duration_s: float
    bandwidth_hz: float | None
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A recording that could not be classified, and why."""

    name: str
    reason: str


class ModelPerThread:
    """Loads the model once per thread; interpreters cannot be shared."""

    def __init__(self, load: Callable[[], Classifier]) -> None:
        """Load the model for this thread, so that errors show at once.

        Args:
            load: Returns a model; called once per thread.
        """
        self._load, self._local = load, threading.local()
        with capture_stderr():
            first = self.get()
        self.front_end: FrontEnd = first.front_end
        self.classes: tuple[str, ...] = first.classes
        self.heard = samples_heard(first)

    def get(self) -> Classifier:
        """This thread's model."""
        if not hasattr(self._local, "model"):
            self._local.model = self._load()
        model: Classifier = self._local.model
        return model


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """Map over threads, in order, with bounded memory.

    Args:
        function: Called in one of `jobs` threads.
        items: Read only as fast as results are consumed.
        jobs: Number of threads.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def classify_centre(path: Path, name: str, models: ModelPerThread) -> Answer:
    """Classify the centre, as long as the model hears it: one segment, or ten seconds.

    Args:
        path: Audio or video file.
        name: Name of the recording in answer and messages.
        models: The model.

    Raises:
        InputError: The file cannot be used; one line that names it.
    """
    front_end = models.front_end
    stats = RecordingStats(front_end.sample_rate_hz)
    heard = models.heard
    heard_s = heard / front_end.sample_rate_hz
    kept = _kept_part(path, front_end, stats, heard)
    stats.check(name, front_end)
    centre = cut(kept, heard)[0]
    if level_db(centre) <= SILENCE_DB:
        raise InputError(f"{name}: its centre {heard_s:.3g} s are silent; {WINDOWS}")
    if sounds_even(centre, front_end):
        raise InputError(
            f"{name}: no speech in its centre {heard_s:.3g} s: {EVEN}; {WINDOWS}"
        )
    notes = stats.all_notes(front_end)
    start = max(0, stats.samples - heard) // 2
    end = start + heard
    unheard_s = stats.speech_s() - stats.speech_s(start, end)
    if unheard_s >= LEAST_UNHEARD_S:
        notes += (
            f"only the centre {heard_s:.3g} s were classified; "
            f"{unheard_s:.1f} s of speech were not heard; {WINDOWS}",
        )
    return Answer(
        name=name,
        probabilities=predict_utterance(models.get(), kept),
        duration_s=stats.duration_s,
        bandwidth_hz=stats.bandwidth_hz,
        notes=notes,
    )


def _kept_part(
    path: Path, front_end: FrontEnd, stats: RecordingStats, length: int
) -> FloatArray:
    """The whole recording, or the centre `length` samples of a long one."""
    rate_hz = front_end.sample_rate_hz
    limit = max(2 * length, int(MAX_KEPT_S * rate_hz))
    kept: list[FloatArray] = [np.empty(0)]
    for block in stats.measure(blocks(path, rate_hz, stats.notes)):
        kept.append(block)
        if stats.samples > limit:
            kept.clear()
    if stats.samples <= limit:
        return np.concatenate(kept)
    return _part(blocks(path, rate_hz), (stats.samples - length) // 2, length)


def _part(stream: Iterable[FloatArray], start: int, length: int) -> FloatArray:
    """`length` samples of a stream, from sample `start`."""
    parts, position = [], 0
    for block in stream:
        low, high = max(0, start - position), start + length - position
        if high <= 0:
            break
        if low < len(block):  # an empty view would keep the whole block in memory
            parts.append(block[low:high])
        position += len(block)
    return np.concatenate(parts)


def classify_windows(
    path: Path, name: str, models: ModelPerThread, sliding: Sliding, jobs: int
) -> Answer:
    """Classify a window that slides over the whole recording.

    Args:
        path: Audio or video file.
        name: Name of the recording in answer and messages.
        models: The model.
        sliding: Window and hop.
        jobs: Number of threads.

    Raises:
        InputError: The file cannot be used; one line that names it.
    """
    front_end = models.front_end
    stats = RecordingStats(front_end.sample_rate_hz)
    stream = stats.measure(blocks(path, front_end.sample_rate_hz, stats.notes))

    def classify(window: Window) -> Span:
        return classify_window(models.get(), window)

    scored = list(ordered_map(classify, slide(stream, sliding), jobs))
    stats.check(name, front_end)
    spans = mark_speech([_with_surroundings(span, stats) for span in scored])
    speech = [span.probabilities for span in spans if span.is_speech]
    if not speech:
        if any(span.is_even for span in spans):
            raise InputError(f"{name}: no speech: {EVEN}")
        raise InputError(f"{name}: sound lies only between the windows; shorten --hop")
    return Answer(
        name=name,
        probabilities=np.mean(speech, axis=0),
        duration_s=stats.duration_s,
        bandwidth_hz=stats.bandwidth_hz,
        notes=stats.all_notes(front_end),
        spans=spans,
    )


def classify_window(model: Classifier, window: Window) -> Span:
    """Level and class probabilities of one window."""
    rate_hz = model.front_end.sample_rate_hz
    return Span(
        start_s=window.start / rate_hz,
        end_s=(window.start + len(window.samples)) / rate_hz,
        level_db=level_db(window.samples),
        probabilities=predict_utterance(model, window.samples),
        is_even=sounds_even(window.samples, model.front_end),
    )


def _with_surroundings(span: Span, stats: RecordingStats) -> Span:
    """Set `is_even` of a window that is too short to tell by the sound around it."""
    if span.end_s - span.start_s >= stats.telling_s:
        return span
    return replace(span, is_even=stats.is_even_around((span.start_s + span.end_s) / 2))


def sounds_even(samples: FloatArray, front_end: FrontEnd) -> bool:
    """Whether samples are as even as noise; half a second is too short to tell."""
    bandwidth = Bandwidth(front_end.sample_rate_hz)
    bandwidth.add(samples)
    return is_even(bandwidth.levels_db)


def mark_speech(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Set `is_speech` by the levels of all windows of a recording, and `is_even`."""
    speech = is_speech([span.level_db for span in spans])
    return tuple(
        replace(span, is_speech=bool(has_speech) and not span.is_even)
        for span, has_speech in zip(spans, speech, strict=True)
    )
