"""Tables of the recipes: what they reach on a voice that was never heard.

A score that used unlabelled recordings of the test speaker never stands in one table
with a score that did not.
"""

from collections.abc import Sequence

from hyperparameters import RECIPES
from reproduction.suspicions import QUESTION, changes
from reproduction.tables import made_with
from utils.runs.records import Run
from utils.scores.known_voice import NOTHING_KNOWN, known_voice_rows
from utils.tables import markdown_table

UNKNOWN = "Recipes, speakers held out, nothing known of the voice"
KNOWN = (
    "Recipes, speakers held out, unlabelled recordings of the test speaker set the "
    "scale"
)
HEADS = ("recipe", "seed", "system", "UA %", "WA %")
KNOWN_HEADS = ("recipe", "seed", "recordings", "system", "UA %", "WA %")


def recipe_of(run: Run) -> str | None:
    """The recipe that a run followed, apart from the published one; None if none."""
    differing = {name: value for name, (value, _) in changes(run, {}).items()}
    for name, recipe in RECIPES.items():
        wanted = {k: v for k, v in recipe.values.items() if k not in QUESTION}
        if wanted and wanted == {
            k: v for k, v in differing.items() if k not in QUESTION
        }:
            return name
    return None


def recipe_tables(runs: Sequence[Run]) -> str:
    """The tables as Markdown; empty if no run followed a recipe."""
    unknown, known, made = [], [], []
    for run in runs:
        name = recipe_of(run)
        if name is None or run.protocol not in ("speaker", "session"):
            continue
        for recordings, system, ua, wa, _ in known_voice_rows(run):
            part = "" if run.is_complete else f", **{run.progress}**"
            start = (f"`{name}`{part}", run.settings["seed"])
            if recordings == NOTHING_KNOWN:
                unknown.append((*start, system, ua, wa))
            else:
                known.append((*start, recordings, system, ua, wa))
        made.append(f"- `{name}`: {made_with(run)}")
    parts = []
    for title, heads, rows in ((UNKNOWN, HEADS, unknown), (KNOWN, KNOWN_HEADS, known)):
        if rows:
            parts += [f"**{title}**", "", *markdown_table(heads, rows), ""]
    return "\n".join([*parts, "Made with:", "", *made]) if made else ""
