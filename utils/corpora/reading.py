"""What the readers of corpora share: spelling of names, unique ids, and counts."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hyperparameters import InputError
from utils.cli import normal
from utils.corpora.manifest import Utterance

# Classes become folders and ids become files, on any system.
SAFE_NAME_RULE = "letters, digits, and inside the name also space . _ + -"
MAX_ID_BYTES = 200  # file systems allow 255, and `_<k>.wav` follows


def alike_lines(corpus: str, column: str, values: Iterable[str]) -> tuple[str, ...]:
    """A warning per group of values that may mean the same, such as `1`, `01`, `1.0`.

    Args:
        corpus: Name for the lines.
        column: What the values are, such as `speaker`.
        values: All values of the column; repeated ones count once.
    """
    groups: dict[str, list[str]] = {}
    for value in sorted(set(values)):
        plain = unicodedata.normalize("NFKC", value).casefold()
        plain = re.sub(r"(?<=\d)[.,]0+$", "", plain)  # 1.0
        plain = re.sub(r"(?<![\d.,])0+(?=\d)", "", plain)  # 01
        plain = re.sub(r"[\s_-]+", " ", plain)
        groups.setdefault(plain, []).append(value)
    return tuple(
        f"{corpus}: {column} {', '.join(map(repr, group))} may mean the same but count "
        "as different; write each in one way"
        for group in groups.values()
        if len(group) > 1
    )


def is_safe_name(name: object) -> bool:
    """Whether a text can name a class or a corpus: see `SAFE_NAME_RULE`.

    Letters may be of any script and carry combining marks.
    """
    if not isinstance(name, str):
        return False
    # Unicode's categories L*, M*, N*: letters, marks, digits
    shape = "".join("a" if unicodedata.category(c)[0] in "LMN" else c for c in name)
    return re.fullmatch(r"a(?:[a_ .+-]*[a_+-])?", shape) is not None


def compare_counts(
    corpus: str, utterances: Iterable[Utterance], documented: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare the utterances found per class with the documented numbers.

    Args:
        corpus: Name for the lines.
        utterances: All utterances found.
        documented: Documented number of utterances by class.

    Returns:
        One line of information, and one warning if a count differs.
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
    """One line: the number of utterances, speakers, and utterances per class."""
    found = Counter(utterance.label for utterance in utterances)
    speakers = {utterance.speaker for utterance in utterances} - {None}
    listed = ", ".join(f"{label} {found[label]}" for label in classes)
    by = f"{len(speakers)} speakers" if speakers else "speakers unknown"
    return f"{name}: {len(utterances)} utterances, {by}: {listed}"


def check_classes(place: str, classes: Sequence[str]) -> None:
    """Check that there are two or more classes, each usable as a folder's name.

    Args:
        place: File and line, or folder, for the message.
        classes: In any order.

    Raises:
        InputError: Fewer than two classes, a name that cannot be a folder's, or two
            names that differ only in case.
    """
    if len(classes) < 2:
        raise InputError(
            f"{place}: needs at least two classes, got {', '.join(classes) or 'none'}"
        )
    for label in classes:
        if not is_safe_name(label):
            raise InputError(
                f"{place}: a class must be made of {SAFE_NAME_RULE}, got {label!r}"
            )
    folded = Counter(label.casefold() for label in classes)
    same = [label for label in classes if folded[label.casefold()] > 1]
    if same:
        raise InputError(
            f"{place}: classes {', '.join(same)} are the same but for case; use one"
        )


def unique_ids(relative_paths: Iterable[str]) -> dict[str, str]:
    """Ids by path: usable as file names, unique, independent of the paths' order.

    Args:
        relative_paths: All paths of a corpus, each once.

    Returns:
        `a_b_c` for `a/b c.wav`. If two paths would get the same id, or the id would be
        too long for a file name, digits of the path's hash are appended.
    """
    plain = {
        path: re.sub(r"[^\w.+-]+", "_", normal(os.path.splitext(path)[0])).strip("._-")
        or "_"
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
