"""The recordings of a corpus, for the page of a report."""

from pathlib import Path
from typing import NamedTuple

from utils.audio.native import name_for_soundfile
from utils.corpora.manifest import Manifest


class Recording(NamedTuple):
    """A recording of the corpus.

    Attributes:
        path: The audio file.
        duration_s: As its header states; None if only ffmpeg reads its format.
    """

    path: Path
    duration_s: float | None


def recordings_of(manifest: Manifest) -> dict[str, Recording]:
    """The recordings by utterance id."""
    return {u.id: Recording(u.path, _duration_s(u.path)) for u in manifest.utterances}


def _duration_s(path: Path) -> float | None:
    """The duration in a file's header, s."""
    import soundfile  # reports without recordings do not need it

    try:
        return float(soundfile.info(name_for_soundfile(path)).duration)
    except (soundfile.SoundFileError, OSError):
        return None
