"""Read a CSV manifest of a user's own recordings: a header, then one line per file.

Columns are `path` (relative to the CSV's folder) and `label`, and optionally `speaker`,
`session`, `part` (impro or script) and `sentence`. The order of classes, which is that
of the network's outputs, is the order of their first occurrence, or the one that the
first line declares: `# classes: anger,calm`.
"""

import codecs
import csv
import io
import itertools
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hyperparameters import AUDIO_TYPES, InputError
from utils.cli import UNPRINTABLE, describe, find_spelled, normal
from utils.corpora.class_map import check_meanings
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import (
    SAFE_NAME_RULE,
    alike_lines,
    check_classes,
    count_line,
    is_safe_name,
    unique_ids,
)
from utils.files import read_regular
from utils.tables import plain_cell

REQUIRED = ("path", "label")
OPTIONAL = ("speaker", "session", "part", "sentence")
CLASSES_LINE = re.compile(r"#\s*classes\s*:(?P<names>.*)", re.IGNORECASE)
DELIMITERS = ",;\t"  # spreadsheets of some languages write semicolons
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Excel's `Unicode Text`
MOST_BYTES = 2**26
MOST_ROWS = 200_000


class Row(NamedTuple):
    """One recording of a manifest: line number, file, and text by column."""

    line: int
    path: Path
    fields: dict[str, str]


def read_csv(folder: Path, *, file_name: str, name: str) -> Manifest:
    """Read a CSV manifest.

    Args:
        folder: The CSV's folder; only read.
        file_name: The CSV: UTF-8, comma, semicolon or tab between the columns.
        name: Name of the manifest.

    Raises:
        InputError: The manifest has a mistake; the message names file and line.
    """
    path = folder / file_name
    lines = _read_lines(path)
    declared = CLASSES_LINE.fullmatch(_unquoted(lines[0], f"{path}, line 1"))
    listed = re.split(f"[{DELIMITERS}]", declared["names"]) if declared else []
    classes = [normal(label.strip()) for label in listed if label.strip()]
    rows = list(_read_rows(path, lines, first=1 if declared else 0))
    _check_rows(path, rows, classes)
    classes = classes or list(dict.fromkeys(row.fields["label"] for row in rows))
    check_classes(f"{path}, line {1 if declared else rows[-1].line}", classes)
    if not declared:
        check_meanings(
            str(path),
            classes,
            "write one name for them, or make the first line "
            f"`# classes: {','.join(classes)}` if they differ",
        )
    ids = unique_ids(row.fields["path"] for row in rows)
    utterances = [
        Utterance(
            id=ids[row.fields["path"]],
            path=row.path,
            label=row.fields["label"],
            **{column: row.fields.get(column) or None for column in OPTIONAL},
        )
        for row in rows
    ]
    unused = [c for c in rows[0].fields if c not in (*REQUIRED, *OPTIONAL)]
    alike = (
        alike_lines(name, column, (row.fields.get(column, "") for row in rows))
        for column in ("speaker", "session", "sentence")
    )
    return Manifest(
        corpus=name,
        classes=tuple(classes),
        utterances=tuple(utterances),
        info=(
            count_line(name, classes, utterances),
            *((f"{name}: columns not used: {', '.join(unused)}",) if unused else ()),
        ),
        warnings=tuple(itertools.chain.from_iterable(alike)),
    )


def _read_lines(path: Path) -> list[str]:
    """The lines of a manifest without a byte order mark, which Excel writes."""
    data = read_regular(path, MOST_BYTES)
    try:
        text = data.decode("utf-16" if data[:2] in UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: is not UTF-8; save it as `CSV UTF-8`"
        ) from error
    if not text.strip():
        raise InputError(
            f"{path}, line 1: is empty; expected the header {','.join(REQUIRED)}"
        )
    return list(io.StringIO(text, newline=""))


def _unquoted(line: str, place: str) -> str:
    """A line without the quotes that spreadsheets put around cells with commas."""
    try:
        return ",".join(next(csv.reader([line]))).strip()
    except csv.Error as error:
        raise InputError(f"{place}: is not CSV ({error})") from error


