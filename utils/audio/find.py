"""Audio and video files in a folder tree, by their suffix."""

import errno
import os
from collections.abc import Collection
from pathlib import Path

from hyperparameters import InputError

# Searched for in folders; a file that the user names may have any suffix or none.
SUFFIXES = frozenset(
    (
        *(".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".awb"),
        *(".bwf", ".caf", ".dts", ".eac3", ".flac", ".m4a", ".m4b", ".m4r", ".mka"),
        *(".mp1", ".mp2", ".mp3", ".mpc", ".mpga", ".nist", ".oga", ".ogg", ".opus"),
        *(".rf64", ".snd", ".sph", ".spx", ".tta", ".voc", ".w64", ".wav", ".wave"),
        *(".weba", ".wma", ".wv"),
        # video
        *(".3g2", ".3ga", ".3gp", ".3gp2", ".3gpp", ".3gpp2", ".asf", ".avi", ".f4v"),
        *(".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
        *(".mxf", ".ogv", ".qt", ".rm", ".ts", ".vob", ".webm", ".wmv"),
    )
)
WAV_ONLY = frozenset({".wav"})
NO_SOUND = "no sound or video by their suffix"


def is_hidden(name: str) -> bool:
    """Whether a name is an operating system's, such as `._a.wav`."""
    return name.startswith(".") or name == "__MACOSX"


def is_recording(path: Path) -> bool:
    """Whether a file is audio or video by its suffix."""
    return path.suffix.lower() in SUFFIXES


def passed_over_line(
    place: str, names: Collection[Path | str], reason: str
) -> tuple[str, ...]:
    """One line: count, reason and first name; none if nothing was passed over."""
    if not names:
        return ()
    first = min(str(name) for name in names)
    return (f"{place}: {len(names)} passed over ({reason}), the first is {first}",)


def recordings(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The visible recordings in a folder tree, sorted, and a line about other files.

    Args:
        folder: As for `visible_files`.

    Raises:
        OSError: A folder cannot be read.
    """
    files = visible_files(folder)
    others = [path for path in files if not is_recording(path)]
    line = passed_over_line(str(folder), others, NO_SOUND)
    return [path for path in files if is_recording(path)], line


def audio_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
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
        InputError: Its folders are nested too deeply for the system.
        OSError: A folder cannot be read.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(folder)]
    try:
        while waiting:
            parent = waiting.pop()
            state = os.stat(parent)
            # False for a link to a visited folder, which may be above the link itself
            if (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                folders, files = _entries(parent)
                waiting += reversed(folders)
                found += files
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InputError(
            f"{folder}: holds folders nested too deeply for the system"
        ) from error
    return sorted(found)


def _entries(parent: str) -> tuple[list[str], list[Path]]:
    """The visible folders, sorted, and files in one folder."""
    folders, files = [], []
    with os.scandir(parent) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                folders.append(entry.path)
            else:
                files.append(Path(entry.path))
    return sorted(folders), files
