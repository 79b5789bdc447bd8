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
from utils.audio.find import WAV_ONLY, audio_files
from utils.corpora.manifest import Manifest, Utterance

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
