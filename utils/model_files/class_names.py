"""Names of a model's classes: those stored with it, or the user's own words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from hyperparameters import InputError
from utils.cli import find_spelled
from utils.files import read_regular

MOST_LABELS_BYTES = 2**20


def is_printable(name: Any) -> bool:
    """Whether a name is a text that a terminal shows as it is."""
    return isinstance(name, str) and name.isprintable() and bool(name.strip())


def check_class_names(place: str, classes: Any) -> None:
    """Check class names from a file: they go to terminals, tables and C sources.

    Args:
        place: Whose names they are, for the message.
        classes: As read.

    Raises:
        InputError: It is no list of texts, a name is empty or not printable, or a name
            occurs twice, by case or by Unicode's normal form too.
    """
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise InputError(f"{place} must list its classes, got {classes!r}")
    if not all(map(is_printable, classes)):
        raise InputError(
            f"{place} must name its classes in printable text, got {classes!r}"
        )
    if len({normalize("NFC", c).casefold() for c in classes}) < len(classes):
        raise InputError(f"{place} must name each class once, got {classes!r}")


def named_classes(
    path: Path, stored: tuple[str, ...] | None, labels: str | None
) -> tuple[str, ...]:
    """Class names of a model: the user's if given, else those stored with the model.

    Args:
        path: Model file, for the message.
        stored: Names stored with the model, if any.
        labels: Value of `--labels`: other words for the same outputs.

    Raises:
        InputError: There are no names, or `labels` gives one of the stored names, or a
            word that means the same, to another output. That would give wrong answers
            without any error.
    """
    if labels is None and stored is None:
        raise InputError(
            f"{path}: does not name its classes; give them with --labels (a file with "
            "one name per line, or comma-separated names)"
        )
    if labels is None:
        return stored or ()
    given = parse_labels(labels)
    if stored and len(given) == len(stored):
        _check_places(path, stored, given)
    return given


def _check_places(path: Path, stored: Sequence[str], given: Sequence[str]) -> None:
    """Check that no stored name, by any common word for it, has another place."""
    from utils.corpora.class_map import common_names  # not needed without --labels

    own, new = common_names(stored), common_names(given)
    for place, (name, meaning) in enumerate(zip(given, new, strict=True)):
        if meaning in own and own[place] != meaning:
            raise InputError(
                f"--labels lists the classes of {path} in another order than the model "
                f"itself ({', '.join(stored)}): {name} would name the output for "
                f"{stored[place]}; omit --labels"
            )


def parse_labels(labels: str) -> tuple[str, ...]:
    """Class names from the value of `--labels`, in Unicode's normal form C.

    Args:
        labels: Path of a text file with one name per line, or comma-separated names.

    Raises:
        InputError: The file cannot be read, or names are missing, repeated or not
            printable.
    """
    parts = labels.split(",")
    if len(parts) == 1:
        try:
            path = find_spelled(Path(), labels)
            text = read_regular(path, MOST_LABELS_BYTES).decode("utf-8-sig")
            parts = text.splitlines()
        except (OSError, ValueError) as error:  # ValueError: not UTF-8
            raise InputError(
                "--labels must be a text file with one class per line, or "
                f"comma-separated names, got {labels!r}"
            ) from error
    names = [normalize("NFC", part.strip()) for part in parts if part.strip()]
    if not names:
        raise InputError(f"--labels must name each class once, got {labels!r}")
    check_class_names("--labels", names)
    return tuple(names)
