"""Tables of the reproduction: our scores and the published ones.

Scores that answer different questions never stand in one table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import Training
from utils.report.plots.results import ConfusionPanel
from utils.runs.records import Run
from utils.scores.intervals import interval_text
from utils.scores.metrics import confusion, rows_summary, scores_of
from utils.scores.seeds import pool_seeds, split_seeds
from utils.tables import markdown_table

SHORT_NAMES = ("ua", "wa", "weighted_f1")
AS_PUBLISHED = "Speakers shared, the epoch chosen on the test set (as published)"
SHARED = "Speakers shared, the test set touched once"
HELD_OUT = (
    "Speakers held out, the test set touched once (what to expect on a new speaker)"
)
SCORE_HEADS = ("UA %", "WA %", "F1 %")
HEADS = ("result", "protocol", "loss", "seed", *SCORE_HEADS, "UA % by seed")
AGAINST_HEADS = ("ours", "loss", "published by", *SCORE_HEADS)
CLASS_HEADS = ("class", "answers", "recall %", "precision %", "F1 %")
SPEAKER_HEADS = ("speaker", "answers", "UA %", "WA %")
NOT_RUN = "not finished yet"
# settings of the run whose scores are to be expected of the shipped models
EXPECTED = {
    "protocol": "speaker",
    "select": "last",
    "loss_name": "cross_entropy",
    "epochs": Training().epochs,
}
Row = tuple[Run, Mapping[str, Any]]  # a run and its metrics


def pool_rows(rows: Sequence[Row]) -> list[Row]:
    """Join runs that differ in the seed alone; their scores are of all rows."""
    metrics_of = {run.folder: metrics for run, metrics in rows}
    return [
        (
            run,
            {"keras": rows_summary(run.rows(), run.classes)}
            if "seeds" in run.config
            else metrics_of[run.folder],
        )
        for run in pool_seeds([run for run, _ in rows])
    ]


def results_tables(
    rows: Sequence[Row], published: Mapping[str, Any], *, is_short: bool = False
) -> str:
    """One table per question; a question without scores has none.

    Args:
        rows: Our runs; those that differ in the seed alone are one row.
        published: The published figures.
        is_short: Leave out how each run was made.
    """
    parts = []
    scored = [row for row in rows if row[0].protocol != "all"]
    for question in (AS_PUBLISHED, SHARED, HELD_OUT):
        lines = published_rows(published) if question == AS_PUBLISHED else []
        ours = [row for row in pool_rows(scored) if question_of(row[0]) == question]
        lines += [our_row(*row) for row in ours]
        if lines:
            parts += [f"**{question}**", "", *markdown_table(HEADS, lines), ""]
    parts.append(
        "Ours: pooled over test utterances, with 95 % intervals that take the "
        "speaker as the unit (see the run's report for their method)."
    )
    if not is_short:
        parts += ["", "Made with:", "", *[f"- {made_with(run)}" for run, _ in scored]]
    return "\n".join(parts)


def question_of(run: Run) -> str:
    """The question that a run's score answers."""
    if run.chosen_on == "test":
        return AS_PUBLISHED
    return HELD_OUT if run.protocol in ("speaker", "session") else SHARED


def published_rows(published: Mapping[str, Any]) -> list[list[str]]:
    """The published scores as rows of a results table."""
    lines = []
    for loss, sources in published["scores_percent"].items():
        for source, scores in sources.items():
            cells = [f"{scores[name]:.2f}" for name in SHORT_NAMES]
            lines.append([source, "published figure", loss, "–", *cells, "–"])
    return lines


