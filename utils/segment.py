"""Utterances to segments of one length (Light-SERNet, section 3.1; released code).

Cut, normalise, pad, round to 16 bits: `prepare` does it to one utterance and serves
training and inference alike; `segment_corpus` writes a whole corpus as WAV files.
"""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError, Settings
from utils.audio import PCM16_SCALE, Read, read_wav, to_pcm16, write_wav
from utils.corpora import Manifest, Utterance
from utils.files import building, digest, locked, write_json

FloatArray = npt.NDArray[np.floating]
INDEX_NAME = "segments.json"
INDEX_FORMAT = 1
Progress = Callable[..., Iterable[Any]]


def quiet(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    """No progress bar; takes tqdm's options."""
    return items


def cut(samples: FloatArray, length: int, mode: int = 1) -> list[FloatArray]:
    """Cut one utterance into segments of at most `length` samples.

    Args:
        samples: (samples,).
        length: Samples a segment.
        mode: 1: the centre, one segment. 0: every whole segment that fits, the
            remainder cut at both ends. A shorter utterance stays whole in both.
            What is cut off is the same at both ends, an odd sample more at the end.

    Returns:
        At least one array of at most `length` samples.
    """
    whole = max(1, len(samples) // length) if mode == 0 else 1
    start = max(0, len(samples) - whole * length) // 2
    return [samples[start + i * length :][:length] for i in range(whole)]


def normalise(samples: FloatArray, percentile: float) -> FloatArray:
    """Divide by a percentile of |samples| and clip to ±1; before padding.

    Args:
        samples: (samples,), not empty.
        percentile: In percent, linear between order statistics.

    Returns:
        Same shape, float64; zeros where all samples are zero.
    """
    level = np.percentile(np.abs(samples), percentile) + np.finfo(np.float64).eps
    return np.clip(samples / level, -1.0, 1.0)


def pad(samples: FloatArray, length: int) -> FloatArray:
    """Zeros on both sides up to `length` samples, an odd one at the end."""
    missing = length - len(samples)
    return np.pad(samples, (missing // 2, missing - missing // 2))


def prepare(
    samples: FloatArray, front_end: FrontEnd, mode: int = 1
) -> npt.NDArray[np.int16]:
    """An utterance as the network's front-end gets it, in training and inference.

    Args:
        samples: (samples,) at the front-end's rate; any scale.
        front_end: Segment length and normalisation.
        mode: As in `cut`.

    Returns:
        (segments, duration_samples), int16.
    """
    length = front_end.duration_samples
    segments = [
        pad(normalise(segment, front_end.normalise_percentile), length)
        for segment in cut(np.asarray(samples, np.float64), length, mode)
    ]
    return to_pcm16(np.stack(segments))


def from_pcm16(segments: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """16-bit samples as float32 within ±1, the scale of WAV readers."""
    return (segments / PCM16_SCALE).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class SegmentedCorpus:
    """A folder of segments, whole, and what it was made from.

    Attributes:
        folder: Holds `<class>/<utterance id>_<k>.wav`.
        key: Digest of source and settings.
        build: Random, another one each time that the folder is made.
        utterance_ids: (segments,) the utterance of each segment, in order.
        paths: (segments,) the file of each segment.
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
        """Hold the folder to these segments, after they were read.

        Raises:
            InputError: It holds another run's; some of what was read may be those.
        """
        index = _read_index(self.folder, self.key)
        if index is None or index.get("build", "") != self.build:
            raise InputError(
                f"{self.folder}: replaced by another run with other settings or "
                "another source while it was read; run them one after another"
            )


def duration_text(duration_s: float) -> str:
    """`3.0`; all digits where one decimal is not exact: `2.25`."""
    text = f"{duration_s:.1f}"
    return text if float(text) == duration_s else repr(duration_s)


def stem(corpus_name: str, settings: Settings) -> str:
    """`EMO-DB_3.0s_Segmented`, the start of folder and file names; mode 0 is named."""
    mode = "_mode0" if settings.data.segment_mode == 0 else ""
    text = duration_text(settings.front_end.duration_s)
    return f"{corpus_name}_{text}s_Segmented{mode}"


def segment_corpus(
    manifest: Manifest,
    settings: Settings,
    derived_dir: Path,
    *,
    read: Read = read_wav,
    progress: Progress = quiet,
) -> SegmentedCorpus:
    """Write the segments of a corpus, or find them written from the same source.

    Args:
        manifest: The whole corpus.
        settings: Duration, rate, normalisation and mode count here.
        derived_dir: The folder `<NAME>_<D.D>s_Segmented` is made in it, whole or not
            at all; one with other settings or another source is replaced.
        read: Path and rate in Hz to samples, (samples,).
        progress: Wraps the loop over utterances, as tqdm does.

    Raises:
        InputError: An unreadable file, silence, NaN, another rate or stereo.
        OSError: The disk is full or the folder not writable.
    """
    folder = derived_dir / stem(manifest.corpus, settings)
    front_end = settings.front_end
    made_from = {
        "format": INDEX_FORMAT,
        "corpus": manifest.digest,
        "duration_s": front_end.duration_s,
        "sample_rate_hz": front_end.sample_rate_hz,
        "normalise_percentile": front_end.normalise_percentile,
        "segment_mode": settings.data.segment_mode,
    }
    key = digest(made_from)
    with locked(folder):
        index = _read_index(folder, key)
        if index is None:
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
    """Write every segment's WAV.

    Returns:
        [utterance id, file name] of each, and the longest utterance's samples.
    """
    front_end, files, longest = settings.front_end, [], 0
    for utterance in utterances:
        samples = read(utterance.path, front_end.sample_rate_hz)
        longest = max(longest, len(samples))
        segments = prepare(samples, front_end, settings.data.segment_mode)
        if not segments.any(axis=1).all():
            raise InputError(f"{utterance.path}: a segment of it is silent throughout")
        (folder / utterance.label).mkdir(exist_ok=True)
        for number, segment in enumerate(segments):
            name = f"{utterance.label}/{utterance.id}_{number}.wav"
            write_wav(folder / name, segment, front_end.sample_rate_hz)
            files.append([utterance.id, name])
    return files, longest


def _read_index(folder: Path, key: str) -> dict[str, Any] | None:
    """The index of a segmented folder; None where missing or made from other things."""
    try:
        index: Any = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # ValueError: neither JSON nor UTF-8
        return None
    is_wanted = isinstance(index, dict) and index.get("key") == key
    return index if is_wanted else None
