"""Recordings to answers: the centre segment, or a timeline; many at a time."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.bandwidth import Bandwidth, needed_hz
from utils.audio.decode import blocks
from utils.audio.prepare import cut
from utils.audio.windows import SILENCE_DB, Sliding, Window, is_speech, level_db, slide
from utils.model_files.tflite import Classifier, predict_utterance
from utils.processes import capture_stderr

FloatArray = npt.NDArray[np.floating]
Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_KEPT_S = 120.0  # a longer recording is decoded twice instead of kept in memory
MUCH_LEFT_OUT = 2.0  # the note comes when the file is longer than this many segments


@dataclass(frozen=True, kw_only=True)
class Span:
    """One window of a timeline.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds, at most the recording's.
        level_db: Root mean square, dB re full scale.
        is_speech: Near enough to the recording's speech level.
        probabilities: (classes,), float32; of no meaning where there is no speech.
    """

    start_s: float
    end_s: float
    level_db: float
    is_speech: bool
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one recording.

    Attributes:
        name: The recording, fit for one line.
        probabilities: (classes,), float32; of a timeline the mean over its speech.
        duration_s: Of the whole recording.
        bandwidth_hz: Highest frequency with sound; None where it could not be told.
        notes: What the reader must know to judge the answer, one line each.
        spans: The timeline; empty where only the centre was asked for.
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


class ScoredWindow(NamedTuple):
    """A window and what the model says of it; whether it is speech comes later."""

    start: int
    end: int
    level_db: float
    probabilities: FloatArray


class ModelPerThread:
    """Gives each thread a model of its own: interpreters are not shared."""

    def __init__(self, load: Callable[[], Classifier]) -> None:
        """Load the first one now, so that a bad model is told at once.

        Args:
            load: Makes a model; called once in each thread that asks.
        """
        self._load, self._local = load, threading.local()
        with capture_stderr():
            first = self.get()
        self.front_end: FrontEnd = first.front_end
        self.classes: tuple[str, ...] = first.classes

    def get(self) -> Classifier:
        """This thread's model."""
        if not hasattr(self._local, "model"):
            self._local.model = self._load()
        model: Classifier = self._local.model
        return model


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """Map over threads, in order, with few items waiting at a time.

    Args:
        function: Called in one of `jobs` threads.
        items: Read only as fast as results are taken, so that memory stays flat.
        jobs: Threads.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class RecordingStats:
    """What is learnt of a recording while its blocks pass through."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Start with nothing heard; see `listen`."""
        self.samples = 0
        self.has_sound = False
        self._rate_hz = sample_rate_hz
        self._bandwidth = Bandwidth(sample_rate_hz)

    def listen(self, stream: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """The same blocks; count and measure them on their way."""
        for block in stream:
            self.samples += len(block)
            self.has_sound = self.has_sound or level_db(block) > SILENCE_DB
            self._bandwidth.add(block)
            yield block

    @property
    def duration_s(self) -> float:
        """Length of what was heard, in seconds."""
        return self.samples / self._rate_hz

    @property
    def bandwidth_hz(self) -> float | None:
        """Highest frequency with sound; None where too little was heard."""
        return self._bandwidth.hz

    def check(self, name: str, front_end: FrontEnd) -> None:
        """Refuse what no network should be asked about.

        Raises:
            InputError: No samples, shorter than one frame, or silent throughout.
        """
        if self.samples == 0:
            raise InputError(f"{name}: holds no samples")
        if self.samples < front_end.frame_length_samples:
            shortest_ms = 1000 * front_end.frame_length_samples / self._rate_hz
            raise InputError(
                f"{name}: must last at least {shortest_ms:g} ms, got "
                f"{1000 * self.duration_s:.3g} ms"
            )
        if not self.has_sound:
            raise InputError(f"{name}: is silent throughout")

    def bandwidth_notes(self, front_end: FrontEnd) -> tuple[str, ...]:
        """A line where the upper band is empty, else nothing."""
        found_hz, wanted_hz = self.bandwidth_hz, needed_hz(front_end)
        if found_hz is None or found_hz >= wanted_hz:
            return ()
        return (
            f"sound reaches only {found_hz / 1000:.1f} kHz where the model expects "
            f"{wanted_hz / 1000:.1f} kHz (telephone or lossy coding): the answer "
            "is unreliable",
        )


def classify_centre(path: Path, name: str, models: ModelPerThread) -> Answer:
    """Classify the centre segment, the one that training takes.

    Args:
        path: Audio or video file.
        name: What to call it.
        models: The model, once a thread.

    Raises:
        InputError: The file cannot be used; one line that names it.
    """
    front_end = models.front_end
    heard = RecordingStats(front_end.sample_rate_hz)
    centre = _centre(path, front_end, heard)
    heard.check(name, front_end)
    if level_db(centre) <= SILENCE_DB:
        raise InputError(
            f"{name}: its centre {front_end.duration_s:g} s are silent; --windows "
            "hears all of it"
        )
    notes = heard.bandwidth_notes(front_end)
    if heard.samples > MUCH_LEFT_OUT * front_end.duration_samples:
        notes += (
            f"only the centre {front_end.duration_s:g} s of {heard.duration_s:.1f} s "
            "were heard; --windows hears all of it",
        )
    return Answer(
        name=name,
        probabilities=predict_utterance(models.get(), centre),
        duration_s=heard.duration_s,
        bandwidth_hz=heard.bandwidth_hz,
        notes=notes,
    )


def _centre(path: Path, front_end: FrontEnd, heard: RecordingStats) -> FloatArray:
    """The centre segment as `cut` gives it; a long file is decoded a second time."""
    rate_hz, length = front_end.sample_rate_hz, front_end.duration_samples
    limit = max(2 * length, int(MAX_KEPT_S * rate_hz))
    kept: list[FloatArray] = [np.empty(0)]
    for block in heard.listen(blocks(path, rate_hz)):
        kept.append(block)
        if heard.samples > limit:
            kept.clear()
    if heard.samples <= limit:
        return cut(np.concatenate(kept), length)[0]
    return _part(blocks(path, rate_hz), (heard.samples - length) // 2, length)


def _part(stream: Iterable[FloatArray], start: int, length: int) -> FloatArray:
    """`length` samples of a stream from sample `start` on."""
    parts, position = [], 0
    for block in stream:
        low, high = max(0, start - position), start + length - position
        if high <= 0:
            break
        if low < len(block):  # an empty view would keep the whole block
            parts.append(block[low:high])
        position += len(block)
    return np.concatenate(parts)


def classify_windows(
    path: Path, name: str, models: ModelPerThread, sliding: Sliding, jobs: int
) -> Answer:
    """Classify a window that slides over the whole recording.

    Args:
        path: Audio or video file.
        name: What to call it.
        models: The model, once a thread.
        sliding: Window and hop.
        jobs: Threads.

    Raises:
        InputError: The file cannot be used; one line that names it.
    """
    front_end = models.front_end
    heard = RecordingStats(front_end.sample_rate_hz)
    stream = heard.listen(blocks(path, front_end.sample_rate_hz))

    def ask(window: Window) -> ScoredWindow:
        answer = predict_utterance(models.get(), window.samples)
        end = window.start + len(window.samples)
        return ScoredWindow(window.start, end, level_db(window.samples), answer)

    asked = list(ordered_map(ask, slide(stream, sliding), jobs))
    heard.check(name, front_end)
    spans = to_spans(asked, front_end.sample_rate_hz)
    if not any(span.is_speech for span in spans):
        raise InputError(f"{name}: sound lies only between the windows; shorten --hop")
    return Answer(
        name=name,
        probabilities=mean_over_speech(spans),
        duration_s=heard.duration_s,
        bandwidth_hz=heard.bandwidth_hz,
        notes=heard.bandwidth_notes(front_end),
        spans=spans,
    )


def to_spans(asked: Sequence[ScoredWindow], sample_rate_hz: int) -> tuple[Span, ...]:
    """Tell speech from the rest by the level of all windows together."""
    speech = is_speech([window.level_db for window in asked])
    return tuple(
        Span(
            start_s=window.start / sample_rate_hz,
            end_s=window.end / sample_rate_hz,
            level_db=window.level_db,
            is_speech=bool(has_speech),
            probabilities=window.probabilities,
        )
        for window, has_speech in zip(asked, speech, strict=True)
    )


def mean_over_speech(spans: Sequence[Span]) -> FloatArray:
    """Mean probabilities of the windows with speech, (classes,)."""
    spoken = [span.probabilities for span in spans if span.is_speech]
    mean: FloatArray = np.mean(spoken, axis=0)
    return mean
