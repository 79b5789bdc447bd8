"""What readers of corpora share: finding files, and counting what was found."""

import filecmp
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from hyperparameters import InputError
from utils.corpora import Manifest, Utterance

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".amr", ".au", ".flac", ".m4a", ".mp3", ".oga", ".ogg"}
    | {".opus", ".wav", ".webm", ".wma"}
)
WAV_ONLY = frozenset({".wav"})


def is_hidden(name: str) -> bool:
    """Whether a file or folder is an operating system's, such as `._a.wav`."""
    return name.startswith(".") or name == "__MACOSX"


def audio_files(folder: Path, suffixes: Collection[str] = AUDIO_SUFFIXES) -> list[Path]:
    """The visible files of these kinds in a folder tree, sorted.

    Args:
        folder: Linked folders in it are followed, each once.
        suffixes: In lower case; the files' may be in any.

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
            Path(parent, name)
            for name in names
            if is_new and not is_hidden(name) and Path(name).suffix.lower() in suffixes
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
