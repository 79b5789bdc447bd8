"""Write the published results beside ours, from the committed records alone.

`python -m reproduction` renders every run in `reproduction/` again and writes its
tables into README.md, REPRODUCTION.md and MODEL_CARD.md. `--add RUN` first copies a run
folder's configuration and records there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError, recipe_of
from reproduction.recipes import recipe_tables
from reproduction.suspicions import answers_another_question, suspicions
from reproduction.tables import (
    against_published,
    confusion_panels,
    confusions,
    expected_scores,
    picture_of,
    recall_picture,
    results_tables,
)
from utils.cli import Parser, run_main
from utils.corpora.reading import SAFE_NAME_RULE, is_safe_name
from utils.files import PROJECT, building, write_atomic, write_json
from utils.pictures import save
from utils.report.plots.results import confusion_figure
from utils.report.render import render
from utils.runs.folder import CONFIG_NAME, read_config, record_path
from utils.runs.records import Run, load_run
from utils.scores.seeds import pool_seeds

# README has the complete runs, REPRODUCTION all runs with confusion matrices and
# suspicions, and MODEL_CARD the scores to expect of the shipped models.
TEXTS = ("README.md", "REPRODUCTION.md", "MODEL_CARD.md")
MARKS = (
    "<!-- {}: written by `python -m reproduction` -->",
    "<!-- end of {} -->",
)


def reproduce(project: Path) -> list[Path]:
    """Render every committed run and write the tables of all texts.

    Args:
        project: Holds the `TEXTS`, of which only the parts between the marks are
            replaced, and `reproduction/` with `published.json` and the runs.

    Returns:
        The texts.

    Raises:
        InputError: A damaged record, a run on another corpus, or a text without marks.
    """
    folder = project / "reproduction"
    published = _published(folder)
    runs = _committed(folder, published)
    check_labels(runs)
    rendered = [(run, render(run.folder).metrics) for run in runs]
    rows = [row for row in rendered if not answers_another_question(row[0])]
    complete = [row for row in rows if row[0].is_complete]
    panels = confusion_panels(rows, published)
    for loss, of_loss in panels.items():
        save(confusion_figure(of_loss), project / picture_of(loss), ("png",))
    readme, account, card = texts = [project / name for name in TEXTS]
    recipes = recipe_tables(runs)
    put_between(
        readme,
        results_tables(complete, published, is_short=True),
        recall_picture(complete),
        recipe_tables([run for run in runs if run.is_complete], is_short=True),
    )
    put_between(
        account,
        results_tables(rows, published),
        recipes,
        against_published(rows, published),
        confusions(panels),
    )
    as_published = [run for run in runs if recipe_of(run.settings) is None]
    put_between(account, suspicions(as_published), part="suspicions")
    put_between(card, expected_scores(complete))
    put_between(card, recipes, part="recipes")
    return texts


def _published(folder: Path) -> dict[str, Any]:
    """The published scores and confusion matrices."""
    text = (folder / "published.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _committed(
    folder: Path, published: Mapping[str, Any], but: Path | None = None
) -> list[Run]:
    """The runs of a folder but one, in the order of their names."""
    found = sorted(config.parent for config in folder.glob(f"*/{CONFIG_NAME}"))
    return [_load(run, published) for run in found if run != but]


def check_labels(runs: Sequence[Run]) -> None:
    """Check that runs on one corpus agree on the class and speaker of each utterance.

    Raises:
        InputError: A record was changed after the training.
    """
    known: dict[str, tuple[int, str | None, Path]] = {}
    for run in runs:
        rows = run.rows()
        for name, true, speaker in zip(
            rows.utterance_ids, rows.true.tolist(), rows.speakers, strict=True
        ):
            *expected, other = known.setdefault(name, (true, speaker, run.folder))
            if expected != [true, speaker]:
                raise InputError(
                    f"{run.folder}: utterance {name} has another class or speaker than "
                    f"in {other}: a record was changed"
                )


def _load(folder: Path, published: Mapping[str, Any]) -> Run:
    """Load a run; refuse one on another corpus, whose scores compare with nothing."""
    run, name = load_run(folder), published["dataset_name"]
    expected = (name, name, published["corpus_digest"], tuple(published["classes"]))
    corpus = (run.settings["dataset_name"], run.config["corpus"]["name"])
    if (*corpus, run.corpus_digest, run.classes) != expected:
        raise InputError(
            f"{folder}: the published figures are of {name} with its "
            f"{len(published['classes'])} classes; keep runs on other corpora elsewhere"
        )
    return run


def put_between(path: Path, *contents: str, part: str = "results") -> None:
    """Replace the text between the two marks of a part.

    Args:
        path: The text.
        contents: Markdown; empty ones are left out.
        part: Name of the part, as in its marks.

    Raises:
        InputError: The marks are missing.
    """
    first, last = (mark.format(part) for mark in MARKS)
    before, start, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not start or not end:
        raise InputError(f"{path}: must hold the lines {first} and {last}")
    content = "\n\n".join(filter(None, contents))
    if "<!--" in content:
        raise InputError(f"{path}: a record holds the mark <!--: it was changed")
    write_atomic(path, f"{before}{first}\n\n{content}\n\n{last}{after}")


def add_run(source: Path, folder: Path) -> Path:
    """Copy a run's configuration and records, without its weights and paths.

    Args:
        source: A run folder.
        folder: Holds `published.json` and gets the copy.

    Raises:
        InputError: No run folder, a damaged one, or a run on another corpus; nothing is
            copied.
    """
    published = _published(folder)
    run, target = _load(source, published), folder / source.resolve().name
    if not _is_free(target, run):
        raise InputError(
            f"{source}: rename it: the name must be made of {SAFE_NAME_RULE}, and be "
            f"that of no other run or file in {folder}"
        )
    runs = [*_committed(folder, published, but=target), run]
    check_labels(runs)
    pool_seeds(runs)  # these two refuse what would stop every later run of this command
    recipe_tables([run])
    config = {key: value for key, value in run.config.items() if key != "paths"}
    with building(target, CONFIG_NAME) as copy:
        write_json(copy / CONFIG_NAME, config)
        for record in run.records:
            path = record_path(source, record["fold"])
            write_atomic(record_path(copy, record["fold"]), path.read_bytes())
        render(copy)  # what has no report would stop every later run of this command
    return target


def _is_free(target: Path, run: Run) -> bool:
    """Whether a run may be copied there; an older copy of the same run is replaced."""
    if not is_safe_name(target.name):
        return False
    if not (target / CONFIG_NAME).exists():
        return not target.exists()
    return bool(read_config(target)["hash"] == run.config["hash"])


def main(argv: Sequence[str] | None = None) -> int:
    """Write tables and pictures from the records again."""
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
