"""JSON objects from run folders, which may come from elsewhere, checked key by key."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.cli import UNPRINTABLE
from utils.corpora.reading import SAFE_NAME_RULE, is_safe_name

# What a value must be: a type; None; a list with the kind of its entries; a dictionary
# with the kind of all its values (`{str: kind}`) or with the kinds of those keys that
# it may have; a tuple of alternatives.
Kind = Any
VALUE = (str, bool, float)
# Keys that a configuration and a record must have
CONFIG: dict[str, Kind] = {
    "num_folds": int,
    "hash": str,
    "settings": {str: VALUE},
    "corpus": {"name": str, "digest": (str, None), "utterances": int, "note": str},
    "classes": [str],
}
RECORD: dict[str, Kind] = {
    **CONFIG,
    "fold": int,
    "chosen_on": str,
    "test": [str],
    "labels": [int],
    "speakers": [(str, None)],
    "probabilities": {str: [[float]]},
}
# Keys that they may have
OPTIONAL: dict[str, Kind] = {
    "audit": {"verdict": str, "notes": [str], "lines": [str]},
    "changed": {str: VALUE},
    "paths": {str: (str, bool, None)},
    "versions": {str: str},
    "history": {str: [float]},
    "voices": {str: [float]},
    "trained_by": [{"commit": str, "backend": str, "device": str, "from_epoch": int}],
    "start": {str: str},
    "functionals": {str: [[float]]},
    "known_voice": {"all": {str: [[float]]}, "draws": {str: {str: [[int]]}}},
    "epoch_kept": (int, None),
    "threads": (int, None),
    "seconds": float,
    "cpu_seconds": float,
    "train": [str],
    "validation": [str],
    "calibration": [str],
    **dict.fromkeys(("command", "commit", "machine", "time", "backend", "device"), str),
}
NAMES = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    None: "null",
}
MOST_BYTES = 2**28
MENDING = "remove it, and the command that trained makes it again"


def read_object(path: Path, required: Mapping[str, Kind]) -> dict[str, Any]:
    """Read a JSON object and check what it holds.

    Args:
        path: A file, and no link.
        required: Keys that must be there, with the kinds of their values. If there are
            any, the keys in `OPTIONAL` are checked too.

    Raises:
        InputError: No JSON object, a text that cannot be printed, or a key that is
            missing or of another kind.
        OSError: The file cannot be read.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise InputError(
            f"{path}: must be a file of at most {MOST_BYTES / 2**20:.0f} MiB, and no "
            f"link; {MENDING}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        unprintable = [text for text in _texts(content) if UNPRINTABLE.search(text)]
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors alike
        raise InputError(f"{path}: damaged ({error}); {MENDING}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold a JSON object; {MENDING}")
    if unprintable:
        raise InputError(
            f"{path}: texts must be printable, got {unprintable[0][:40]!a}; {MENDING}"
        )
    present = {key: kind for key, kind in OPTIONAL.items() if key in content}
    for key, kind in ({**present, **required} if required else {}).items():
        if not fits(content.get(key), kind):
            raise InputError(
                f"{path}: {key!r} must be {in_words(kind)}, got "
                f"{content.get(key)!r:.40}; {MENDING}"
            )
    if "corpus" in required and not is_safe_name(content["corpus"].get("name")):
        raise InputError(  # it becomes part of file names
            f"{path}: the corpus's name must be made of {SAFE_NAME_RULE}, got "
            f"{content['corpus'].get('name')!r:.40}; {MENDING}"
        )
    return content


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(f"{constant} is no number")


def _texts(content: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        yield from content
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of a kind."""
    if isinstance(kind, tuple):
        return any(fits(value, one) for one in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(v, kind[0]) for v in value)
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return False
        kinds = ((v, kind.get(str, kind.get(key))) for key, v in value.items())
        return all(fits(v, one) for v, one in kinds if one is not None)
    if kind is None:
        return value is None
    if isinstance(value, bool) or kind is bool:  # a bool is an int too
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, kind) and (kind is not int or abs(value) < 2**63)


def in_words(kind: Kind) -> str:
    """A kind in words: `a list, each entry text or null`."""
    if isinstance(kind, tuple):
        return " or ".join(map(in_words, kind))
    if isinstance(kind, list):
        return f"a list, each entry {in_words(kind[0])}"
    if isinstance(kind, dict) and str in kind:
        return f"an object, each value {in_words(kind[str])}"
    if isinstance(kind, dict):
        parts = (f"{key!r} {in_words(one)}" for key, one in kind.items())
        return f"an object ({'; '.join(parts)})"
    return NAMES[kind]
