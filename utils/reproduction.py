"""The published results beside ours, from the committed records alone.

`python -m utils.reproduction` renders every run in `reproduction/` again and writes its
tables into README.md, REPRODUCTION.md and MODEL_CARD.md. `--add RUN` first copies a run
folder's configuration and records there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hyperparameters import InputError, Training
from utils import report
from utils.cli import Parser, run_main
from utils.files import PROJECT, write_atomic
from utils.intervals import interval_text
from utils.plots.run import stem_of
from utils.records import Run, load_run
from utils.suspicions import answers_another_question, suspicions
from utils.table_text import markdown_table

SHORT_NAMES = {"ua": "UA", "wa": "WA", "weighted_f1": "F1"}
MARKS = (
    "<!-- {}: written by `python -m utils.reproduction` -->",
    "<!-- end of {} -->",
)
# one table for each question that a protocol asks; `all` has no score
QUESTIONS = {
    "Speakers shared, the epoch chosen on the test set (as published)": (
        "published",
        "paper",
    ),
    "Speakers shared, the test set touched once": ("random",),
    "Speakers held out, the test set touched once (what to expect on a new speaker)": (
        "speaker",
        "session",
    ),
}
HEADS = ("result", "protocol", "loss", "UA %", "WA %", "F1 %", "made with")
CLASS_HEADS = ("class", "utterances", "recall %", "precision %", "F1 %")
NOT_RUN = "not run yet"
EXPECTED = {
    "protocol": "speaker",
    "select": "last",
    "loss_name": "cross_entropy",
    "epochs": Training().epochs,
}
Row = tuple[Run, Mapping[str, Any]]


class Texts(NamedTuple):
    """The texts that hold tables, each between two marks.

    Attributes:
        readme: Gets the results and a picture of them.
        reproduction: Gets the results and the confusion matrices.
        model_card: Gets the scores to expect of the shipped models.
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
    for config in sorted(folder.glob("*/config.json")):
        run = load_run(config.parent)
        if run.settings["dataset_name"] != published["dataset_name"]:
            raise InputError(
                f"{config.parent}: the published figures are of "
                f"{published['dataset_name']}; keep runs on other corpora elsewhere"
            )
        rows.append((run, report.render(config.parent).metrics))
    runs = [run for run, _ in rows]
    rows = [row for row in rows if not answers_another_question(row[0])]
    results = results_tables(rows, published)
    put_between(texts.readme, "\n\n".join([results, *picture(rows)]))
    both = [results, confusions(rows, published)]
    put_between(texts.reproduction, "\n\n".join(both))
    put_between(texts.reproduction, suspicions(runs), "suspicions")
    put_between(texts.model_card, expected_scores(rows))
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


