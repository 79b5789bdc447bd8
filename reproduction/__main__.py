"""The published results beside ours, from the committed records alone.

`python -m reproduction` renders every run in `reproduction/` again and writes its
tables into README.md, REPRODUCTION.md and MODEL_CARD.md. `--add RUN` first copies a run
folder's configuration and records there.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hyperparameters import InputError
from reproduction.suspicions import answers_another_question, suspicions
from reproduction.tables import (
    Row,
    against_published,
    confusion_panels,
    confusions,
    expected_scores,
    picture,
    picture_of,
    results_tables,
)
from utils.cli import Parser, run_main
from utils.files import PROJECT, write_atomic
from utils.report import render as report
from utils.report.plots.results import confusions_figure
from utils.report.plots.style import save
from utils.runs.folder import CONFIG_NAME
from utils.runs.records import load_run

MARKS = (
    "<!-- {}: written by `python -m reproduction` -->",
    "<!-- end of {} -->",
)


class Texts(NamedTuple):
    """The texts that hold tables, each between two marks.

    Attributes:
        readme: Gets the results of complete runs and a picture of them.
        reproduction: Gets all results, confusion matrices and suspicions.
        model_card: Gets the scores to expect of the shipped models, when complete.
    """

    readme: Path
    reproduction: Path
    model_card: Path

    @classmethod
    def of(cls, project: Path) -> "Texts":
        """The texts of a project folder."""
        names = ("README.md", "REPRODUCTION.md", "MODEL_CARD.md")
        return cls(*(project / name for name in names))


def reproduce(project: Path) -> Texts:
    """Render every committed run and write the tables of all texts.

    Args:
        project: Holds the texts, and in `reproduction/` the file `published.json` and
            a folder for each run. Of the texts only the parts between the marks are
            written, the account around them is kept.

    Returns:
        The texts written beside the runs' own files.

    Raises:
        InputError: A damaged record, or a text without the marks.
    """
    folder, texts = project / "reproduction", Texts.of(project)
    published = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    rows: list[Row] = []
    for config in sorted(folder.glob(f"*/{CONFIG_NAME}")):
        run = load_run(config.parent)
        if run.settings["dataset_name"] != published["dataset_name"]:
            raise InputError(
                f"{config.parent}: the published figures are of "
                f"{published['dataset_name']}; keep runs on other corpora elsewhere"
            )
        rows.append((run, report.render(config.parent).metrics))
    runs = [run for run, _ in rows]
    rows = [row for row in rows if not answers_another_question(row[0])]
    whole = [row for row in rows if row[0].is_complete]
    results = results_tables(whole, published)
    put_between(texts.readme, "\n\n".join([results, *picture(whole)]))
    panels = confusion_panels(rows, published)
    for loss, own in panels.items():
        save(confusions_figure(own), project / picture_of(loss), ("png",))
    account = [
        results_tables(rows, published),
        against_published(rows, published),
        confusions(panels),
    ]
    put_between(texts.reproduction, "\n\n".join(filter(None, account)))
    put_between(texts.reproduction, suspicions(runs), "suspicions")
    put_between(texts.model_card, expected_scores(whole))
    return texts


def put_between(path: Path, content: str, what: str = "results") -> None:
    """Replace what stands between the two marks of a part of a text.

    Args:
        path: The text.
        content: Markdown.
        what: Which part, as its marks name it.

    Raises:
        InputError: The marks are not there.
    """
    first, last = (mark.format(what) for mark in MARKS)
    before, start, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise InputError(f"{path}: must hold the lines {first} and {last}")
    write_atomic(path, f"{before}{first}\n\n{content}\n\n{last}{after}")


def add_run(source: Path, folder: Path) -> Path:
    """Copy a run's configuration and records; not its weights.

    Raises:
        InputError: No run folder.
    """
    run = load_run(source)
    target = folder / source.resolve().name
    names = [f"folds/fold_{record['fold']:02d}.json" for record in run.records]
    for name in [CONFIG_NAME, *names]:
        write_atomic(target / name, (source / name).read_bytes())
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Rebuild tables and plots from the records."""
    parser = Parser(prog="python -m reproduction", description=__doc__)
    parser.add_argument(
        "--add",
        type=Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="run folders whose records are copied first",
    )
    args = parser.parse_args(argv)
    for source in args.add:
        add_run(source, PROJECT / "reproduction")
    print(*reproduce(PROJECT), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
