"""Command-line options: one for every setting, and those for data folders.

Settings that the released code had keep its short and long option names; the others are
called as their field in `hyperparameters`. A corpus may have defaults that differ from
the published values; what the user gives overrides both.
"""

import argparse
import dataclasses
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import (
    RECIPES,
    InputError,
    Settings,
    flags_of,
    from_flat,
    groups_of,
    to_flat,
)
from utils.cli import HELP_WIDTH, printable, true_or_false
from utils.corpora import MODULES, corpus_by_name
from utils.corpora.load import CACHES, DataPaths
from utils.corpora.user_corpus import corpora_in, find_corpus
from utils.files import PROJECT

# The options that --help shows, by group; --help_all shows all.
COMMON = {
    "data": ("dataset_name", "duration_s", "audio_type", "segment_mode"),
    "model": ("input_type", "loss_name"),
    "training": ("epochs", "batch_size", "learning_rate", "seed", "start_from"),
    "protocol": ("protocol", "select", "num_folds"),
}
# Group of all other options, by the part of the settings they belong to; else model
RARE_GROUP = {"data": "protocol", "training": "training"}
SHOW_ALL = "--help_all"
Group = argparse._ArgumentGroup  # what `add_argument_group` returns; no public name


def add_settings(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> dict[str, Group]:
    """Add an option for every setting; options that are not given stay unset.

    Args:
        parser: Gets the groups.
        argv: The command line; with `--help_all` in it, help shows the rarer options.

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
                choices=item.metadata.get("choices"),
                metavar=_metavar(item),
                help=_help(item) if is_shown else argparse.SUPPRESS,
            )
    return groups


def _help(item: Any) -> str:
    """Choices, meaning and published value, in one line."""
    text = f"{item.metadata['help']} [{item.default}]"
    if choices := item.metadata.get("choices"):
        text = f"{', '.join(map(str, choices))}: {text}"
    return text.replace("%", "%%")


def _parser_of(name: str, declared: Any) -> Any:
    """The function that turns an option's text into its value."""
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


def _metavar(item: Any) -> str:
    """The placeholder for the value."""
    if item.type is bool:
        return "true|false"
    return "NAME" if item.type is str else "X"


def settings_from(
    args: argparse.Namespace, start: Mapping[str, Any] | None = None
) -> list[Settings]:
    """Published values, overridden by the corpus's defaults, the recipe, the options.

    Args:
        args: From a parser with the options of `add_settings` and `add_data_paths`.
        start: What the run takes over from a starting model; options override it,
            except that it stands for the file in `--start_from`.

    Returns:
        Complete settings, one per seed.

    Raises:
        InputError: A value out of its limits, an unknown corpus, or a manifest without
            a name.
    """
    published = to_flat(Settings())
    given = {name: value for name, value in vars(args).items() if name in published}
    name = given.get("dataset_name", published["dataset_name"])
    if "dataset_name" not in given:
        _tell_of_corpora(args)
    seeds = given.pop("seed", [published["seed"]])
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seed must not repeat a number, got {seeds}")
    defaults = find_corpus(name, args.data_dir, args.manifest).defaults
    usual = "published" if start is None else "fine_tune"
    recipe = RECIPES[getattr(args, "recipe", None) or usual].values
    if start is not None:
        given["start_from"] = start["start_from"]
    is_unscaled = start is not None and start["feature_scaling"] == "none"
    if is_unscaled and recipe.get("feature_scaling") == "voice":
        raise InputError(
            f"--recipe {args.recipe} scales features to the voice, but the starting "
            "model does not; choose --recipe fine_tune or short"
        )
    values = {**defaults, **recipe, **(start or {}), **given, "dataset_name": name}
    return [from_flat({**values, "seed": seed}) for seed in seeds]


def _tell_of_corpora(args: argparse.Namespace) -> None:
    """Say on stderr which corpora are not used, because `-dn` names none.

    Raises:
        InputError: There is a manifest, which needs a name.
    """
    if args.manifest is not None:
        raise InputError(
            "--manifest needs -dn NAME, a name for your recordings, such as -dn MYDATA"
        )
    is_default = args.data_dir.absolute() == (PROJECT / "data").absolute()
    if not is_default and (found := corpora_in(args.data_dir)):
        print(
            f"using {Settings().data.dataset_name}, because there is no -dn; in "
            f"{printable(args.data_dir)} there are: -dn {', -dn '.join(found)}",
            file=sys.stderr,
        )


def refuse_other_settings(args: argparse.Namespace, settings: Settings) -> None:
    """Reject options that contradict the settings stored with a run.

    Raises:
        InputError: An option differs from the stored setting.
    """
    stored = to_flat(settings)
    stored["seed"] = [stored["seed"]]  # the option takes several
    for name, value in vars(args).items():
        if name in stored and value != stored[name]:
            raise InputError(
                f"{name} must be that of the run, {stored[name]}, got {value}; leave "
                "the option out"
            )


def add_data_paths(
    group: Group, derived: str = "segments and features are written here"
) -> None:
    """Add the options for folders and files of a corpus.

    Args:
        group: Gets them.
        derived: Help text: what the command writes to `--derived_dir`.
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
        help="accept files that differ from the published corpus",
    )


def add_cache(group: Group) -> None:
    """Add the option for the cache of features."""
    group.add_argument(
        "-c",
        "--cache",
        choices=CACHES,
        default=DataPaths.cache,
        metavar="KIND",
        help="features: disk (mapped), ram (loaded), None (computed each epoch)",
    )


def data_paths_from(args: argparse.Namespace) -> DataPaths:
    """Folders and files, absolute, and the cache if the command has that option."""
    return DataPaths(
        data_dir=args.data_dir.absolute(),
        derived_dir=args.derived_dir.absolute(),
        cache=getattr(args, "cache", DataPaths.cache),
        accept_altered=args.accept_altered,
        manifest_path=args.manifest and args.manifest.absolute(),
    )


def corpora_lines() -> str:
    """The names of the corpora, and the settings of the default one, for help."""
    corpus = corpus_by_name(Settings().data.dataset_name)
    changes = ", ".join(f"{name} {value:g}" for name, value in corpus.defaults.items())
    values = f"In [brackets]: the published values; with {corpus.name}: {changes}."
    return f"Corpora: {', '.join(MODULES)}.\n{textwrap.fill(values, HELP_WIDTH)}"
