"""The baseline without a network: functionals and linear discriminant analysis.

    python -m benchmarks.functionals -dn EMO-DB

Each speaker is tested by a model of the others. The functionals are standardised by the
training set, or by all recordings of each voice (unlabelled). Recordings at other
playing speeds are training data too (`--speeds ''` leaves them out).
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
from utils.scores.metrics import SCORES, scores_of
from utils.tables import markdown_table
from utils.training.known_voice import predict_functionals

SCALES = {
    "none": "the training set",
    "all": "all recordings of each voice, the test speaker's too",
}
FIXED = {"protocol": "speaker", "select": "last", "teacher": "functionals"}


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table with one row per scale."""
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
    found = [
        predict_functionals(dataset, fold)
        for fold in terminal_bar(folds, desc="folds", unit="fold")
    ]
    utterances = {u.id: u for u in dataset.manifest.utterances}
    tested = [utterances[name] for fold in folds for name in fold.test]
    table = []
    for name, meaning in SCALES.items():
        rows = Rows(
            utterance_ids=np.array([u.id for u in tested], object),
            true=np.array([dataset.manifest.classes.index(u.label) for u in tested]),
            probabilities=np.concatenate([np.array(values[name]) for values in found]),
            speakers=np.array([u.speaker for u in tested], object),
            folds=np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds]),
        )
        scores = headline_intervals(rows, scores_of)[:3]
        table.append((meaning, *map(interval_text, scores)))
    heads = ("standardised by", *(f"{name} %" for name in list(SCORES.values())[:3]))
    print("\n".join(markdown_table(heads, table)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
