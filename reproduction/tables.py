"""Tables of the reproduction: ours and the published figures, never in one column
where they answer different questions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import Training
from utils.report.plots.results import ConfusionPanel
from utils.runs.records import Run
from utils.scores.intervals import interval_text
from utils.tables import markdown_table

SHORT_NAMES = {"ua": "UA", "wa": "WA", "weighted_f1": "F1"}
# one table for each question; the protocol that stands there while none was run
QUESTIONS = {
    "Speakers shared, the epoch chosen on the test set (as published)": "published",
    "Speakers shared, the test set touched once": "random",
    "Speakers held out, the test set touched once (what to expect on a new speaker)": (
        "speaker"
    ),
}
AS_PUBLISHED = next(iter(QUESTIONS))
HELD_OUT = ("speaker", "session")
HEADS = ("result", "protocol", "loss", "UA %", "WA %", "F1 %", "made with")
AGAINST_HEADS = ("ours", "loss", "published by", "UA %", "WA %", "F1 %")
CLASS_HEADS = ("class", "utterances", "recall %", "precision %", "F1 %")
NOT_RUN = "not finished yet"
EXPECTED = {
    "protocol": "speaker",
    "select": "last",
    "loss_name": "cross_entropy",
    "epochs": Training().epochs,
}
Row = tuple[Run, Mapping[str, Any]]


def results_tables(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """A table for each question, so that no score stands beside another question's."""
    parts = []
    scored = [row for row in rows if row[0].protocol != "all"]
    for question, protocol in QUESTIONS.items():
        lines = published_rows(published) if protocol == "published" else []
        own = [our_row(*row) for row in scored if question_of(row[0]) == question]
        lines += own or [["ours", protocol, "–", *[NOT_RUN] * 3, "–"]]
        parts += [f"**{question}**", "", *markdown_table(HEADS, lines), ""]
    parts.append(
        "Ours: pooled over test utterances, with 95 % intervals that take the "
        "speaker as the unit (see the run's report for their method)."
    )
    return "\n".join(parts)


def against_published(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """Whether the intervals of runs as published hold the published figures.

    Args:
        rows: Runs with their metrics.
        published: Figures in percent, by loss and source.

    Returns:
        A Markdown table; empty where no run asks the published question.
    """
    lines = []
    for run, metrics in rows:
        loss, headline = run.settings["loss_name"], metrics["keras"].get("headline")
        if question_of(run) != AS_PUBLISHED or headline is None:
            continue
        for source, scores in published["scores_percent"][loss].items():
            cells = [
                position_text(scores[name], headline[name]) for name in SHORT_NAMES
            ]
            lines.append([protocol_of(run, "**"), loss, source, *cells])
    if not lines:
        return ""
    title = "**Where the published figures lie against our intervals**"
    return "\n".join([title, "", *markdown_table(AGAINST_HEADS, lines)])


def position_text(percent: float, figure: Mapping[str, Any]) -> str:
    """`94.15 inside`, `above` or `below`, to the two places that are printed.

    Args:
        percent: A published figure.
        figure: Our `low` and `high`, of 1.
    """
    low, high = (round(100 * figure[name], 2) for name in ("low", "high"))
    place = "below" if percent < low else "above" if percent > high else "inside"
    return f"{percent:.2f} {place}"


def question_of(run: Run) -> str:
    """Which question a run's score answers."""
    _, shared, held_out = QUESTIONS
    if run.chosen_on == "test":
        return AS_PUBLISHED
    return held_out if run.protocol in HELD_OUT else shared


def published_rows(published: Mapping[str, Any]) -> list[list[str]]:
    """The published figures as rows of a results table."""
    lines = []
    for loss, sources in published["scores_percent"].items():
        for source, scores in sources.items():
            cells = [f"{scores[name]:.2f}" for name in SHORT_NAMES]
            lines.append([source, "published figure", loss, *cells, "–"])
    return lines


def our_row(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """A run as a row of the results table."""
    settings, scores = run.settings, metrics["keras"]
    cells = ["–"] * len(SHORT_NAMES)
    if "headline" in scores:
        cells = [interval_text(scores["headline"][name]) for name in SHORT_NAMES]
    made = (
        f"seed {settings['seed']}, {settings['epochs']} epochs, {cost_text(run)}: "
        f"[report](reproduction/{run.folder.name}/{run.file_stem}_Report.txt)"
    )
    return ["ours", protocol_of(run, "**"), settings["loss_name"], *cells, made]


def protocol_of(run: Run, emphasis: str = "") -> str:
    """`speaker, last epoch, 2 of 10 folds`: what was run and how much of it.

    Args:
        run: A run, complete or not.
        emphasis: Stands around a warning that folds are missing.
    """
    parts = [run.protocol]
    if run.settings["select"] == "last":
        parts.append("last epoch")
    if not run.is_complete:
        parts.append(f"{emphasis}{run.progress}{emphasis}")
    return ", ".join(parts)


def cost_text(run: Run) -> str:
    """CPU-hours and machine of a run."""
    hours = sum(record["cpu_seconds"] for record in run.records) / 3600
    machines = sorted({record["machine"] for record in run.records})
    return f"{hours:.1f} CPU-hours on {' and '.join(machines)}"


def confusion_panels(
    rows: Sequence[Row], published: Mapping[str, Any]
) -> dict[str, list[ConfusionPanel]]:
    """By loss: the published confusion counts, then ours."""
    panels = {}
    for loss, published_rows in published["confusion"].items():
        title = "published (paper: 1070 rows)"
        panels[loss] = [ConfusionPanel(title, published["classes"], published_rows)]
        for run, metrics in rows:
            scores = metrics["keras"]
            if run.settings["loss_name"] == loss and "confusion" in scores:
                title = f"ours: {protocol_of(run)} ({scores['n']} rows)"
                panels[loss].append(ConfusionPanel(title, **scores["confusion"]))
    return panels


def confusions(panels: Mapping[str, Sequence[ConfusionPanel]]) -> str:
    """Pictures and tables by loss, rows true, in percent of the row."""
    parts = ["## Confusion matrices", "", "In % of the true class; counts in brackets."]
    for loss, matrices in panels.items():
        picture = f"![Confusion matrices side by side, {loss}]({picture_of(loss)}.png)"
        parts += ["", f"### {loss}", "", picture]
        for title, classes, counts in matrices:
            parts += ["", f"**{loss}, {title}**", "", *matrix(classes, counts)]
    return "\n".join(parts)


def picture_of(loss: str) -> str:
    """The picture of a loss's confusion matrices, without suffix."""
    return f"reproduction/{loss}_confusions"


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
    path = f"reproduction/{row[0].folder.name}/{row[0].file_stem}_Recall.png"
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
        markdown_table(HEADS, [our_row(run, metrics)]),
        markdown_table(CLASS_HEADS, classes),
        markdown_table(("speaker", "utterances", "UA %", "WA %"), speakers),
    ]
    return "\n\n".join("\n".join(table) for table in tables)


def matrix(classes: Sequence[str], counts: npt.ArrayLike) -> list[str]:
    """Lines of a Markdown table of a confusion matrix."""
    rows = []
    for name, row in zip(classes, np.asarray(counts).tolist(), strict=True):
        total = max(1, sum(row))
        cells = [f"{100 * n / total:.0f} ({n})" if n else "·" for n in row]
        rows.append([name, *cells])
    return markdown_table(["true \\ answered", *classes], rows)
