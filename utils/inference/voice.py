"""Calibrate to a voice: learn its scale from some recordings.

The recordings need no labels.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.decode import blocks
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.scale import COMPARED, Moments, Voices, add, distance, measure
from utils.audio.windows import Window
from utils.cli import one_line
from utils.inference.classify import Answer, sounds_even
from utils.inference.recording_stats import RecordingStats
from utils.model_files.linear import moments_of, recording_functionals
from utils.model_files.tflite import Classifier, samples_heard
from utils.model_files.voice_file import Voice, calibrated_by

MIN_SPEECH_S = 2.0
MOST_S = 600.0  # of each recording; more would need much memory and teach little
# Distance from the typical training voice (`utils.audio.scale.distance`): three
# recordings of EMO-DB's speakers have 0.2 to 0.5, music more than 1.
MOST_UNLIKE = 0.7
# Mean ratio of its deviations to those of the typical voice: low for steady noise.
LEAST_VARIED = 0.6
# Distance of a recording from its own voice: 99 % of EMO-DB's recordings are below.
UNLIKE_ITS_VOICE = 0.75
# Of a live voice. Ten recordings gain the linear model four points of UA
# (docs/recipes.md).
ENOUGH_SEGMENTS = 10


def learn_voice(
    recordings: Iterable[tuple[Path, str]],
    model: Classifier,
    warn: Callable[[str], object] = lambda _: None,
) -> Voice:
    """Learn a voice from unlabelled recordings of it.

    Args:
        recordings: Path and printable name of each.
        model: Whose features are standardised.
        warn: Called with a line about what was not used of a recording.

    Returns:
        The voice. A recording that is longer than the model hears at once loses its
        pauses and is cut into equal parts; each counts as one recording.

    Raises:
        InputError: The model cannot be calibrated; no recording can be used; there is
            less than two seconds of speech, or what sounds is no speech.
    """
    voices, front_end = calibrated_by(model), model.front_end
    found: list[Voice] = []
    heard: dict[bytes, str] = {}  # name by digest of the samples
    refused: list[InputError] = []
    for path, name in recordings:
        try:
            samples, stats = _read(path, name, front_end)
            stats.check(name, front_end)
        except InputError as error:  # damaged or silent: the others may do
            refused.append(error)
            continue
        for note in stats.notes:
            warn(f"{name}: {note}")
        digest = hashlib.sha256(samples.tobytes()).digest()
        if digest in heard:
            warn(f"{name}: is not used: it is the same sound as {heard[digest]}")
            continue
        heard[digest] = name
        parts = _parts(samples, stats, model)
        if not parts:
            warn(f"{name}: is not used: no speech in it")
        found += [_voice_of(part, model) for part in parts]
    if not found:
        nothing = InputError("--calibrate: there is no speech in these recordings")
        raise next(iter(refused), nothing)
    for reason in refused:
        warn(f"{one_line(reason)}; it is not used")
    voice = functools.reduce(Voice.joined, found)
    check_speech(voice, voices)
    return voice


def check_speech(voice: Voice, voices: Voices) -> None:
    """Check that a voice was learnt from enough speech of one person.

    Args:
        voice: What was learnt.
        voices: What the training voices have in common.

    Raises:
        InputError: There is less than two seconds of speech, or what sounds is no
            speech.
    """
    if voice.speech_s < MIN_SPEECH_S:
        raise InputError(
            f"--voice needs at least {MIN_SPEECH_S:g} s of speech, got "
            f"{voice.speech_s:.1f} s"
        )
    scale = voice.moments.scale
    variety = scale.deviation[COMPARED] / voices.typical.deviation[COMPARED]
    if distance(scale, voices.typical) > MOST_UNLIKE or variety.mean() < LEAST_VARIED:
        raise InputError(
            "--voice: these recordings do not sound like speech of one person "
            "(music, noise, a poor line?); give others"
        )


class LiveVoice:
    """Learns a voice while it speaks.

    Args:
        model: Whose features are standardised.

    Raises:
        InputError: The model cannot be calibrated.
    """

    def __init__(self, model: Classifier) -> None:
        self._model, self._voices = model, calibrated_by(model)
        self.voice: Voice | None = None  # what was learnt so far
        self._end = 0  # of the last window learnt from: windows overlap

    @property
    def progress(self) -> str:
        """How much has been learnt, for the screen."""
        count = 0 if self.voice is None else self.voice.moments.recordings
        if count >= ENOUGH_SEGMENTS:
            return "voice learnt"
        return f"learning the voice: {count} of {ENOUGH_SEGMENTS}"

    def finish(self) -> Voice | None:
        """What was learnt; None if nobody spoke.

        Raises:
            InputError: As for `check_speech`.
        """
        if self.voice is not None:
            check_speech(self.voice, self._voices)
        return self.voice

    def hear(self, window: Window) -> bool:
        """Learn from a window with speech; False if an earlier one holds part of it."""
        if window.start < self._end:
            return False
        self._end = window.start + len(window.samples)
        found = _voice_of(window.samples, self._model)
        self.voice = found if self.voice is None else self.voice.joined(found)
        return True


def _read(
    path: Path, name: str, front_end: FrontEnd
) -> tuple[npt.NDArray[np.float64], RecordingStats]:
    """The first ten minutes of a recording, and what was measured of them.

    Raises:
        InputError: It cannot be read.
    """
    rate_hz = front_end.sample_rate_hz
    stats = RecordingStats(rate_hz)
    try:
        kept: list[npt.NDArray[np.floating]] = [np.empty(0)]
        for block in stats.measure(blocks(path, rate_hz, stats.notes)):
            kept.append(block)
            if stats.samples > MOST_S * rate_hz:
                kept[-1] = kept[-1][: int(MOST_S * rate_hz) - stats.samples or None]
                stats.notes.append(f"only its first {MOST_S / 60:.0f} minutes are used")
                break
    except OSError as error:
        raise InputError(f"{name}: {one_line(error)}") from error
    return np.concatenate(kept, dtype=np.float64), stats


def _parts(
    samples: npt.NDArray[np.floating], stats: RecordingStats, model: Classifier
) -> list[npt.NDArray[np.floating]]:
    """The parts of a recording that teach: as long as an utterance, and not even.

    Of a recording that is longer than the model hears at once, the pauses are removed;
    the rest is cut into equal parts, so that no end is lost.
    """
    heard = samples_heard(model)
    if len(samples) > heard:
        kept = stats.near_speech()[: len(samples)]
        samples = samples[: len(kept)][kept]
    if not len(samples):
        return []
    parts = np.array_split(samples, -(-len(samples) // heard))
    return [part for part in parts if not sounds_even(part, model.front_end)]


def _voice_of(part: npt.NDArray[np.floating], model: Classifier) -> Voice:
    """What one part teaches; it counts as one recording."""
    rate_hz = model.front_end.sample_rate_hz
    stats = RecordingStats(rate_hz)
    stats.add(part)
    return Voice(
        front_end=model.front_end,
        speech_s=stats.speech_s(),
        moments=_moments_of(part, model),
        functionals=moments_of(recording_functionals(part, rate_hz)),
    )


def _moments_of(part: npt.NDArray[np.floating], model: Classifier) -> Moments:
    """The moments of the segments that a model hears; they count as one recording."""
    front_end = model.front_end
    segments = from_pcm16(prepare(part, front_end, model.segment_mode))
    features = compute_features(segments, front_end, clipped=False)
    found = add([measure(rows, front_end) for rows in features])
    return dataclasses.replace(found, recordings=1)


def add_notes(answer: Answer, path: Path, model: Classifier) -> Answer:
    """Say if a recording does not sound like the voice that the model expects.

    Args:
        answer: The classification of the recording.
        path: The recording.
        model: Calibrated or not.
    """
    if model.voice is None or model.scale is None:
        return answer
    samples, stats = _read(path, answer.name, model.front_end)
    found = [_moments_of(part, model) for part in _parts(samples, stats, model)]
    if not found or distance(add(found).scale, model.scale) <= UNLIKE_ITS_VOICE:
        return answer
    note = "does not sound like the voice given with --voice: the answer is unreliable"
    return dataclasses.replace(answer, notes=(*answer.notes, note))
