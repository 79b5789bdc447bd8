"""From a manifest to batches: the corpus, its features, the batches that train.

The order of batches is the released code's: utterances are shuffled, repeated and then
batched, so every step has a full batch and a pass may end in the middle of an epoch.
Here the order depends on (seed, fold, epoch) alone, so a run can stop anywhere.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError, Settings
from utils.audio.copies import ORIGINAL, Copy, copies_of
from utils.audio.prepare import OVERLAPPING
from utils.audio.scale import Moments, Voices, add, learn_voices, measure
from utils.audio.wav import Read, read_wav
from utils.corpora.features import (
    ComputedFeatures,
    Features,
    StoredFeatures,
    cache_features,
    cache_functionals,
)
from utils.corpora.load import DataPaths, read_segments, select_part
from utils.corpora.manifest import Manifest
from utils.corpora.segments import Progress, SegmentedCorpus, no_progress
from utils.protocols.folds import Fold
from utils.random_streams import Stream, random_state

FloatBatch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dataset:
    """A corpus ready to train on; small when pickled.

    Attributes:
        manifest: The utterances of the chosen part.
        settings: What the features were made with.
        features: Network inputs of every segment of the corpus.
        segments: What the features were made from.
        read: Function from path and rate in Hz to an utterance's samples.
        copies: Features of every segment of each copy of the corpus: at each factor of
            `--speeds`, then in `--rooms`.
        functionals: (1 + copies, utterances, functionals), for a teacher; else None.
    """

    manifest: Manifest
    settings: Settings
    features: Features
    segments: SegmentedCorpus
    read: Read = read_wav
    copies: tuple[Features, ...] = ()
    functionals: StoredFeatures | None = None

    @functools.cached_property
    def segment_numbers(self) -> dict[str, list[int]]:
        """The segments of each utterance."""
        numbers: dict[str, list[int]] = {u.id: [] for u in self.manifest.utterances}
        for number, utterance_id in enumerate(self.segments.utterance_ids):
            if utterance_id in numbers:
                numbers[utterance_id].append(number)
        return numbers

    @functools.cached_property
    def labels(self) -> npt.NDArray[np.int32]:
        """(segments,) class index of every segment; −1 outside the chosen part."""
        index = {name: i for i, name in enumerate(self.manifest.classes)}
        labels = np.full(len(self.segments.utterance_ids), -1, np.int32)
        for utterance in self.manifest.utterances:
            labels[self.segment_numbers[utterance.id]] = index[utterance.label]
        return labels

    def numbers_of(self, utterance_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Segment numbers of some utterances, in their order."""
        found = [n for name in utterance_ids for n in self.segment_numbers[name]]
        return np.array(found, np.int64)

    def training_numbers(self, utterance_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The segments that one pass over some utterances trains on.

        Of overlapping segments, it is one for each utterance: its first stands for one
        that is drawn.
        """
        if self.settings.data.segment_mode != OVERLAPPING:
            return self.numbers_of(utterance_ids)
        first = [self.segment_numbers[name][0] for name in utterance_ids]
        return np.array(first, np.int64)

    def mean_over_segments(
        self, values: npt.NDArray[np.floating], utterance_ids: Iterable[str]
    ) -> npt.NDArray[np.floating]:
        """Average (segments, ...) values of `numbers_of(utterance_ids)` by utterance.

        Returns:
            (utterances, ...) of the same dtype.
        """
        counts = [len(self.segment_numbers[name]) for name in utterance_ids]
        parts = np.split(values, np.cumsum(counts)[:-1])
        return np.stack([part.mean(axis=0) for part in parts])

    @functools.cached_property
    def speaker_of_segment(self) -> dict[int, str]:
        """The speaker of each segment; an utterance without speaker has its own."""
        return {
            number: utterance.voice
            for utterance in self.manifest.utterances
            for number in self.segment_numbers[utterance.id]
        }

    @functools.cached_property
    def moments(self) -> list[dict[str, Moments]]:
        """By utterance, sums over its sounding frames, as it is and in each copy.

        They need features that are not clipped, as a run with feature scaling has. What
        several segments hold counts as often.
        """
        front_end = self.settings.front_end
        return [
            {
                name: replace(
                    add([measure(row, front_end) for row in features[np.array(rows)]]),
                    recordings=1,
                )
                for name, rows in self.segment_numbers.items()
            }
            for features in (self.features, *self.copies)
        ]

    def voices(self, utterance_ids: Iterable[str]) -> Voices:
        """What the voices of some utterances have in common, to five decimals."""
        by_speaker: dict[str, list[Moments]] = {}
        for name in utterance_ids:
            speaker = self.speaker_of_segment[self.segment_numbers[name][0]]
            by_speaker.setdefault(speaker, []).append(self.moments[0][name])
        learned = learn_voices(by_speaker).to_dict()
        return Voices.from_dict(learned, self.settings.front_end.num_features)

    def check_segments(self) -> None:
        """Check that uncached features were computed from this run's segments.

        Raises:
            InputError: Another run has replaced the segments since they were read.
        """
        if isinstance(self.features, ComputedFeatures):
            self.segments.check_current()


def load_dataset(
    settings: Settings, data_paths: DataPaths, progress: Progress = no_progress
) -> Dataset:
    """Read a corpus; make its segments and features, or find them made.

    Args:
        settings: Corpus, part, segments and front-end.
        data_paths: Folders and cache.
        progress: Wraps long loops, as tqdm does.

    Raises:
        InputError: The corpus is missing or damaged, or one of its files is.
        OSError: A derived file cannot be written.
    """
    whole, segments, read = read_segments(settings, data_paths, progress)
    manifest = select_part(whole, settings.data.audio_type)
    _check_speakers(manifest, settings)

    voice_of = {u.id: u.voice for u in whole.utterances}
    voices = tuple(voice_of[name] for name in segments.utterance_ids)

    def features_of(copy: Copy) -> Features:
        if data_paths.cache == "None":
            return ComputedFeatures(segments.paths, settings, copy, voices)
        path = cache_features(
            segments,
            settings,
            data_paths.derived_dir,
            copy=copy,
            voices=voices,
            progress=progress,
        )
        return StoredFeatures(path, in_memory=data_paths.cache == "ram")

    copies = tuple(features_of(copy) for copy in copies_of(settings.inputs))
    functionals = None
    if settings.training.teacher == "functionals":
        path = cache_functionals(
            manifest, settings, data_paths.derived_dir, read=read, progress=progress
        )
        functionals = StoredFeatures(path)
    return Dataset(
        manifest, settings, features_of(ORIGINAL), segments, read, copies, functionals
    )


def _check_speakers(manifest: Manifest, settings: Settings) -> None:
    """Refuse what needs speakers if the corpus does not name them.

    Raises:
        InputError: An utterance has no speaker.
    """
    is_scaled = settings.inputs.feature_scaling == "voice"
    if not is_scaled and settings.training.teacher == "none":
        return
    option = "--feature_scaling voice" if is_scaled else "--teacher"
    unknown = [u.id for u in manifest.utterances if u.speaker is None]
    if unknown:
        raise InputError(
            f"{option} needs the speaker of every utterance, and {manifest.corpus} "
            f"does not name that of {unknown[0]}"
        )


def steps_per_epoch(num_segments: int, batch_size: int) -> int:
    """n // 32 + 1, as released: an epoch is a little more than one pass."""
    return num_segments // batch_size + 1


def epoch_batches(
    numbers: npt.NDArray[np.int64], settings: Settings, fold: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The batches of one epoch: a window on an endless sequence of shuffled passes.

    Args:
        numbers: Training segments.
        settings: Seed and batch size.
        fold: Fold number, 0-based.
        epoch: Epoch, 0-based.

    Returns:
        (steps, batch_size) segment numbers; every batch is full.
    """
    batch_size, count = settings.training.batch_size, len(numbers)
    per_epoch = steps_per_epoch(count, batch_size) * batch_size
    first = epoch * per_epoch
    first_pass, last_pass = first // count, (first + per_epoch - 1) // count
    passes = [
        random_state(settings, Stream.EPOCH_ORDER, fold, number).permutation(count)
        for number in range(first_pass, last_pass + 1)
    ]
    order = np.concatenate(passes)[first - first_pass * count :][:per_epoch]
    return numbers[order].reshape(-1, batch_size)


def training_batches(
    dataset: Dataset, fold: Fold, epochs: range
) -> Iterator[tuple[FloatBatch, npt.NDArray[np.int32]]]:
    """The batches of some epochs, one after another.

    Args:
        dataset: Features and labels.
        fold: Its training utterances are used.
        epochs: 0-based epoch numbers.

    Yields:
        Features (batch, frames, features, 1) and class indices (batch,).
    """
    numbers = dataset.numbers_of(fold.train)
    for epoch in epochs:
        for batch in epoch_batches(numbers, dataset.settings, fold.number, epoch):
            yield dataset.features[batch], dataset.labels[batch]


def tensorflow_pipeline(dataset: Dataset, fold: Fold, epochs: range) -> Any:
    """`training_batches` as a prefetching `tf.data.Dataset`, the same values.

    Not by `Dataset.from_generator`: TensorFlow's sets glibc's mmap threshold to 128 KiB
    for the whole process, and larger activations would be mapped at every step.
    """
    import tensorflow as tf

    numbers = dataset.numbers_of(fold.train)
    batches = np.concatenate(
        [epoch_batches(numbers, dataset.settings, fold.number, e) for e in epochs]
    )
    shape = (batches.shape[1], *dataset.settings.front_end.input_shape)

    def load(batch: Any) -> tuple[Any, Any]:
        features = tf.numpy_function(
            lambda rows: dataset.features[rows], [batch], tf.float32
        )
        return tf.ensure_shape(features, shape), tf.gather(dataset.labels, batch)

    return tf.data.Dataset.from_tensor_slices(batches).map(load).prefetch(2)
