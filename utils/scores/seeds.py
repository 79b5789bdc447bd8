"""The spread of runs that differ only in the seed, as a table and two files."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyperparameters import InputError
from utils.files import json_sha256, write_atomic, write_json
from utils.runs.records import Run, load_run
from utils.scores.metrics import SCORES, confusion, scores_of
from utils.tables import markdown_table

FORMAT = 1
MAX_NAMED = 8  # seeds in a file's name, whose length is limited; a hash covers all
SPREAD = ("mean", "sd", "min", "max")


class SeedSpread(NamedTuple):
    """The table and the files written.

    Attributes:
        table: Markdown.
        files: The JSON and the Markdown file.
    """

    table: str
    files: tuple[Path, Path]


def pool_seeds(runs: Sequence[Run]) -> list[Run]:
    """Join runs that differ in the seed alone: the rows of all seeds, in one run.

    Args:
        runs: In any order, each with its own seed.

    Returns:
        One run per group; `config["seeds"]` lists the seeds of those that were joined.

    Raises:
        InputError: A seed occurs twice in a group.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        settings = {**run.settings, "seed": None}
        folds = [record["fold"] for record in run.records]
        key = json_sha256([settings, run.corpus_digest, run.classes, folds])
        groups.setdefault(key, []).append(run)
    return [_joined(group) if len(group) > 1 else group[0] for group in groups.values()]


def _joined(group: Sequence[Run]) -> Run:
    """Several runs as one; its settings are those of the first."""
    seeds = [run.settings["seed"] for run in group]
    if len(set(seeds)) < len(seeds):
        raise InputError(
            f"{group[-1].folder}: another run has the same settings and seed"
        )
    more = {
        "num_folds": sum(run.num_folds for run in group),
        "seeds": ", ".join(map(str, seeds)),
    }
    return dataclasses.replace(
        group[0],
        config=group[0].config | more,
        records=tuple(record for run in group for record in run.records),
    )


def split_seeds(run: Run) -> list[Run]:
    """The runs that `pool_seeds` joined, one per seed; a single run is alone."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for record in run.records:
        groups.setdefault(record["settings"]["seed"], []).append(record)
    return [
        dataclasses.replace(run, records=tuple(records)) for records in groups.values()
    ]


def write_spread(folders: Sequence[Path], output_dir: Path) -> SeedSpread:
    """Write mean, standard deviation and range of the pooled scores over seeds.

    Args:
        folders: Finished run folders, two or more.
        output_dir: Gets `<run without seed>_seeds42-43-44_<hash>.json` and `.md`.

    Raises:
        InputError: A run is unfinished or has no scores, or more than the seed differs.
        OSError: A file cannot be written.
    """
    runs = [load_run(folder) for folder in folders]
    if not len(runs[0].rows()):
        raise InputError(f"protocol {runs[0].protocol} scores nothing, by design")
    spread = over_seeds(runs)
    content = {
        "format": FORMAT,
        "runs": [folder.name for folder in folders],
        "protocol": runs[0].protocol,
        "verdict": runs[0].verdict,
        "corpus": runs[0].config["corpus"],
        **spread,
    }
    text = spread_text(content)
    seeds = "-".join(str(seed) for seed in spread["seeds"][:MAX_NAMED])
    without_seed = folders[0].name.rsplit("_seed", 1)[0]
    hashes = json_sha256([run.config["hash"] for run in runs])[:8]
    path = output_dir / f"{without_seed}_seeds{seeds}_{hashes}.json"
    write_json(path, content)
    write_atomic(path.with_suffix(".md"), text)
    return SeedSpread(text, (path, path.with_suffix(".md")))


def over_seeds(runs: Sequence[Run]) -> dict[str, Any]:
    """Spread of the pooled scores over runs that differ only in the seed.

    Args:
        runs: Two or more.

    Returns:
        `{"seeds": [...], "ua": {"mean", "sd", "min", "max"}, ...}`; sd with n - 1.

    Raises:
        InputError: Fewer than two runs, the same seed twice, an unfinished run, or runs
            of different settings or corpora.
    """
    if len(runs) < 2:
        raise InputError(f"a spread over seeds needs two runs, got {len(runs)}")
    for run in runs[1:]:
        _check_same_but_seed(runs[0], run)
    seeds = [run.settings["seed"] for run in runs]
    seed, times = collections.Counter(seeds).most_common(1)[0]
    if times > 1:
        raise InputError(f"each run needs another seed, got {times} of seed {seed}")
    if unfinished := [run for run in runs if not run.is_complete]:
        raise InputError(
            f"{unfinished[0].folder}: {unfinished[0].progress} done; finish the run "
            "first"
        )
    table = np.stack([scores_of(confusion(run.rows())) for run in runs])
    columns = [table.mean(0), table.std(0, ddof=1), table.min(0), table.max(0)]
    values = np.stack(columns, axis=1).tolist()  # scores, then as in SPREAD
    spread = [dict(zip(SPREAD, row, strict=True)) for row in values]
    return {"seeds": seeds, **dict(zip(SCORES, spread, strict=True))}


def _check_same_but_seed(first: Run, other: Run) -> None:
    """Refuse two runs that differ in more than the seed."""
    settings = other.settings
    differing = [
        name
        for name, value in first.settings.items()
        if name != "seed" and value != settings[name]
    ]
    if first.corpus_digest != other.corpus_digest:
        differing.append("corpus")
    if differing:
        raise InputError(
            f"{other.folder}: runs over seeds may differ only in the seed, but "
            f"{', '.join(differing)} differs from {first.folder}"
        )


def spread_text(content: Mapping[str, Any]) -> str:
    """The spread as Markdown: a table in percent, the runs, what the scores mean."""
    rows = [
        (name, *(f"{100 * content[key][kind]:.2f}" for kind in SPREAD))
        for key, name in SCORES.items()
    ]
    lines = markdown_table([f"% over {len(content['seeds'])} seeds", *SPREAD], rows)
    lines += ["", f"Protocol {content['protocol']}. Runs:", ""]
    lines += [f"- `{name}`" for name in content["runs"]]
    remarks = [content["verdict"], content["corpus"].get("note")]
    lines += [text for remark in remarks if remark for text in ("", remark)]
    return "\n".join(lines) + "\n"
