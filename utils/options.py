"""The command line's settings: an option for every published value.

The original's short and long names work; every other field of `hyperparameters` is an
option of its own name. A corpus may replace published values by its own defaults; what
the user gives wins over both.
"""

import argparse
import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperparameters import (
    InputError,
    Settings,
    flags_of,
    from_flat,
    groups_of,
    to_flat,
)
from utils.cli import HELP_WIDTH, true_or_false
from utils.corpora import MODULES, corpus_by_name
from utils.corpora.load import CACHES, DataPaths
from utils.corpora.user_corpus import find_corpus
from utils.files import PROJECT
from utils.protocols.folds import PROTOCOLS

# The options that plain --help shows, in groups; --help_all shows the rest, too.
COMMON = {
    "data": ("dataset_name", "duration_s", "audio_type", "segment_mode"),
    "model": ("input_type", "loss_name"),
    "training": ("epochs", "batch_size", "learning_rate", "seed"),
    "protocol": ("protocol", "select", "num_folds"),
}
RARE_GROUP = {"data": "protocol", "training": "training"}  # of settings; else model
SHOW_ALL = "--help_all"
Group = argparse._ArgumentGroup  # what `add_argument_group` gives; it has no other name


def add_settings(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> dict[str, Group]:
    """Add every setting as an option, unset unless given.

    Args:
        parser: Gets the groups.
        argv: With `--help_all` in it, the rarer options are shown too.

    Returns:
        The groups data, model, training, protocol.
    """
    parser.add_argument(SHOW_ALL, action="help", help="every option of the settings")
    groups = {name: parser.add_argument_group(name) for name in COMMON}
    group_of = {name: group for group, names in COMMON.items() for name in names}
    for owner, published in groups_of(Settings()).items():
        for item in dataclasses.fields(published):
            group = group_of.get(item.name, RARE_GROUP.get(owner, "model"))
            is_shown = item.name in group_of or SHOW_ALL in argv
            groups[group].add_argument(
                *flags_of(item),
                dest=item.name,
                default=argparse.SUPPRESS,
                type=_parser_of(item.name, item.type),
                choices=_choices(item),
                metavar=_metavar(item),
                help=_help(item) if is_shown else argparse.SUPPRESS,
            )
    return groups


def _help(item: Any) -> str:
    """Choices, meaning and published value, in one line."""
    text = f"{item.metadata['help']} [{item.default}]"
    if choices := _choices(item):
        text = f"{', '.join(map(str, choices))}: {text}"
    return text.replace("%", "%%")


def _parser_of(name: str, declared: Any) -> Any:
    """What turns an option's text into its value; several seeds are allowed."""
    if name == "seed":
        return _seeds
    return true_or_false if declared is bool else declared


def _seeds(text: str) -> list[int]:
    """`42` or `42,43,44`."""
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers such as 42 or 42,43,44, got {text!r}"
        ) from None


def _choices(item: Any) -> list[Any] | None:
    """Allowed values, where they are a closed list."""
    if item.name == "protocol":
        return list(PROTOCOLS)
    return list(item.metadata["choices"]) if "choices" in item.metadata else None


def _metavar(item: Any) -> str:
    """A word for the value."""
    if item.type is bool:
        return "true|false"
    return "NAME" if item.type is str else "X"


def settings_from(args: argparse.Namespace) -> list[Settings]:
    """Published values, the corpus's own defaults, what was given: the last wins.

    Args:
        args: From a parser that `add_settings` and `add_data_paths` filled.

    Returns:
        Complete settings, one for each seed.

    Raises:
        InputError: A value out of its limits, or an unknown corpus.
    """
    published = to_flat(Settings())
    given = {name: value for name, value in vars(args).items() if name in published}
    name = given.get("dataset_name", published["dataset_name"])
    seeds = given.pop("seed", [published["seed"]])
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seed holds a number twice: {seeds}")
    defaults = find_corpus(name, args.data_dir, args.manifest).defaults
    values = {**defaults, **given, "dataset_name": name}
    return [from_flat({**values, "seed": seed}) for seed in seeds]


def refuse_other_settings(args: argparse.Namespace, settings: Settings) -> None:
    """Hold what was given to the settings of a run that is there.

    Raises:
        InputError: A setting was given with another value.
    """
    own = to_flat(settings)
    own["seed"] = [own["seed"]]  # as the option gives it
    for name, value in vars(args).items():
        if name in own and value != own[name]:
            raise InputError(
                f"the run has its own settings: {name} is {own[name]} there, got "
                f"{value}; leave it out"
            )


def add_data_paths(
    group: Group, derived: str = "segments and features are written here"
) -> None:
    """Add the options that say where things are.

    Args:
        group: Gets them.
        derived: What the command writes to `--derived_dir`.
    """
    group.add_argument(
        "--data_dir",
        type=Path,
        default=PROJECT / "data",
        metavar="DIR",
        help="holds the corpora; EMO-DB is downloaded into it",
    )
    group.add_argument(
        "--derived_dir",
        type=Path,
        default=PROJECT / "data",
        metavar="DIR",
        help=derived,
    )
    group.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="CSV of your own corpus: path,label[,speaker,session,part,sentence]",
    )
    group.add_argument(
        "--accept_altered",
        action="store_true",
        help="go on with files that differ from the published corpus",
    )


def add_cache(group: Group) -> None:
    """Add how training gets its features."""
    group.add_argument(
        "-c",
        "--cache",
        choices=CACHES,
        default=DataPaths.cache,
        metavar="KIND",
        help="features: disk (mapped), ram (loaded), None (computed each epoch)",
    )


def data_paths_from(args: argparse.Namespace) -> DataPaths:
    """Folders, and where a command has that option the cache, as given."""
    return DataPaths(
        data_dir=args.data_dir,
        derived_dir=args.derived_dir,
        cache=getattr(args, "cache", DataPaths.cache),
        accept_altered=args.accept_altered,
        manifest_path=args.manifest,
    )


def corpora_lines() -> str:
    """The corpora there are, and which settings the default one brings, for help."""
    own = corpus_by_name(Settings().data.dataset_name)
    brought = ", ".join(f"{name} {value:g}" for name, value in own.defaults.items())
    values = (
        f"In [brackets]: the published values; {own.name} brings its own: {brought}."
    )
    return f"Corpora: {', '.join(MODULES)}.\n{textwrap.fill(values, HELP_WIDTH)}"
