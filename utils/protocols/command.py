"""What a command line means for training and audit: settings, starting model, protocol.

The published protocol tests on known speakers and lets the test set choose the epoch.
Nobody compares own recordings with the paper, so without `--protocol` they get an
honest one instead.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from hyperparameters import InputError, Settings
from utils import options
from utils.cli import find_spelled
from utils.corpora import MODULES
from utils.corpora.load import DataPaths, read_corpus, select_part
from utils.model_files.starting import StartingModel, read_starting_model
from utils.protocols.folds import make_folds

# protocol, and the selection that it needs if it has too few speakers to choose on
CHOICES = (("speaker", None), ("speaker", "last"), ("random", None))
REASONS = {
    "speaker": "it tests on voices that were not trained on",
    "random": "speakers are unknown or too few, so the score holds for these voices "
    "alone",
}


def settings_and_start(
    args: argparse.Namespace,
) -> tuple[list[Settings], StartingModel | None]:
    """The settings of each run, one per seed, and the model that they start from.

    Args:
        args: From a parser with the options of `add_settings` and `add_data_paths`.

    Raises:
        InputError: A bad setting, an unknown corpus, or a starting model that cannot be
            read or has another front-end.
    """
    start = None
    if "start_from" in args and args.start_from != "none":
        start = read_starting_model(find_spelled(Path(), args.start_from))
    elif getattr(args, "frozen_stages", 0):
        raise InputError("--frozen_stages needs --start_from, whose stages they are")
    several = options.settings_from(args, start.settings if start else None)
    if start is not None:
        start.check(several[0])
    data_paths = options.data_paths_from(args)
    return with_default_protocol(several, args, data_paths), start


def with_default_protocol(
    several: Sequence[Settings], args: argparse.Namespace, data_paths: DataPaths
) -> list[Settings]:
    """The same settings with the most honest protocol that the recordings allow.

    It is told in one line on stderr. Registered corpora and commands with `--protocol`
    keep their settings.

    Args:
        several: One per seed, all of one corpus.
        args: Has `protocol` and `select` only if the user gave them.
        data_paths: Where the corpus is.

    Raises:
        InputError: The corpus is missing or damaged.
    """
    data = several[0].data
    if "protocol" in args or data.dataset_name in MODULES:
        return list(several)
    _, whole = read_corpus(data.dataset_name, data_paths)
    utterances = select_part(whole, data.audio_type).utterances
    for protocol, select in CHOICES:
        if select and "select" in args:
            continue
        changed = dataclasses.replace(
            data, protocol=protocol, select=select or data.select
        )
        try:
            make_folds(utterances, dataclasses.replace(several[0], data=changed))
        except InputError:
            continue
        break
    is_chosen = changed.select != data.select
    needed = f" --select {select}" if is_chosen else ""
    print(
        f"--protocol {protocol}{needed}, because none was given: {REASONS[protocol]}",
        file=sys.stderr,
    )
    return [dataclasses.replace(settings, data=changed) for settings in several]
