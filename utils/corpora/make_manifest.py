"""Write the CSV manifest of a folder of recordings, from the names of its files.

    python -m utils.corpora.make_manifest FOLDER [--template TEMPLATE] [--output FILE]

A template such as `{speaker}/{label}/*` says what the names mean; without one it is
guessed and shown. Nothing is written into the folder.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hyperparameters import InputError
from utils.audio.find import passed_over_line, recordings
from utils.cli import Parser, normal, printable, run_main
from utils.corpora import MODULES
from utils.corpora.class_map import same_meaning
from utils.corpora.counts import count_lines
from utils.corpora.csv_manifest import MOST_BYTES, read_csv
from utils.corpora.reading import is_safe_name
from utils.corpora.templates import (
    FIELDS,
    compile_template,
    guess_template,
    is_emotion,
)
from utils.files import read_regular, write_atomic
from utils.tables import csv_text

HOW = "give --template, such as '{speaker}/{label}/*' or '{speaker}_{label}_*'"


class Named(NamedTuple):
    """What the names in a folder say.

    Attributes:
        template: As given or guessed.
        rows: Path inside the folder and what the name says, by field.
        lines: Which labels were written as one, and what was passed over.
    """

    template: str
    rows: list[tuple[str, dict[str, str]]]
    lines: list[str]


def read_names(folder: Path, template: str | None = None) -> Named:
    """Compare the recordings of a folder tree with a template.

    Args:
        folder: Only read.
        template: As in `utils.corpora.templates`; None guesses it.

    Raises:
        InputError: There are no recordings, no template can be guessed, or no name
            follows the template.
    """
    files, others = recordings(folder)
    paths = [path.relative_to(folder).as_posix() for path in files]
    if not paths:
        raise InputError(f"{folder}: holds no recording")
    used = template or guess_template(paths)
    if used is None:
        raise InputError(
            f"{folder}: no folder or file name says an emotion that is known here, the "
            f"first is {paths[0]}; {HOW}"
        )
    pattern = compile_template(used)
    rows, unlike = [], []
    for path in paths:
        match = pattern.fullmatch(normal(path))
        # in a guess, any word might stand in an emotion's place in a file name
        is_free = template or "{label}" in used.rpartition("/")[0]
        if match and (is_free or is_emotion(match["label"])):
            rows.append((path, match.groupdict()))
        else:
            unlike.append(path)
    if not rows:
        raise InputError(
            f"{folder}: no name is like {used}, the first is {paths[0]}; {HOW}"
        )
    merged = _merge_labels([fields for _, fields in rows])
    lines = [*merged, *passed_over_line(str(folder), unlike, f"not like {used}")]
    return Named(used, rows, [*lines, *others])


def _merge_labels(rows: Sequence[dict[str, str]]) -> list[str]:
    """Give labels of one meaning one name, in place; one line for each such name."""
    lines = []
    labels = sorted({fields["label"] for fields in rows})
    for name, group in same_meaning(labels).items():
        lines.append(f"{', '.join(group)} are one class, written as {name}")
        for fields in rows:
            if fields["label"] in group:
                fields["label"] = name
    return lines


def manifest_text(named: Named, prefix: str) -> str:
    """The content of the CSV file.

    Args:
        named: From `read_names`.
        prefix: Path from the CSV's folder to the recordings' folder, with `/` at its
            end or empty.
    """
    columns = [name for name in FIELDS if name in named.rows[0][1]]
    rows = [
        [prefix + path, *(fields[name] for name in columns)]
        for path, fields in named.rows
    ]
    return csv_text([["path", *columns], *rows])


def _check_utf_8(folder: Path, relative: str) -> None:
    """Check that a path can stand in a manifest.

    Raises:
        InputError: It is not UTF-8.
    """
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{folder / relative}: its name is not UTF-8; rename it, because a "
            "manifest is a text in UTF-8"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Write the manifest; print the counts and the next command."""
    parser = Parser(prog="python -m utils.corpora.make_manifest", description=__doc__)
    parser.add_argument("folder", type=Path, help="the recordings; only read")
    parser.add_argument(
        "--template",
        metavar="TEXT",
        help=f"what names mean: {', '.join(f'{{{name}}}' for name in FIELDS)}, * for "
        "anything; default: a guess, which is shown",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: FOLDER.csv beside FOLDER"
    )
    args = parser.parse_args(argv)
    folder = args.folder.absolute()
    if not folder.is_dir():
        raise InputError(f"there is no folder {args.folder}")
    path = args.output or Path(f"{args.folder}.csv")
    named = read_names(folder, args.template)
    target = path.absolute().parent
    if not folder.is_relative_to(target):
        raise InputError(
            f"--output must lie in {folder} or in a folder above it, because paths in "
            f"it are relative; got {path}"
        )
    prefix = "".join(f"{part}/" for part in folder.relative_to(target).parts)
    for name, _ in named.rows:
        _check_utf_8(target, prefix + name)
    content = manifest_text(named, prefix).encode()
    if path.exists() and read_regular(path, MOST_BYTES) != content:
        raise InputError(
            f"{path} exists with other content and is kept; remove it, or name another "
            "file with --output"
        )
    write_atomic(path, content)
    is_taken = folder.name.casefold() in map(str.casefold, MODULES)
    name = folder.name if is_safe_name(folder.name) and not is_taken else "MYDATA"
    manifest = read_csv(target, file_name=path.name, name=name)
    train = shlex.join(["python", "train.py", "-dn", name, "--manifest", str(path)])
    how = "as given" if args.template else "guessed; --template changes it"
    lines = [
        f"template: {named.template} ({how})",
        *named.lines,
        *manifest.warnings,
        *count_lines(manifest),
        "",
        f"{path}; to train: {train}",
    ]
    print("\n".join(printable(line) for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
