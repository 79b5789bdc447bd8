"""Templates of file names, such as `{speaker}/{label}/*`, and a guess of one.

A template is compared with a recording's path inside its folder. Each `{field}` stands
for text without `/`, and `*` for anything without `/`, also nothing.
"""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from hyperparameters import InputError
from utils.audio.find import SUFFIXES
from utils.cli import normal
from utils.corpora.class_map import class_map, plain_name

FIELDS = ("speaker", "label", "sentence", "session", "part")
SEPARATORS = "_ -"
NO_SPEAKERS = {"audio", "clips", "data", "recordings", "test", "train", "validation"}
SHARE_OF_LABELS = 0.5  # of the files, at least, a guess must find an emotion in
Names = Sequence[str]


def compile_template(template: str) -> re.Pattern[str]:
    """The regular expression of a template; a suffix that it does not give is free.

    Raises:
        InputError: It has an unknown field, one twice, or no `{label}`.
    """
    fields = re.findall(r"\{(.*?)\}", template)
    wrong = [name for name in fields if name not in FIELDS or fields.count(name) > 1]
    if wrong or "label" not in fields:
        raise InputError(
            f"--template must hold {{label}}, and each of {', '.join(FIELDS)} at most "
            f"once, such as '{{speaker}}/{{label}}/*', got {template!r}"
        )
    pattern = ""
    parts = [p for p in re.split(r"(\{.*?\}|\*)", normal(template)) if p]
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if part == "*":
            pattern += "[^/]*?"
            continue
        if not part.startswith("{"):
            pattern += re.escape(part)
            continue
        # `anxiety_fear` is one label, also between `_`
        words = f"(?:{_emotion_words()})(?![^\\W\\d_])|" if part == "{label}" else ""
        end = "(?=[_ .-])" if following == "*" else ""
        pattern += f"(?P<{part[1:-1]}>{words}[^/]+?{end})"
    if PurePosixPath(template).suffix.lower() not in SUFFIXES:
        pattern += r"\.[^./]+"
    return re.compile(pattern, re.IGNORECASE)


@functools.cache
def _emotion_words() -> str:
    """All known names of emotions as alternatives, the longest first."""
    return "|".join(sorted(map(re.escape, class_map()), key=len, reverse=True))


def is_emotion(name: str) -> bool:
    """Whether a name is a known name of an emotion, in any spelling."""
    return plain_name(name) in class_map()


def guess_template(paths: Names) -> str | None:
    """The template that most of the paths follow, or None if no emotion is named.

    The label is the folder, or the word of the file name, that names an emotion in most
    files. The speaker is the first other folder or word whose values occur with several
    labels; numbers in file names are not taken for speakers.

    Args:
        paths: Relative, with `/`.
    """
    depth, count = Counter(path.count("/") for path in paths).most_common(1)[0]
    rows = [path.split("/") for path in paths if path.count("/") == depth]
    stems = [re.sub(r"\.[^.]+$", "", row[-1]) for row in rows]
    separator = max(SEPARATORS, key="".join(stems).count)
    emotional = [sum(is_emotion(row[level]) for row in rows) for level in range(depth)]
    place = max(range(depth), key=emotional.__getitem__, default=-1)
    enough = SHARE_OF_LABELS * count
    in_name = place < 0 or emotional[place] < enough
    if in_name:
        split = _around_emotions(stems, separator)
    else:
        words = [stem.split(separator) for stem in stems]
        split = {n: ([], row[place], words[n]) for n, row in enumerate(rows)}
    if len(split) < enough:
        return None
    heads, labels, tails = map(list, zip(*split.values(), strict=True))
    columns = [[rows[n][level] for n in split] for level in range(depth)]
    parts = [_folder(column, labels) for column in columns]
    if in_name:
        parts += [*_columns(heads, labels), "{label}"]
    else:
        parts[place] = "{label}"
    parts = _one_speaker([*parts, *_columns(tails, labels)])
    while parts[depth:] and parts[-1] == "*":
        parts.pop()
    counts = {len(before) + in_name + len(after) for before, _, after in split.values()}
    end = "" if counts == {len(parts) - depth} else "*"
    return "/".join([*parts[:depth], separator.join(parts[depth:]) + end])


def _around_emotions(
    stems: Names, separator: str
) -> dict[int, tuple[Names, str, Names]]:
    """By number of the file name: the words before its emotion, this, the words after.

    Only names with the emotion in the most frequent place.
    """
    gap = rf"[{SEPARATORS}]"
    emotion = re.compile(
        rf"(?:(?P<before>.*?){gap})??(?P<label>{_emotion_words()})(?:{gap}(?P<after>.*))?",
        re.IGNORECASE,
    )
    found = {n: m for n, stem in enumerate(stems) if (m := emotion.fullmatch(stem))}
    split = {
        n: (
            match["before"].split(separator) if match["before"] else [],
            match["label"].casefold(),
            match["after"].split(separator) if match["after"] else [],
        )
        for n, match in found.items()
    }
    places = Counter(len(before) for before, _, _ in split.values())
    most = max(places, key=places.__getitem__, default=0)
    return {n: words for n, words in split.items() if len(words[0]) == most}


def _columns(rows: Sequence[Names], labels: Names) -> list[str]:
    """What each word means that all rows have, such as `{speaker}` or `*`."""
    parts = []
    for values in zip(*(row[: min(map(len, rows))] for row in rows), strict=True):
        has_letters = all(any(map(str.isalpha, value)) for value in values)
        # `anna1` to `anna9` would each occur once with a label
        repeat = len(set(zip(values, labels, strict=True))) < len(values)
        is_name = has_letters and (repeat or all(map(str.isalpha, values)))
        is_speaker = is_name and _have_several(values, labels)
        parts.append("{speaker}" if is_speaker else "*")
    return parts


def _folder(values: Names, labels: Names) -> str:
    """What a level of folders beside the labels means."""
    names = {value.casefold() for value in values}
    if all(name.startswith("session") for name in names):
        return "{session}"
    if names <= {"impro", "script"}:
        return "{part}"
    is_speaker = not names <= NO_SPEAKERS and _have_several(values, labels)
    return "{speaker}" if is_speaker else "*"


def _have_several(values: Names, labels: Names) -> bool:
    """Whether there are several values, and most of them occur with several labels."""
    pairs = set(zip(values, map(str.casefold, labels), strict=True))
    counts = Counter(value for value, _ in pairs)
    return len(counts) > 1 and sum(n > 1 for n in counts.values()) > len(counts) / 2


def _one_speaker(parts: Names) -> list[str]:
    """The same parts with the first speaker only."""
    first = parts.index("{speaker}") if "{speaker}" in parts else -1
    return ["*" if p == "{speaker}" and i != first else p for i, p in enumerate(parts)]
