"""Write the segments of a corpus as 16-bit WAV files into one folder."""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import InputError, Settings
from utils.audio.prepare import prepare
from utils.audio.wav import Read, read_wav, write_wav
from utils.corpora.manifest import Manifest, Utterance
from utils.files import (
    building,
    check_regular,
    json_sha256,
    locked,
    read_regular,
    sha256,
    write_json,
)

INDEX_NAME = "segments.json"
INDEX_KEYS = ("files", "content_hashes", "longest_s")
MOST_INDEX_BYTES = 2**28
MOST_SEGMENT_BYTES = 2**31  # an hour at 192 kHz is 1.4 GB
INDEX_FORMAT = 1
Progress = Callable[..., Iterable[Any]]


def no_progress(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    """Show no progress bar; accepts tqdm's options."""
    return items


@dataclass(frozen=True, kw_only=True)
class SegmentedCorpus:
    """A complete folder of segments, and what it was made from.

    Attributes:
        folder: Holds `<class>/<utterance id>_<k>.wav`.
        key: Digest of source and settings.
        build: Random text that changes whenever the folder is made.
        utterance_ids: (segments,) utterance of each segment.
        paths: (segments,) file of each segment.
        content_hashes: SHA-256 of each source file, by utterance id.
        longest_s: Duration of the longest utterance, s.
    """

    folder: Path
    key: str
    utterance_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    content_hashes: dict[str, str]
    longest_s: float
    build: str = field(default="", compare=False)

    def check_current(self) -> None:
        """Raise if the folder was rebuilt since it was read.

        Raises:
            InputError: Another run replaced the segments.
        """
        index = _read_index(self.folder, self.key)
        if index is None or index.get("build", "") != self.build:
            raise InputError(
                f"{self.folder}: replaced by another run with other settings or "
                "another source while it was read; run them one after another"
            )


def duration_text(duration_s: float) -> str:
    """A duration with one decimal, or more if needed: `3.0`, `2.25`."""
    text = f"{duration_s:.1f}"
    return text if float(text) == duration_s else repr(duration_s)


def segments_name(corpus_name: str, settings: Settings) -> str:
    """Name of the folder of segments, also used in file names: `X_3.0s_Segmented`."""
    number = settings.data.segment_mode
    mode = "" if number == 1 else f"_mode{number}"
    text = duration_text(settings.front_end.duration_s)
    return f"{corpus_name}_{text}s_Segmented{mode}"


def segment_corpus(
    manifest: Manifest,
    settings: Settings,
    derived_dir: Path,
    *,
    read: Read = read_wav,
    progress: Progress = no_progress,
) -> SegmentedCorpus:
    """Write the segments of a corpus, unless they exist for the same source.

    Args:
        manifest: The whole corpus.
        settings: Duration, rate, normalisation and mode are used.
        derived_dir: Gets the folder `<NAME>_<D.D>s_Segmented`, whole or not at all; a
            folder from other settings or another source is replaced.
        read: Path and rate in Hz to samples, (samples,).
        progress: Wraps the loop over utterances, as tqdm does.

    Raises:
        InputError: A file is unreadable, silent, stereo or at another rate, or holds
            NaN.
        OSError: The disk is full or the folder not writable.
    """
    folder = derived_dir / segments_name(manifest.corpus, settings)
    front_end = settings.front_end
    made_from = {
        "format": INDEX_FORMAT,
        "corpus": manifest.digest,
        "duration_s": front_end.duration_s,
        "sample_rate_hz": front_end.sample_rate_hz,
        "normalise_percentile": front_end.normalise_percentile,
        "segment_mode": settings.data.segment_mode,
    }
    key = json_sha256(made_from)
    with locked(folder):
        index = _read_index(folder, key)
        if index is None or not _is_whole(folder, index):
            with building(folder, INDEX_NAME) as temporary:
                utterances = progress(manifest.utterances, desc="segments", unit="file")
                files, longest = _write_segments(utterances, settings, temporary, read)
                index = {
                    "key": key,
                    "build": secrets.token_hex(8),
                    "made_from": made_from,
                    "content_hashes": manifest.content_hashes,
                    "longest_s": longest / front_end.sample_rate_hz,
                    "files": files,
                }
                index["digest"] = _digest(temporary, index)
                write_json(temporary / INDEX_NAME, index)
    return SegmentedCorpus(
        folder=folder,
        key=key,
        build=index.get("build", ""),
        utterance_ids=tuple(utterance_id for utterance_id, _ in index["files"]),
        paths=tuple(folder / name for _, name in index["files"]),
        content_hashes=index["content_hashes"],
        longest_s=index["longest_s"],
    )


def _write_segments(
    utterances: Iterable[Utterance],
    settings: Settings,
    folder: Path,
    read: Read,
) -> tuple[list[list[str]], int]:
    """Write one WAV per segment.

    Returns:
        [utterance id, file name] per segment, and the samples of the longest utterance.
    """
    front_end, files, longest = settings.front_end, [], 0
    for utterance in utterances:
        samples = read(utterance.path, front_end.sample_rate_hz)
        longest = max(longest, len(samples))
        segments = prepare(samples, front_end, settings.data.segment_mode)
        if not np.ptp(segments, axis=1).all():  # zeros, or an offset
            raise InputError(f"{utterance.path}: a segment of it is silent throughout")
        (folder / utterance.label).mkdir(exist_ok=True)
        for number, segment in enumerate(segments):
            name = f"{utterance.label}/{utterance.id}_{number}.wav"
            write_wav(folder / name, segment, front_end.sample_rate_hz)
            files.append([utterance.id, name])
    return files, longest


def _digest(folder: Path, index: dict[str, Any]) -> str:
    """Digest of an index and of the content of every segment."""
    contents = []
    for _, name in index["files"]:
        check_regular(folder / name, MOST_SEGMENT_BYTES)
        contents.append(sha256(folder / name))
    return json_sha256([contents, *(index[key] for key in INDEX_KEYS)])


def _is_whole(folder: Path, index: dict[str, Any]) -> bool:
    """Whether index and segments are as they were written."""
    try:
        return bool(index["digest"] == _digest(folder, index))
    except (KeyError, OSError, TypeError, ValueError):  # a damaged index
        return False


def _read_index(folder: Path, key: str) -> dict[str, Any] | None:
    """The index of a folder of segments; None if missing, damaged or of another key."""
    try:
        index: Any = json.loads(read_regular(folder / INDEX_NAME, MOST_INDEX_BYTES))
    except (FileNotFoundError, ValueError, RecursionError):  # no JSON, or no file
        return None
    is_wanted = isinstance(index, dict) and index.get("key") == key
    return index if is_wanted else None