def our_row(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """A run, or several seeds of one, as a row of a results table."""
    settings, headline = run.settings, metrics["keras"].get("headline")
    cells = ["–"] * len(SHORT_NAMES)
    if headline:
        cells = [interval_text(headline[name]) for name in SHORT_NAMES]
    start = ["ours", protocol_of(run, "**"), settings["loss_name"], seeds_of(run)]
    return [*start, *cells, ua_by_seed(run)]


def seeds_of(run: Run) -> str:
    """The seed of a run, or all seeds of joined ones: `42, 43, 44`."""
    return str(run.config.get("seeds", run.settings["seed"]))


def ua_by_seed(run: Run) -> str:
    """The UA of each seed of joined runs: `94.6, 93.9`; a dash for a single run."""
    if "seeds" not in run.config:
        return "–"
    scores = [scores_of(confusion(each.rows()))[0] for each in split_seeds(run)]
    return ", ".join(f"{100 * score:.1f}" for score in scores)


def made_with(run: Run) -> str:
    """Loss, protocol, seed, epochs, processor time and machine of a run; its report."""
    settings = run.settings
    hours = sum(record.get("cpu_seconds", 0) for record in run.records) / 3600
    machines = " and ".join(sorted({_machine_of(record) for record in run.records}))
    report = f"reproduction/{run.folder.name}/{run.file_stem}_Report.txt"
    return (
        f"{protocol_of(run)}, {settings['loss_name']}: seed {settings['seed']}, "
        f"{settings['epochs']} epochs, {hours:.1f} CPU-hours on {machines} "
        f"([report]({report}))"
    )


def _machine_of(record: Mapping[str, Any]) -> str:
    """The machine of a fold, with the accelerator that trained it, if one did."""
    machine = str(record.get("machine", "unknown"))
    device = record.get("device") or "cpu"
    return machine if device == "cpu" else f"{machine}, {device} ({record['backend']})"


def protocol_of(run: Run, emphasis: str = "") -> str:
    """`speaker, last epoch, **2 of 10 folds**`: the protocol, and how much was run."""
    parts = [run.protocol]
    if run.settings["select"] == "last":
        parts.append("last epoch")
    if not run.is_complete:
        parts.append(f"{emphasis}{run.progress}{emphasis}")
    return ", ".join(parts)


def against_published(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """Whether our intervals contain the published scores; empty without such a run."""
    lines = []
    for run, metrics in pool_rows(rows):
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
    title = "**The published figures, less ours, and where they lie in our intervals**"
    return "\n".join([title, "", *markdown_table(AGAINST_HEADS, lines)])


def position_text(percent: float, score: Mapping[str, Any]) -> str:
    """`94.15 (+0.02) inside`: the difference to ours, and the place in our interval.

    All as printed, to two places; else `above` or `below` the interval.
    """
    ours = round(100 * score["value"], 2)
    low, high = (round(100 * score[name], 2) for name in ("low", "high"))
    place = "below" if percent < low else "above" if percent > high else "inside"
    return f"{percent:.2f} ({percent - ours:+.2f}) {place}"


def confusion_panels(
    rows: Sequence[Row], published: Mapping[str, Any]
) -> dict[str, list[ConfusionPanel]]:
    """By loss: the published confusion counts, then ours, those of all seeds added."""
    panels = {}
    for loss, counts in published["confusion"].items():
        title = "published (paper: 1070 rows)"
        panels[loss] = [ConfusionPanel(title, published["classes"], counts)]
        for run, metrics in pool_rows(rows):
            scores = metrics["keras"]
            if run.settings["loss_name"] == loss and "confusion" in scores:
                seeds = f"seeds {seeds_of(run)}, " if "seeds" in run.config else ""
                title = f"ours: {protocol_of(run)} ({seeds}{scores['n']} rows)"
                panels[loss].append(ConfusionPanel(title, **scores["confusion"]))
    return panels


def confusions(panels: Mapping[str, Sequence[ConfusionPanel]]) -> str:
    """Pictures and tables by loss; rows are true classes, cells percent of the row."""
    parts = ["## Confusion matrices", "", "In % of the true class; counts in brackets."]
    for loss, matrices in panels.items():
        picture = f"![Confusion matrices side by side, {loss}]({picture_of(loss)}.png)"
        parts += ["", f"### {loss}", "", picture]
        for title, classes, counts in matrices:
            parts += ["", f"**{loss}, {title}**", "", *_matrix(classes, counts)]
    return "\n".join(parts)


def _matrix(classes: Sequence[str], counts: npt.ArrayLike) -> list[str]:
    """Lines of a Markdown table of a confusion matrix."""
    rows = []
    for name, row in zip(classes, np.asarray(counts).tolist(), strict=True):
        total = max(1, sum(row))
        cells = [f"{100 * n / total:.0f} ({n})" if n else "·" for n in row]
        rows.append([name, *cells])
    return markdown_table(["true \\ answered", *classes], rows)


def picture_of(loss: str) -> str:
    """Path of the picture of a loss's confusion matrices, without suffix."""
    return f"reproduction/{loss}_confusions"


def _expected(rows: Sequence[Row]) -> list[Row]:
    """The runs whose scores are to be expected of the shipped models, by seed."""
    return [row for row in rows if EXPECTED.items() <= row[0].settings.items()]


def recall_picture(rows: Sequence[Row]) -> str:
    """The recalls to expect of the shipped models as a Markdown picture, or empty."""
    if not (expected := _expected(rows)):
        return ""
    run, _ = expected[0]
    path = f"reproduction/{run.folder.name}/{run.file_stem}_Recall.png"
    title = "Recall by class and UA by speaker, speakers held out"
    return f"![{title}, seed {run.settings['seed']}]({path})"


def expected_scores(rows: Sequence[Row]) -> str:
    """The scores to expect of the shipped models: pooled, by class and by speaker."""
    if not (expected := _expected(rows)):
        return f"Protocol `speaker`, last epoch, cross-entropy: {NOT_RUN}."
    [pooled] = pool_rows(expected)
    scores = pooled[1]["keras"]
    classes = []
    for entry in scores["per_class"]:
        recall = interval_text(entry["recall"]) if entry["recall"] else "not tested"
        precision, f1 = entry["precision"], f"{100 * entry['f1']:.2f}"
        answered = "never answered" if precision is None else f"{100 * precision:.2f}"
        classes.append([entry["class"], entry["support"], recall, answered, f1])
    speakers = [
        [row["speaker"], row["n"], interval_text(row["ua"]), interval_text(row["wa"])]
        for row in scores["per_speaker"]
    ]
    tables = [
        markdown_table(HEADS, [our_row(*pooled)]),
        ["Made with:", "", *[f"- {made_with(run)}" for run, _ in expected]],
        markdown_table(CLASS_HEADS, classes),
        markdown_table(SPEAKER_HEADS, speakers),
    ]
    return "\n\n".join("\n".join(table) for table in tables)
