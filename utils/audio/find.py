"""Audio and video files in a folder tree, by their suffix."""

import os
from collections.abc import Collection
from pathlib import Path

# Searched for in folders; a file that the user names may have any suffix or none.
AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".amr", ".au", ".flac", ".m4a", ".mka", ".mp3", ".oga"}
    | {".ogg", ".opus", ".w64", ".wav", ".weba", ".webm", ".wma"}
    | {".caf"}  # codespell:ignore caf
)
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
    | {".wmv"}
)
SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES
WAV_ONLY = frozenset({".wav"})


def is_hidden(name: str) -> bool:
    """Whether a name is an operating system's, such as `._a.wav`."""
    return name.startswith(".") or name == "__MACOSX"


def is_recording(path: Path) -> bool:
    """Whether a file is audio or video by its suffix."""
    return path.suffix.lower() in SUFFIXES


def audio_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The visible files in a folder tree with one of these suffixes, sorted.

    Args:
        folder: As for `visible_files`.
        suffixes: In lower case; those of the files may be in any case.

    Raises:
        OSError: A folder cannot be read.
    """
    return [p for p in visible_files(folder) if p.suffix.lower() in suffixes]


def visible_files(folder: Path) -> list[Path]:
    """All files in a folder tree except hidden ones, sorted.

    Args:
        folder: Links to folders in it are followed, each folder once.

    Raises:
        OSError: A folder cannot be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        # False for a link to a visited folder, which may be above the link itself
        is_new = real not in seen
        seen.add(real)
        folders[:] = sorted(n for n in folders if is_new and not is_hidden(n))
        found += [
            Path(parent, name) for name in names if is_new and not is_hidden(name)
        ]
    return sorted(found)


def _refuse(error: OSError) -> None:
    """Raise; without this function `os.walk` skips folders that it cannot read."""
    raise error
