"""The run folder: its name, its configuration, its records.

    result/EMO-DB_3.0s_all_mfcc_cross_entropy_published_seed42_1a2b3c4d/
        config.json            settings, corpus, data folders, command, leak audit
        folds/fold_00.json     the record of a finished fold: small, self-contained
        folds/fold_00/         weights, TFLite files, the state of an unfinished fold
        ...                    the report, rendered from the records

The name ends in a hash of the corpus's content and of every setting that differs from
its published value, so a setting that is added later does not change old names.
"""

import datetime
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from hyperparameters import InputError, Settings, from_flat, non_default, to_flat
from utils.cli import printable
from utils.corpora.load import DataPaths
from utils.corpora.manifest import Manifest
from utils.corpora.segments import duration_text, segments_name
from utils.files import PROJECT, json_sha256
from utils.processes import usable_cores
from utils.runs.json_files import CONFIG, RECORD, read_object
from utils.runs.links import refuse_links

FORMAT = 1
WEIGHTS_NAME = "weights.keras"
CONFIG_NAME = "config.json"
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "ai-edge-litert")


def run_hash(settings: Settings, manifest: Manifest) -> str:
    """Eight hexadecimal digits over everything that affects the run's results."""
    return hash_of(settings, manifest.digest)


def hash_of(settings: Settings, corpus_digest: str | None) -> str:
    """The same, from the digest of the manifest."""
    return json_sha256([FORMAT, non_default(settings), corpus_digest])[:8]


def run_name(settings: Settings, manifest: Manifest) -> str:
    """Corpus, duration, part, input, loss, protocol, seed and hash."""
    data, network = settings.data, settings.network
    select = "-last" if data.select == "last" else ""
    number = data.segment_mode
    mode = "" if number == 1 else f"_mode{number}"
    return (
        f"{manifest.corpus}_{duration_text(settings.front_end.duration_s)}s{mode}_"
        f"{data.audio_type}_{settings.front_end.input_type}_{network.loss_name}_"
        f"{data.protocol}{select}_seed{settings.training.seed}_"
        f"{run_hash(settings, manifest)}"
    )


def file_stem(corpus_name: str, settings: Settings) -> str:
    """`EMO-DB_3.0s_Segmented_cross_entropy`, as the released code's files start."""
    return f"{segments_name(corpus_name, settings)}_{settings.network.loss_name}"


def record_path(folder: Path, fold: int) -> Path:
    """The record of a finished fold."""
    return folder / "folds" / f"fold_{fold:02d}.json"


def fold_folder(folder: Path, fold: int) -> Path:
    """Weights, TFLite files and the state of one fold."""
    return folder / "folds" / f"fold_{fold:02d}"


def weights_path(folder: Path, fold: int) -> Path:
    """The Keras file of a finished fold; missing if only records were copied."""
    return fold_folder(folder, fold) / WEIGHTS_NAME


def describe_corpus(manifest: Manifest) -> dict[str, Any]:
    """The corpus as configuration and records describe it."""
    return {
        "name": manifest.corpus,
        "digest": manifest.digest,
        "utterances": len(manifest.utterances),
        "note": manifest.note,
    }


def provenance(command: str) -> dict[str, Any]:
    """How a result was made: versions, commit, command, machine, time (UTC)."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "versions": versions(),
        "commit": commit(),
        "command": printable(command),
        "machine": machine(),
        "time": now.isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str:
    """The project's commit, with `+changes` if files differ; `unknown` without git."""
    try:
        if _git("rev-parse", "--show-cdup"):  # not the top level: a copy without
            return "unknown"  # `.git` inside another repository
        name = _git("rev-parse", "--short=12", "HEAD")
        status = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+changes" if status else name


def _git(*words: str) -> str:
    """Output of a git command run in the project."""
    command = ["git", "-C", str(PROJECT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@functools.cache
def machine() -> str:
    """Processor and number of usable cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {usable_cores()} cores, {platform.system()}"


def read_config(folder: Path) -> dict[str, Any]:
    """A run's configuration.

    Raises:
        InputError: `folder` is not a run folder, holds a link, or its configuration is
            damaged.
    """
    path = folder / CONFIG_NAME
    refuse_links(folder)
    if not path.exists():
        raise InputError(f"{folder} is not a run folder: {CONFIG_NAME} is missing")
    config = read_object(path, CONFIG)
    try:
        settings_of(config)
    except InputError as error:
        raise InputError(f"{path}: settings: {error}") from error
    return config


def settings_of(config: dict[str, Any]) -> Settings:
    """The settings in a configuration or a record."""
    return from_flat(config["settings"])


def make_config(
    settings: Settings,
    manifest: Manifest,
    *,
    num_folds: int,
    command: str,
    data_paths: DataPaths,
) -> dict[str, Any]:
    """A run's configuration, without its audit.

    Args:
        settings: Complete settings.
        manifest: The utterances of the chosen part.
        num_folds: Folds of the whole run.
        command: The command line that started it.
        data_paths: Where the corpus was read.
    """
    return {
        "format": FORMAT,
        "hash": run_hash(settings, manifest),
        "settings": to_flat(settings),
        "changed": non_default(settings),
        "classes": list(manifest.classes),
        "corpus": describe_corpus(manifest),
        "num_folds": num_folds,
        "paths": {
            "data_dir": _portable(data_paths.data_dir),
            "derived_dir": _portable(data_paths.derived_dir),
            "manifest": _portable(data_paths.manifest_path),
            "accept_altered": data_paths.accept_altered,
        },
        **provenance(command),
    }


def _portable(path: Path | None) -> str | None:
    """A path as text, relative to the project if it lies inside."""
    if path is not None and path.is_relative_to(PROJECT):
        path = path.relative_to(PROJECT)
    return None if path is None else printable(path)


def read_record(folder: Path, fold: int, expected_hash: str) -> dict[str, Any] | None:
    """A finished fold's record; None if the fold is not finished.

    Raises:
        InputError: The record is damaged, or belongs to another configuration.
    """
    path = record_path(folder, fold)
    if not path.exists():
        return None
    record = read_object(path, RECORD)
    if record["hash"] != expected_hash or record["fold"] != fold:
        raise InputError(
            f"{path}: belongs to another configuration (fold {record['fold']} of "
            f"{record['hash']}, not fold {fold} of {expected_hash}); move it out of "
            "the folder"
        )
    return record
