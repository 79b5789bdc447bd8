"""Training batches whose examples vary: speed, room, scale, place, masks, soft labels.

All draws depend on (seed, fold, epoch) alone, so a run can stop anywhere. Without such
settings a run trains on `dataio.training_batches`, as published.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataio import Dataset, epoch_batches, steps_per_epoch
from hyperparameters import Settings
from utils.audio.prepare import OVERLAPPING
from utils.audio.scale import Moments, Scale, Voices, add
from utils.protocols.folds import Fold
from utils.random_streams import Stream, random_state

FloatBatch = npt.NDArray[np.float32]
# How many recordings of the voice set an example's scale, and how often: the network
# must answer for voices that are not known, little known and well known.
KNOWN_RECORDINGS = (0, 1, 3, 10, 1_000_000)
KNOWN_SHARES = (0.25, 0.1, 0.15, 0.2, 0.3)
MASKED_FRAMES, MASKED_FEATURES = 20, 6  # of one mask, at most


def is_varied(settings: Settings) -> bool:
    """Whether a run trains on examples that vary, rather than on plain features."""
    inputs = settings.inputs
    return bool(
        inputs.speed_factors
        or inputs.rooms
        or inputs.shift_frames
        or inputs.feature_scaling != "none"
        or settings.training.teacher != "none"
        or settings.data.segment_mode == OVERLAPPING
    )


@dataclass(frozen=True)
class Draws:
    """What is drawn for the examples of one epoch, (steps, batch) each.

    Attributes:
        numbers: Segments.
        copies: 0 for the original, else the number of the copy, from 1: those at other
            speeds, then those in other rooms.
        shifts: Frames by which the features move to the right; they wrap around.
        known: Recordings of the voice that set the scale, at most.
    """

    numbers: npt.NDArray[np.int64]
    copies: npt.NDArray[np.int64]
    shifts: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]


def hide(row: FloatBatch, count: int, random: np.random.RandomState) -> None:
    """Set stretches of frames and bands of neighbouring features to 0, their mean.

    After SpecAugment (Park et al., Interspeech 2019), on whatever the features are.

    Args:
        row: (frames, features, 1), standardised; changed in place.
        count: Of stretches, and of bands; each may be empty.
        random: Gives their lengths and places.
    """
    for _ in range(count):
        for values, most in (
            (row, MASKED_FRAMES),
            (row.swapaxes(0, 1), MASKED_FEATURES),
        ):
            length = random.randint(0, min(most, len(values)) + 1)
            first = random.randint(0, len(values) - length + 1)
            values[first : first + length] = 0.0


class Examples:
    """The training examples of one fold.

    Args:
        dataset: Features of every copy, labels, speakers.
        fold: Its training utterances are used.
        voices: The scales of the training voices; None without feature scaling.
        soft_labels: (1 + speeds, segments, classes), the teacher's probabilities; None
            without teacher.
    """

    def __init__(
        self,
        dataset: Dataset,
        fold: Fold,
        *,
        voices: Voices | None = None,
        soft_labels: FloatBatch | None = None,
    ) -> None:
        self.dataset, self.fold, self.voices = dataset, fold, voices
        self.settings, self.soft_labels = dataset.settings, soft_labels
        self.numbers = dataset.training_numbers(fold.train)
        self.steps = steps_per_epoch(
            len(self.numbers), self.settings.training.batch_size
        )
        self.features = (dataset.features, *dataset.copies)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the fold
    def draws(self, epoch: int) -> Draws:
        """The draws of one epoch, 0-based."""
        inputs = self.settings.inputs
        number = self.fold.number
        batches = epoch_batches(self.numbers, self.settings, number, epoch)
        random = random_state(self.settings, Stream.VARIATION, number, epoch)
        others = len(inputs.speed_factors)
        speeds = random.randint(1, others + 1, batches.shape) if others else 0
        is_original = random.random_sample(batches.shape) >= inputs.speed_share
        reach = inputs.shift_frames
        known = random.choice(KNOWN_RECORDINGS, batches.shape, p=KNOWN_SHARES)
        if self.settings.data.segment_mode == OVERLAPPING:
            batches = batches + random.randint(0, self._segments_of(batches))
        copies = np.where(is_original, 0, speeds)
        if inputs.rooms:
            is_in_room = random.random_sample(batches.shape) < inputs.room_share
            rooms = others + random.randint(1, inputs.rooms + 1, batches.shape)
            copies = np.where(is_in_room, rooms, copies)
        return Draws(
            numbers=batches,
            copies=copies,
            shifts=random.randint(-reach, reach + 1, batches.shape),
            known=known,
        )

    def _segments_of(self, first: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many segments the utterances have whose first segments are given."""
        ids, numbers = self.dataset.segments.utterance_ids, self.dataset.segment_numbers
        counts = [len(numbers[ids[number]]) for number in first.ravel()]
        return np.reshape(counts, first.shape)

    def batch(self, epoch: int, step: int) -> tuple[FloatBatch, npt.NDArray[Any]]:
        """One batch.

        Args:
            epoch: 0-based.
            step: 0-based.

        Returns:
            Features (batch, frames, features, 1), float32, and class indices (batch,),
            int32, or with a teacher labels (batch, classes), float32.
        """
        draws = self.draws(epoch)
        numbers, copies = draws.numbers[step], draws.copies[step]
        random = random_state(
            self.settings, Stream.VOICES, self.fold.number, epoch, step
        )
        masks = random_state(self.settings, Stream.MASKS, self.fold.number, epoch, step)
        rows = []
        for number, copy, shift, known in zip(
            numbers, copies, draws.shifts[step], draws.known[step], strict=True
        ):
            row = self.features[copy][np.array([number])][0]
            if self.voices is not None:
                scale = self._scale(number, copy, known, random)
                row = scale.apply(row, self.settings.front_end)
            row = np.roll(row, shift, axis=0)
            hide(row, self.settings.inputs.masks, masks)
            rows.append(row)
        return np.stack(rows), self._labels(numbers, copies)

    def _scale(
        self, number: int, copy: int, known: int, random: np.random.RandomState
    ) -> Scale:
        """The scale of one example, from some recordings of its voice in its copy."""
        assert self.voices is not None
        if self.settings.inputs.feature_scaling == "corpus" or known == 0:
            return self.voices.typical
        of_voice = self._moments[copy][self.dataset.speaker_of_segment[number]]
        chosen = random.permutation(len(of_voice))[:known]
        return self.voices.scale_of(add([of_voice[i] for i in chosen]))

    @functools.cached_property
    def _moments(self) -> list[dict[str, list[Moments]]]:
        """In each copy and by speaker, the moments of each training utterance."""
        speaker_of, numbers = (
            self.dataset.speaker_of_segment,
            self.dataset.segment_numbers,
        )
        found: list[dict[str, list[Moments]]] = []
        for of_copy in self.dataset.moments:
            by_speaker: dict[str, list[Moments]] = {}
            for name in self.fold.train:
                speaker = speaker_of[numbers[name][0]]
                by_speaker.setdefault(speaker, []).append(of_copy[name])
            found.append(by_speaker)
        return found

    def _labels(
        self, numbers: npt.NDArray[np.int64], copies: npt.NDArray[np.int64]
    ) -> npt.NDArray[Any]:
        """Class indices; with a teacher, a mixture of true and soft labels.

        What is heard in a room has the soft label of the original.
        """
        indices = self.dataset.labels[numbers]
        if self.soft_labels is None:
            return indices
        share = np.float32(self.settings.training.teacher_share)
        true = np.eye(self.soft_labels.shape[-1], dtype=np.float32)[indices]
        labelled = np.where(copies < len(self.soft_labels), copies, 0)
        return (1 - share) * true + share * self.soft_labels[labelled, numbers]

    def batches(self, epochs: range) -> Iterator[tuple[FloatBatch, npt.NDArray[Any]]]:
        """All batches of some epochs, in order."""
        for epoch in epochs:
            for step in range(self.steps):
                yield self.batch(epoch, step)

    def tensorflow_pipeline(self, epochs: range) -> Any:
        """`batches` as a prefetching `tf.data.Dataset`, the same values."""
        import tensorflow as tf

        features, labels = self.batch(epochs.start, 0)
        numbers = [[e, s] for e in epochs for s in range(self.steps)]

        def load(number: Any) -> tuple[Any, Any]:
            found = tf.numpy_function(
                lambda pair: self.batch(int(pair[0]), int(pair[1])),
                [number],
                (tf.float32, tf.as_dtype(labels.dtype)),
            )
            shapes = (features.shape, labels.shape)
            return tuple(map(tf.ensure_shape, found, shapes))  # type: ignore[return-value]

        return tf.data.Dataset.from_tensor_slices(numbers).map(load).prefetch(2)
