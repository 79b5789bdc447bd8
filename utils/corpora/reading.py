"""What readers of corpora share: finding files, and counting what was found."""

import filecmp
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hyperparameters import InputError
from utils.corpora import Manifest, Utterance

# Looked for in folders; a file named outright may have any suffix, or none.
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
# Classes become folders, ids files, on any system.
SAFE_NAME_SAID = "letters, digits, and inside the name also space . _ + -"
MAX_ID_BYTES = 200  # file systems allow 255, and `_<k>.wav` follows


def is_safe_name(name: object) -> bool:
    """Whether a text can name a class or a corpus: see `SAFE_NAME_SAID`.

    Letters of any script, with the marks that some are written with.
    """
    if not isinstance(name, str):
        return False
    # Unicode's categories L*, M*, N*: letters, marks, digits
    shape = "".join("a" if unicodedata.category(c)[0] in "LMN" else c for c in name)
    return re.fullmatch(r"a(?:[a_ .+-]*[a_+-])?", shape) is not None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is an operating system's, such as `._a.wav`."""
    return name.startswith(".") or name == "__MACOSX"


def is_recording(path: Path) -> bool:
    """Whether a file is audio or video by its suffix."""
    return path.suffix.lower() in SUFFIXES


def audio_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The visible files of these kinds in a folder tree, sorted.

    Args:
        folder: As `visible_files`.
        suffixes: In lower case; the files' may be in any.

    Raises:
        OSError: A folder that may not be read.
    """
    return [p for p in visible_files(folder) if p.suffix.lower() in suffixes]


def visible_files(folder: Path) -> list[Path]:
    """All files in a folder tree but the system's own, sorted.

    Args:
        folder: Linked folders in it are followed, each once.

    Raises:
        OSError: A folder that may not be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        # A link to a folder that was already visited, maybe to one above itself.
        is_new = real not in seen
        seen.add(real)
        folders[:] = sorted(n for n in folders if is_new and not is_hidden(n))
        found += [
            Path(parent, name) for name in names if is_new and not is_hidden(name)
        ]
    return sorted(found)


def _refuse(error: OSError) -> None:
    """`os.walk` passes over what it may not read unless told otherwise."""
    raise error


def read_named_files(
    folder: Path,
    corpus: str,
    *,
    utterance_of: Callable[[Path], Utterance | None],
    documented: Mapping[str, int],
) -> Manifest:
    """Read a corpus whose WAV files' names say everything, in any folders.

    Args:
        folder: The corpus; only read.
        corpus: Name of the manifest.
        utterance_of: One file; None where the corpus's authors say that it is none
            of the speech to be recognised. Raises InputError for an unknown name.
        documented: Utterances of each class, in the order of the classes.

    Returns:
        Manifest with the counts in `info`, and in `warnings` what was passed over.

    Raises:
        InputError: No WAV file, a name that fits no class, or two files of one name
            with different contents.
    """
    kept: dict[str, Utterance] = {}
    rest, copies, passed_over = [], [], []
    for path in audio_files(folder, WAV_ONLY):
        utterance = utterance_of(path)
        if utterance is None:
            passed_over.append(path)
        elif utterance.id not in kept:
            kept[utterance.id] = utterance
        elif filecmp.cmp(path, kept[utterance.id].path, shallow=False):
            copies.append(path)  # archives of RAVDESS and TESS hold the tree twice
        else:
            rest.append(utterance)  # Manifest names both files
    if not kept:
        raise InputError(f"{corpus}: no WAV file of its speech in {folder}")
    utterances = (*kept.values(), *rest)
    info, warnings = compare_counts(corpus, utterances, documented)
    return Manifest(
        corpus=corpus,
        classes=tuple(documented),
        utterances=utterances,
        info=info,
        warnings=(
            *warnings,
            *passed_over_line(corpus, passed_over, "not part of its speech"),
            *passed_over_line(corpus, copies, "copies of others by the same name"),
        ),
    )


def unknown_name(corpus: str, path: Path, example: str) -> InputError:
    """The error for a file whose name is not the corpus's."""
    return InputError(
        f"{corpus}: the name of {path} is none of the corpus's, such as {example}; "
        "rename or remove the file"
    )


def passed_over_line(
    corpus: str, names: Collection[Path | str], reason: str
) -> tuple[str, ...]:
    """At most one warning: how many were passed over, the first, and why."""
    if not names:
        return ()
    first = min(str(name) for name in names)
    return (f"{corpus}: {len(names)} passed over ({reason}), the first is {first}",)


def compare_counts(
    corpus: str, utterances: Iterable[Utterance], documented: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The counts found beside the documented ones.

    Args:
        corpus: Name for the lines.
        utterances: All that were found.
        documented: Utterances of each class.

    Returns:
        One line of information, and one line of warning where a count differs.
    """
    found = Counter(utterance.label for utterance in utterances)
    listed = ", ".join(
        f"{label} {found[label]} ({count})" for label, count in documented.items()
    )
    total = sum(documented.values())
    info = f"{corpus}: {found.total()} utterances ({total} documented): {listed}"
    differing = [label for label, count in documented.items() if found[label] != count]
    if not differing:
        return (info,), ()
    warning = (
        f"{corpus}: the count of {', '.join(differing)} differs from the documented "
        "one; the copy may be incomplete or altered"
    )
    return (info,), (warning,)


def count_line(
    name: str, classes: Sequence[str], utterances: Sequence[Utterance]
) -> str:
    """How many utterances of each class, and by how many speakers."""
    found = Counter(utterance.label for utterance in utterances)
    speakers = {utterance.speaker for utterance in utterances} - {None}
    listed = ", ".join(f"{label} {found[label]}" for label in classes)
    by = f"{len(speakers)} speakers" if speakers else "speakers unknown"
    return f"{name}: {len(utterances)} utterances, {by}: {listed}"


def check_classes(place: str, classes: Sequence[str]) -> None:
    """At least two names, each a folder of its own on any system.

    Args:
        place: File and line, or folder, for the message.
        classes: In any order.

    Raises:
        InputError: Fewer than two, a name that can't be a folder, or two that differ
            only in case.
    """
    if len(classes) < 2:
        raise InputError(
            f"{place}: needs at least two classes, got {', '.join(classes) or 'none'}"
        )
    for label in classes:
        if not is_safe_name(label):
            raise InputError(
                f"{place}: a class must be made of {SAFE_NAME_SAID}, got {label!r}"
            )
    folded = Counter(label.casefold() for label in classes)
    same = [label for label in classes if folded[label.casefold()] > 1]
    if same:
        raise InputError(
            f"{place}: classes {', '.join(same)} are the same but for case; use one"
        )


def unique_ids(relative_paths: Iterable[str]) -> dict[str, str]:
    """An id for each path: file-name safe, unique, and the same in any order.

    Args:
        relative_paths: All paths of a corpus, each once.

    Returns:
        `a/b c.wav` → `a_b_c`; with some digits of the path's hash where two paths would
        give the same, or a name too long for a file.
    """
    plain = {
        path: re.sub(r"[^\w.+-]+", "_", os.path.splitext(path)[0]).strip("._-") or "_"
        for path in relative_paths
    }
    taken = Counter(name.casefold() for name in plain.values())
    return {
        path: name
        if taken[name.casefold()] == 1 and len(name.encode()) <= MAX_ID_BYTES
        else f"{name[-40:].lstrip('._-')}-{_hash_digits(path)}"
        for path, name in plain.items()
    }


def _hash_digits(text: str) -> str:
    """Eight hexadecimal digits that depend on the whole text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
