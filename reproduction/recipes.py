"""Tables of the recipes: what they reach on a voice that was never heard.

A score that used unlabelled recordings of the test speaker never stands in one table
with a score that did not.
"""

from collections.abc import Sequence

from hyperparameters import recipe_of
from reproduction.suspicions import answers_another_question
from reproduction.tables import EXPECTED, made_with, seeds_of
from utils.runs.records import Rows, Run
from utils.scores.compare import difference_text
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.known_voice import (
    LINEAR,
    NETWORK,
    NOTHING_KNOWN,
    PAIR,
    scored_systems,
)
from utils.scores.metrics import confusion, scores_of
from utils.scores.paired import common_rows, sign_flip, unit_differences
from utils.scores.seeds import pool_seeds, split_seeds
from utils.tables import markdown_table

UNKNOWN = "Recipes, speakers held out, nothing known of the voice"
KNOWN = (
    "Recipes, speakers held out, unlabelled recordings of the test speaker set the "
    "scale"
)
HEADS = ("recipe", "seed", "recordings", "system", "UA %", "WA %", "UA % by seed")
WHOLE = (NOTHING_KNOWN, "all")  # every utterance is scored
SHORT = (NETWORK, PAIR)
NOT_IN_SHORT = ("any_room",)  # `any_device` replaces it
AGAINST = ("ΔUA to published settings (p)", "ΔUA to functionals (p)")


def recipe_tables(runs: Sequence[Run], *, is_short: bool = False) -> str:
    """The tables as Markdown; empty if no run followed a recipe.

    Runs that differ in the seed alone are pooled. Only rows that score every utterance
    are tested against others: flips of sign over speakers. Short tables have fewer
    rows and recipes, and do not say how the runs were made.
    """
    held_out = [run for run in runs if run.protocol in ("speaker", "session")]
    left_out = (None, *NOT_IN_SHORT) if is_short else (None,)
    followed = [run for run in held_out if recipe_of(run.settings) not in left_out]
    published = pool_seeds([run for run in held_out if _is_published(run)])
    baseline = published[0].rows() if published else None
    unknown: list[tuple[str, ...]] = []
    known: list[tuple[str, ...]] = []
    for run in pool_seeds(followed):
        systems = scored_systems(run)
        linear = {what: rows for what, system, rows in systems if system == LINEAR}
        spread = _by_seed(run)
        for recordings, system, rows in systems:
            if is_short and (recordings not in WHOLE or system not in SHORT):
                continue
            ua, wa, *_ = headline_intervals(rows, scores_of)
            against = [baseline, None if system == LINEAR else linear.get(recordings)]
            is_whole = recordings in WHOLE
            cells = (
                *(*_start(run), recordings, system, interval_text(ua)),
                *(interval_text(wa), spread[recordings, system]),
                *(_test(rows, other) if is_whole else "–" for other in against),
            )
            (unknown if recordings == NOTHING_KNOWN else known).append(cells)
    parts = []
    for title, lines in ((UNKNOWN, unknown), (KNOWN, known)):
        if lines:
            parts += [f"**{title}**", "", *markdown_table(HEADS + AGAINST, lines), ""]
    made = [f"- `{recipe_of(run.settings)}`: {made_with(run)}" for run in followed]
    if made and not is_short:
        parts += ["Made with:", "", *made]
    return "\n".join(parts).strip()


def _is_published(run: Run) -> bool:
    """Whether a run has the settings whose scores are to be expected as published."""
    return (
        recipe_of(run.settings) is None
        and run.is_complete
        and not answers_another_question(run)
        and EXPECTED.items() <= (run.settings.items())
    )


def _start(run: Run) -> tuple[str, str]:
    """Recipe with the part that is finished, and seeds."""
    part = "" if run.is_complete else f", **{run.progress}**"
    return f"`{recipe_of(run.settings)}`{part}", seeds_of(run)


def _by_seed(run: Run) -> dict[tuple[str, str], str]:
    """The UA of each seed by recordings and system; a dash if there is one seed."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in split_seeds(run):
        for recordings, system, rows in scored_systems(each):
            ua = scores_of(confusion(rows))[0]
            found.setdefault((recordings, system), []).append(f"{100 * ua:.1f}")
    return {
        key: ", ".join(values) if len(values) > 1 else "–"
        for key, values in found.items()
    }


def _test(rows: Rows, other: Rows | None) -> str:
    """Difference of UA in points, and its p; a dash without the other rows."""
    paired = None if other is None else common_rows(other, rows)
    if paired is None:
        return "–"
    gain = unit_differences(paired)[1][0]
    return difference_text(float(gain.sum()), sign_flip(gain))
