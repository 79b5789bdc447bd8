"""Load a corpus by its name: manifest, segments, and the reader of its files."""

from dataclasses import dataclass, replace
from pathlib import Path

from hyperparameters import InputError, Settings
from utils.audio.wav import Read, read_any, read_wav
from utils.corpora import Corpus, load_manifest
from utils.corpora.manifest import Manifest
from utils.corpora.segments import (
    Progress,
    SegmentedCorpus,
    no_progress,
    segment_corpus,
)
from utils.corpora.user_corpus import conversion_line, find_corpus
from utils.files import PROJECT

CACHES = ("disk", "ram", "None")


def select_part(manifest: Manifest, audio_type: str) -> Manifest:
    """The utterances of one part of a corpus.

    Args:
        manifest: The whole corpus.
        audio_type: `all`, `impro` or `script`, by each utterance's own part.

    Raises:
        InputError: The corpus has no such part.
    """
    if audio_type == "all":
        return manifest
    kept = tuple(u for u in manifest.utterances if u.part == audio_type)
    if not kept:
        raise InputError(
            f"{manifest.corpus} has no part {audio_type!r}: use --audio_type all"
        )
    return replace(manifest, utterances=kept)


@dataclass(frozen=True, kw_only=True)
class DataPaths:
    """Where a run reads and writes data; none of this affects its results.

    Attributes:
        data_dir: Holds the corpora; only read.
        derived_dir: Segments and features are written here.
        cache: `disk` maps the file of features, `ram` loads it, `None` computes
            features in every epoch.
        accept_altered: Accept files that differ from the published ones.
        manifest_path: CSV manifest of the user's own corpus.
    """

    data_dir: Path
    derived_dir: Path = PROJECT / "data"
    cache: str = "disk"
    accept_altered: bool = False
    manifest_path: Path | None = None


def read_segments(
    settings: Settings, data_paths: DataPaths, progress: Progress = no_progress
) -> tuple[Manifest, SegmentedCorpus, Read]:
    """Read a corpus and write its segments, unless they exist.

    Args:
        settings: The settings of corpus and segments are used.
        data_paths: Folders.
        progress: Wraps the loop over utterances, as tqdm does.

    Returns:
        Manifest of the whole corpus, its segments, and the reader of its recordings.

    Raises:
        InputError: The corpus is missing, or it or one of its files is damaged.
        OSError: A segment cannot be written.
    """
    corpus, whole = read_corpus(settings.data.dataset_name, data_paths)
    if corpus.converts:
        converted = conversion_line(whole, settings.front_end.sample_rate_hz)
        info = (*whole.info, converted) if converted else whole.info
        whole = replace(whole, info=info)
    read = reader_of(corpus)
    segments = segment_corpus(
        whole, settings, data_paths.derived_dir, read=read, progress=progress
    )
    return whole, segments, read


def reader_of(corpus: Corpus) -> Read:
    """The reader of a corpus's recordings: path and rate in Hz to (samples,).

    Corpora published as 16 kHz mono are not converted: other files are refused.
    """
    return read_any if corpus.converts else read_wav


def read_corpus(dataset_name: str, data_paths: DataPaths) -> tuple[Corpus, Manifest]:
    """A corpus and all its utterances.

    Args:
        dataset_name: As in `-dn`.
        data_paths: Folders.

    Raises:
        InputError: The corpus is missing or damaged.
    """
    corpus = find_corpus(dataset_name, data_paths.data_dir, data_paths.manifest_path)
    manifest = load_manifest(
        corpus, data_paths.data_dir, accept_altered=data_paths.accept_altered
    )
    return corpus, manifest
