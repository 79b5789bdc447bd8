"""The evaluation of exported models as a table: on screen and in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.scores.intervals import interval_text
from utils.tables import markdown_table, text_table

ABSENT = "–"
Row = Mapping[str, Any]
Show = Callable[[Any], str]  # a value as text
# heading, key of a model's row, and how the value is shown
COLUMNS: tuple[tuple[str, str, Show], ...] = (
    ("model", "model", str),
    ("UA %", "ua", interval_text),
    ("WA %", "wa", interval_text),
    ("F1 %", "weighted_f1", interval_text),
    ("UA lost", "ua_loss_points", "{:+.2f}".format),
    ("same %", "agreement", lambda share: f"{100 * share:.2f}"),
    ("max |Δp|", "max_probability_difference", "{:.1e}".format),
    ("bytes", "bytes", "{:,}".format),
    ("p50 ms", "p50_ms", "{:.2f}".format),
    ("p95 ms", "p95_ms", "{:.2f}".format),
    ("MiB", "memory_growth_bytes", lambda size: f"{size / 2**20:.1f}"),
)
LEGEND = (
    "UA lost: points below Keras float32, negative if above; same: share of answers "
    "equal to those of Keras; max |Δp|: largest difference of a probability; p50, p95: "
    "one segment on one thread, from features or samples to probabilities; MiB: growth "
    "of peak memory by loading and running; folds: folds whose files were scored now + "
    "folds whose answers were recorded after training."
)


def screen_table(content: Mapping[str, Any]) -> str:
    """The table for a terminal; below it judgement, verdict and the corpus's note."""
    table = text_table(*table_cells(content["models"]))
    verdict, note = content["verdict"], content["corpus"].get("note")
    return "\n".join([*table, judgement(content), *filter(None, (verdict, note))])


def markdown(content: Mapping[str, Any]) -> str:
    """The table as a Markdown file, with what was run."""
    heads, rows = table_cells(content["models"])
    lines = [
        f"# TFLite models of {content['run']}",
        "",
        f"{content['corpus']['name']}, protocol {content['protocol']}"
        f"{', ' + content['verdict'] if content['verdict'] else ''}; "
        f"{content['utterances']:,} test utterances of {_done(content)}, each "
        "classified by models that were not trained on it. Measured on "
        f"{content['machine']}.",
        "",
        *markdown_table(heads, rows),
        "",
        LEGEND,
        "",
        judgement(content),
    ]
    if note := content["corpus"].get("note"):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def judgement(content: Mapping[str, Any]) -> str:
    """Whether the models are within the gate, in one line."""
    gate = f"gate: at most {content['gate_points']:g} points of UA below Keras float32"
    exported = content["models"][1:]  # Keras, the reference, is always the first
    if content["passes"] is None:
        why = _done(content) if exported else "nothing was exported in every fold"
        return f"{gate}; not applied ({why})"
    worst = max(exported, key=lambda row: row["ua_loss_points"])
    verb = "held" if content["passes"] else "missed"
    return f"{gate}; {verb} (worst: {worst['model']}, {worst['ua_loss_points']:+.2f})"


def _done(content: Mapping[str, Any]) -> str:
    return f"{len(content['folds'])} of {content['num_folds']} folds"


def table_cells(models: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, without the columns that are empty in every row."""
    heads = [*(head for head, _, _ in COLUMNS), "folds"]
    rows = [
        [
            *(
                ABSENT if row.get(key) is None else show(row[key])
                for _, key, show in COLUMNS
            ),
            _folds(row),
        ]
        for row in models
    ]
    used = [i for i in range(len(heads)) if any(row[i] != ABSENT for row in rows)]
    return [heads[i] for i in used], [[row[i] for i in used] for row in rows]


def _folds(row: Row) -> str:
    """`2 + 8 recorded`."""
    if "folds_rescored" not in row:
        return ABSENT
    again, recorded = len(row["folds_rescored"]), len(row["folds_recorded"])
    return f"{again} + {recorded} recorded" if recorded else str(again)
