"""Features of a corpus: computed when they are needed, or kept in files."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hyperparameters import Settings
from utils.audio.copies import ORIGINAL, Copy, copies_of
from utils.audio.features import compute_features
from utils.audio.prepare import cut, normalise, pad
from utils.audio.rooms import ROOMS_FORMAT
from utils.audio.wav import Read, read_wav
from utils.corpora.manifest import Manifest
from utils.corpora.segments import Progress, SegmentedCorpus, no_progress
from utils.files import json_sha256, locked, remove_parts, sha256, write_atomic

# To be raised when the same settings and segments give other features than before:
# files of an older format are then ignored.
FEATURES_FORMAT = 1
FUNCTIONALS_FORMAT = 4
FloatBatch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ComputedFeatures:
    """Features computed from the segments at each access (`-c None`).

    Attributes:
        paths: The segments.
        settings: Front-end and feature scaling: with scaling, MFCC are not clipped yet.
        copy: The copy of the corpus; of what is played slower, the centre is kept, and
            what is played faster is padded.
        voices: The voice of each segment, for a copy in other rooms.
    """

    paths: tuple[Path, ...]
    settings: Settings
    copy: Copy = ORIGINAL
    voices: tuple[str, ...] = ()

    def __getitem__(self, numbers: npt.NDArray[np.integer]) -> FloatBatch:
        """(len(numbers), frames, features, 1), float32."""
        front_end = self.settings.front_end
        clipped = self.settings.inputs.feature_scaling == "none"
        rows = []
        for number in numbers:
            samples = read_wav(self.paths[number], front_end.sample_rate_hz)
            if self.copy != ORIGINAL:
                samples = self._copied(samples, number)
            rows.append(compute_features(samples, front_end, clipped=clipped))
        return np.stack(rows)

    def _copied(self, samples: npt.NDArray[np.floating], number: int) -> Any:
        """A segment of the copy, as long as the original."""
        front_end, length = self.settings.front_end, len(samples)
        if self.copy.room:  # zeros at the ends are what pads a recording
            samples = np.trim_zeros(samples)
        names = (self.paths[number].stem, self.voices[number] if self.copy.room else "")
        played = self.copy.play(samples, front_end.sample_rate_hz, *names)
        if self.copy.room:
            played = normalise(played, front_end.normalise_percentile)
        return pad(cut(played, length)[0], length)


@dataclass(frozen=True)
class StoredFeatures:
    """Features in a `.npy` file, opened by the process that first reads them.

    Attributes:
        path: As from `cache_features`.
        in_memory: Load the file; otherwise map it.
    """

    path: Path
    in_memory: bool = False

    @functools.cached_property
    def array(self) -> FloatBatch:
        """(segments, frames, features, 1), float32."""
        return np.load(self.path, mmap_mode=None if self.in_memory else "r")

    def __getitem__(self, numbers: npt.NDArray[np.integer]) -> FloatBatch:
        """(len(numbers), frames, features, 1), float32."""
        return np.asarray(self.array[numbers])

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the file's name, not its content."""
        return {"path": self.path, "in_memory": self.in_memory}


Features = ComputedFeatures | StoredFeatures


def cache_features(
    segments: SegmentedCorpus,
    settings: Settings,
    derived_dir: Path,
    *,
    copy: Copy = ORIGINAL,
    voices: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Path:
    """Write the features of every segment to one `.npy` file, or find it written.

    Args:
        segments: The segmented corpus.
        settings: Front-end and feature scaling; scaled features are stored as they
            are before scaling and clipping.
        derived_dir: The file goes to its folder `features`.
        copy: The copy of the corpus.
        voices: The voice of each segment, for a copy in other rooms.
        progress: Wraps the loop over segments.

    Returns:
        File of a float32 array (segments, frames, features, 1). It is written again if
        its content has changed.

    Raises:
        InputError: Another run replaced the segments meanwhile.
    """
    made_from = [FEATURES_FORMAT, segments.key, asdict(settings.front_end)]
    if settings.inputs.feature_scaling != "none":
        made_from.append("not clipped")
    if copy.speed != 1.0:
        made_from.append(copy.speed)
    if copy.room:
        made_from += ["room", ROOMS_FORMAT, copy.room]
    key = json_sha256(made_from)[:12]
    name = f"{segments.folder.name}_{settings.front_end.input_type}_{key}.npy"
    path = derived_dir / "features" / name
    rows = ComputedFeatures(segments.paths, settings, copy, tuple(voices))
    shape = (len(segments.paths), *settings.front_end.input_shape)

    def write(file: BinaryIO) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for number in progress(range(shape[0]), desc="features", unit="segment"):
            file.write(rows[np.array([number])].astype("<f4").tobytes())
        segments.check_current()

    return _kept(path, write)


def _kept(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file and its digest, unless it is there as it was written."""
    digest = _digest_path(path)
    with locked(path):
        remove_parts(path)
        if not _is_whole(path):
            for old in (path, digest):  # perhaps a pipe, which no file replaces
                old.unlink(missing_ok=True)
            write_atomic(path, write)
            write_atomic(digest, sha256(path))
    return path


def _digest_path(path: Path) -> Path:
    """Holds the SHA-256 of a features file, as it was written."""
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    """Whether a features file exists and is the one that was written."""
    digest = _digest_path(path)
    if not (path.is_file() and digest.is_file()):
        return False
    return digest.read_bytes() == sha256(path).encode()


def cache_functionals(
    manifest: Manifest,
    settings: Settings,
    derived_dir: Path,
    *,
    read: Read = read_wav,
    progress: Progress = no_progress,
) -> Path:
    """Write the functionals of every utterance, or find them written.

    Of a long utterance, they are those of the part that is heard in use.

    Args:
        manifest: The utterances.
        settings: Sample rate and copies.
        derived_dir: The file goes to its folder `features`.
        read: Function from path and rate in Hz to an utterance's samples.
        progress: Wraps the loop over utterances.

    Returns:
        File of a float32 array (1 + copies, utterances, functionals).
    """
    from utils.audio.functionals import functionals, most_samples

    rate_hz, rooms = settings.front_end.sample_rate_hz, settings.inputs.rooms
    copies = (ORIGINAL, *copies_of(settings.inputs))
    ids = [utterance.id for utterance in manifest.utterances]
    speeds = (1.0, *settings.inputs.speed_factors)
    made_from = [FUNCTIONALS_FORMAT, manifest.digest, ids, rate_hz, speeds]
    if rooms:
        made_from += ["rooms", ROOMS_FORMAT, rooms]
    name = f"{manifest.corpus}_functionals_{json_sha256(made_from)[:12]}.npy"
    path = derived_dir / "features" / name

    def write(file: BinaryIO) -> None:
        rows = []
        for utterance in progress(manifest.utterances, desc="functionals", unit="file"):
            samples = cut(read(utterance.path, rate_hz), most_samples(rate_hz))[0]
            names = (utterance.id, utterance.voice)
            played = [copy.play(samples, rate_hz, *names) for copy in copies]
            rows.append([functionals(item, rate_hz) for item in played])
        np.save(file, np.swapaxes(np.array(rows, np.float32), 0, 1))

    return _kept(path, write)