def _read_rows(path: Path, lines: Sequence[str], first: int) -> Iterator[Row]:
    """Check the header and yield rows, starting at index `first` of the lines."""
    if len(lines) > MOST_ROWS:
        raise InputError(f"{path}: may have {MOST_ROWS} lines, has {len(lines)}")
    header_line = next(filter(str.strip, lines[first:]), "")
    delimiter = max(DELIMITERS, key=header_line.count)
    reader = csv.reader(lines[first:], delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for values in reader:
            place = f"{path}, line {first + reader.line_num}"
            if not any(value.strip() for value in values):
                continue
            if not columns:
                columns = _check_header(place, values)
            else:
                fields = _check_fields(place, columns, values)
                # Paths written on Windows work on every system.
                relative = fields["path"].replace("\\", "/")
                recording = find_spelled(path.parent, relative)
                names = {column: normal(value) for column, value in fields.items()}
                yield Row(first + reader.line_num, recording, names)
    except csv.Error as error:
        line = first + reader.line_num
        raise InputError(f"{path}, line {line}: is not CSV ({error})") from error
    if not columns:
        raise InputError(
            f"{path}, line {first + 1}: expected the header {','.join(REQUIRED)}"
        )


def _check_header(place: str, values: Sequence[str]) -> list[str]:
    """The column names in lower case."""
    columns = [normal(value.strip().casefold()) for value in values]
    while columns and not columns[-1]:  # as spreadsheets end a line
        columns.pop()
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise InputError(f"{place}: column {twice[0]!r} occurs twice")
    for column in REQUIRED:
        if column not in columns:
            raise InputError(
                f"{place}: column {column!r} is missing; needed are "
                f"{', '.join(REQUIRED)}, known {', '.join(OPTIONAL)}, got "
                f"{', '.join(columns)}"
            )
    return columns


def _check_fields(
    place: str, columns: Sequence[str], values: Sequence[str]
) -> dict[str, str]:
    """The text of one row by column."""
    cells = [plain_cell(value.strip()) for value in values]
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) != len(columns):
        raise InputError(
            f"{place}: has {len(cells)} columns, the header {len(columns)}"
        )
    fields = dict(zip(columns, cells, strict=True))
    for column in REQUIRED:
        if not fields[column]:
            raise InputError(f"{place}: {column} is empty")
    for column in filter(fields.get, OPTIONAL):  # a label has a narrower rule
        text = fields[column] = " ".join(fields[column].split())  # of several lines
        if UNPRINTABLE.search(text):
            raise InputError(f"{place}: {column} must be printable, got {text!a:.60}")
    parts = [part for part in AUDIO_TYPES if part != "all"]
    if fields.get("part") and fields["part"] not in parts:
        raise InputError(
            f"{place}: part must be {' or '.join(parts)}, got {fields['part']!r}"
        )
    return fields


def _check_rows(path: Path, rows: Sequence[Row], classes: Sequence[str]) -> None:
    """Check that files exist, are listed once, and have known labels and speakers."""
    if not rows:
        raise InputError(f"{path}, line 2: no recordings below the header")
    line_of: dict[tuple[int, int], int] = {}
    labels = {row.fields["label"] for row in rows}
    unsafe = {label for label in labels if not is_safe_name(label)}
    for row in rows:
        place = f"{path}, line {row.line}"
        try:
            found = row.path.stat()  # the same for a path through a link
        except (FileNotFoundError, NotADirectoryError, ValueError):  # \0 in the path
            found = None
        except OSError as error:
            raise InputError(f"{place}: {describe(error)}") from error
        if found is None or not stat.S_ISREG(found.st_mode):
            raise InputError(f"{place}: there is no file {row.path}")
        earlier = line_of.setdefault((found.st_dev, found.st_ino), row.line)
        if earlier != row.line:
            raise InputError(f"{place}: {row.path} is already in line {earlier}")
        label = row.fields["label"]
        if classes and label not in classes:
            raise InputError(
                f"{place}: unknown label {label!r}; line 1 declares "
                f"{', '.join(classes)}"
            )
        if label in unsafe:
            raise InputError(
                f"{place}: a label must be made of {SAFE_NAME_RULE}, got {label!r}"
            )
    for column in ("speaker", "session"):  # protocols need it for all or for none
        missing = [row.line for row in rows if not row.fields.get(column)]
        if missing and len(missing) < len(rows):
            raise InputError(
                f"{path}, line {missing[0]}: {column} is empty; give it for every "
                "recording or for none"
            )
