"""The evaluation of exported models as a table: on screen and in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.scores.intervals import interval_text
from utils.tables import markdown_table, text_table

ABSENT = "–"
Row = Mapping[str, Any]
# heading, and how a model's row shows it
COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("model", lambda row: str(row["model"])),
    ("UA %", lambda row: _figure(row, "ua")),
    ("WA %", lambda row: _figure(row, "wa")),
    ("F1 %", lambda row: _figure(row, "weighted_f1")),
    ("UA lost", lambda row: _number(row, "ua_loss_points", "{:+.2f}")),
    ("same %", lambda row: _number(row, "agreement", "{:.2f}", 100)),
    ("max |Δp|", lambda row: _number(row, "max_probability_difference", "{:.1e}")),
    ("bytes", lambda row: _number(row, "bytes", "{:,}")),
    ("p50 ms", lambda row: _number(row, "p50_ms", "{:.2f}")),
    ("p95 ms", lambda row: _number(row, "p95_ms", "{:.2f}")),
    ("MiB", lambda row: _number(row, "memory_growth_bytes", "{:.1f}", 2**-20)),
    ("folds", lambda row: _folds(row)),
)
LEGEND = (
    "UA lost: points below Keras float32, less than 0 where above; same: answers like "
    "its; max |Δp|: largest difference of a probability; p50, p95: one segment on one "
    "thread, features or samples to probabilities; MiB: growth of peak memory by "
    "loading and running; folds: files asked again + answers recorded after training."
)


def screen_table(content: Mapping[str, Any]) -> str:
    """The table with columns in line."""
    table = text_table(*_cells(content["models"]))
    return "\n".join([*table, judgement(content)])


def markdown(content: Mapping[str, Any]) -> str:
    """The table with what was run, as a file."""
    header, rows = _cells(content["models"])
    lines = [
        f"# TFLite models of {content['run']}",
        "",
        f"{content['corpus']['name']}, protocol {content['protocol']}"
        f"{', ' + content['verdict'] if content['verdict'] else ''}; "
        f"{content['utterances']:,} test utterances of {_done(content)}, each asked of "
        "models that were not trained on it. Measured on "
        f"{content['machine']}.",
        "",
        *markdown_table(header, rows),
        "",
        LEGEND,
        "",
        judgement(content),
    ]
    if note := content["corpus"].get("note"):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def judgement(content: Mapping[str, Any]) -> str:
    """Whether the gate holds, in one line."""
    gate = f"gate: at most {content['gate_points']:g} points of UA below Keras float32"
    if content["passes"] is None:
        has_files = len(content["models"]) > 1  # Keras, the reference, is always there
        why = _done(content) if has_files else "nothing was exported in every fold"
        return f"{gate}; not applied ({why})"
    exported = content["models"][1:]  # Keras, the reference, comes first
    worst = max(exported, key=lambda row: row["ua_loss_points"])
    verb = "held" if content["passes"] else "missed"
    return f"{gate}; {verb} (worst: {worst['model']}, {worst['ua_loss_points']:+.2f})"


def _done(content: Mapping[str, Any]) -> str:
    return f"{len(content['folds'])} of {content['num_folds']} folds"


def _cells(models: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows; a column that no row fills is left out."""
    table = [[show(row) for _, show in COLUMNS] for row in models]
    used = [
        index
        for index in range(len(COLUMNS))
        if any(row[index] != ABSENT for row in table)
    ]
    header = [COLUMNS[index][0] for index in used]
    return header, [[row[index] for index in used] for row in table]


def _figure(row: Row, name: str) -> str:
    """A score with its interval, percent."""
    return interval_text(row[name]) if name in row else ABSENT


def _number(row: Row, name: str, form: str, factor: float = 1) -> str:
    value = row.get(name)
    return ABSENT if value is None else form.format(value * factor)


def _folds(row: Row) -> str:
    """`2 + 8 recorded`."""
    if "folds_rescored" not in row:
        return ABSENT
    again, recorded = len(row["folds_rescored"]), len(row["folds_recorded"])
    return f"{again} + {recorded} recorded" if recorded else str(again)