def results_tables(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """A table for each question, so that no score stands beside another question's."""
    parts = []
    for question, protocols in QUESTIONS.items():
        lines = theirs(published) if "published" in protocols else []
        own = [ours(*row) for row in rows if row[0].protocol in protocols]
        lines += own or [["ours", protocols[0], "–", *[NOT_RUN] * 3, "–"]]
        parts += [f"**{question}**", "", *markdown_table(HEADS, lines), ""]
    parts.append(
        "Ours: pooled over test utterances, with 95 % intervals that take the "
        "speaker as the unit (see the run's report for their method)."
    )
    return "\n".join(parts)


def theirs(published: Mapping[str, Any]) -> list[list[str]]:
    """The published figures as rows of a results table."""
    lines = []
    for loss, sources in published["scores_percent"].items():
        for source, scores in sources.items():
            cells = [f"{scores[name]:.2f}" for name in SHORT_NAMES]
            lines.append([source, "published figure", loss, *cells, "–"])
    return lines


def ours(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """A run as a row of the results table."""
    settings, scores = run.settings, metrics["keras"]
    cells = ["–"] * len(SHORT_NAMES)
    if "headline" in scores:
        cells = [interval_text(scores["headline"][name]) for name in SHORT_NAMES]
    select = ", last epoch" if settings["select"] == "last" else ""
    partial = (
        ""
        if run.is_complete
        else (f", **{len(run.records)} of {run.num_folds} folds**")
    )
    made = (
        f"seed {settings['seed']}, {settings['epochs']} epochs, {took(run)}: "
        f"[report](reproduction/{run.folder.name}/{stem_of(run)}_Report.txt)"
    )
    protocol = f"{run.protocol}{select}{partial}"
    return ["ours", protocol, settings["loss_name"], *cells, made]


def took(run: Run) -> str:
    """CPU-hours and machine of a run."""
    hours = sum(record["cpu_seconds"] for record in run.records) / 3600
    machines = sorted({record["machine"] for record in run.records})
    return f"{hours:.1f} CPU-hours on {' and '.join(machines)}"


def confusions(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """The published confusion counts beside ours, rows true, in percent of the row."""
    parts = ["## Confusion matrices", "", "In % of the true class; counts in brackets."]
    for loss, counts in published["confusion"].items():
        parts += ["", f"### {loss}, published (paper: 1070 rows)", ""]
        parts += matrix(published["classes"], counts)
        for run, metrics in rows:
            scores = metrics["keras"]
            if run.settings["loss_name"] == loss and "confusion" in scores:
                title = f"{run.protocol}, select {run.settings['select']}"
                parts += ["", f"### {loss}, ours: {title} ({scores['n']} rows)", ""]
                parts += matrix(**scores["confusion"])
    return "\n".join(parts)


def expected_run(rows: Sequence[Row]) -> Row | None:
    """The run that tells what to expect of the shipped models; None where not run."""
    for run, metrics in rows:
        if {name: run.settings[name] for name in EXPECTED} == EXPECTED:
            return run, metrics
    return None


def picture(rows: Sequence[Row]) -> list[str]:
    """Recall by class and speaker of the run to expect, as a line of Markdown."""
    if (row := expected_run(rows)) is None:
        return []
    path = f"reproduction/{row[0].folder.name}/{stem_of(row[0])}_Recall.png"
    return [f"![Recall by class and UA by speaker, speakers held out]({path})"]


def expected_scores(rows: Sequence[Row]) -> str:
    """What to expect of the shipped models, pooled, by class and by speaker."""
    row = expected_run(rows)
    if row is None:
        return f"Protocol `speaker`, last epoch, cross-entropy: {NOT_RUN}."
    run, metrics = row
    scores = metrics["keras"]
    classes, speakers = [], []
    for entry in scores["per_class"]:
        recall = interval_text(entry["recall"]) if entry["recall"] else "not tested"
        precision, f1 = entry["precision"], f"{100 * entry['f1']:.2f}"
        answered = "never answered" if precision is None else f"{100 * precision:.2f}"
        classes.append([entry["class"], entry["support"], recall, answered, f1])
    for entry in scores["per_speaker"]:
        figures = [interval_text(entry[name]) for name in ("ua", "wa")]
        speakers.append([entry["speaker"], entry["n"], *figures])
    tables = [
        markdown_table(HEADS, [ours(run, metrics)]),
        markdown_table(CLASS_HEADS, classes),
        markdown_table(("speaker", "utterances", "UA %", "WA %"), speakers),
    ]
    return "\n\n".join("\n".join(table) for table in tables)


def matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    """Lines of a Markdown table of a confusion matrix."""
    rows = []
    for name, row in zip(classes, counts, strict=True):
        total = max(1, sum(row))
        cells = [f"{100 * n / total:.0f} ({n})" if n else "·" for n in row]
        rows.append([name, *cells])
    return markdown_table(["true \\ answered", *classes], rows)


def add_run(source: Path, folder: Path) -> Path:
    """Copy a run's configuration and records; not its weights.

    Raises:
        InputError: No run folder.
    """
    run = load_run(source)
    target = folder / source.resolve().name
    names = [f"folds/fold_{record['fold']:02d}.json" for record in run.records]
    for name in ["config.json", *names]:
        write_atomic(target / name, (source / name).read_bytes())
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Rebuild tables and plots from the records."""
    parser = Parser(prog="python -m utils.reproduction", description=__doc__)
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
