"""The baseline without a network: functionals and linear discriminant analysis.

    python -m benchmarks.functionals -dn EMO-DB

Each speaker is tested by a model of the others. The functionals are standardised by a
typical voice, or by some or all recordings of the test speaker (unlabelled). Recordings
at other playing speeds are training data too (`--speeds ''` leaves them out).
"""

import sys
from collections.abc import Sequence

import numpy as np

from dataio import load_dataset
from hyperparameters import RECIPES
from utils import options
from utils.cli import Parser, run_main, terminal_bar
from utils.protocols.folds import make_folds
from utils.runs.records import Rows
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.known_voice import NOTHING_KNOWN, known_voice_systems
from utils.scores.metrics import scores_of
from utils.tables import markdown_table
from utils.training.known_voice import (
    fit_functionals,
    functionals,
    predict_known_voice,
)

HEADS = ("recordings that set the scale", "UA %", "WA %", "n")
FIXED = {"protocol": "speaker", "select": "last", "teacher": "functionals"}


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table with a row per number of recordings."""
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(prog="python -m benchmarks.functionals", description=__doc__)
    groups = options.add_settings(parser, argv)
    options.add_data_paths(groups["data"])
    recipe = RECIPES["new_voice"].values
    parser.set_defaults(**{**FIXED, "speeds": recipe["speeds"]})
    args = parser.parse_args(argv)
    [settings] = options.settings_from(args)
    dataset = load_dataset(settings, options.data_paths_from(args), terminal_bar)
    folds = make_folds(dataset.manifest.utterances, settings)
    nothing_known, known = [], []
    for fold in terminal_bar(folds, desc="folds", unit="fold"):
        predict = functionals(dataset, fold, fit_functionals(dataset, fold))
        nothing_known += predict([{}])
        known.append(predict_known_voice(dataset, fold, {"functionals": predict}))
    utterances = {u.id: u for u in dataset.manifest.utterances}
    tested = [utterances[name] for fold in folds for name in fold.test]
    rows = Rows(
        utterance_ids=np.array([u.id for u in tested], object),
        true=np.array([dataset.manifest.classes.index(u.label) for u in tested]),
        probabilities=np.concatenate(nothing_known),
        speakers=np.array([u.speaker for u in tested], object),
        folds=np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds]),
    )
    table = []
    systems = [(NOTHING_KNOWN, "", rows), *known_voice_systems(rows, known)]
    for recordings, _, scored in systems:
        scores = headline_intervals(scored, scores_of)[:2]
        table.append((recordings, *map(interval_text, scores), len(scored)))
    print("\n".join(markdown_table(HEADS, table)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
