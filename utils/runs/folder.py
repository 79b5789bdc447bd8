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
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperparameters import InputError, Settings, from_flat, non_default, to_flat
from utils.corpora.load import DataPaths
from utils.corpora.manifest import Manifest
from utils.corpora.reading import SAFE_NAME_RULE, is_safe_name
from utils.corpora.segments import duration_text, segments_name
from utils.files import PROJECT, json_sha256
from utils.processes import usable_cores

FORMAT = 1
WEIGHTS_NAME = "weights.keras"
CONFIG_NAME = "config.json"
# Keys that a configuration and a record must have, with their types
CONFIG = {
    "num_folds": int,
    "hash": str,
    "settings": dict,
    "corpus": dict,
    "classes": list,
}
RECORD = {
    **CONFIG,
    "fold": int,
    "chosen_on": str,
    "test": list,
    "labels": list,
    "speakers": list,
    "probabilities": dict,
}
# Keys that they may have, with their types
OPTIONAL = {"audit": dict, "command": str, "history": dict, "paths": dict}
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "ai-edge-litert")


def run_hash(settings: Settings, manifest: Manifest) -> str:
    """Eight hexadecimal digits over everything that affects the run's results."""
    return json_sha256([FORMAT, non_default(settings), manifest.digest])[:8]


def run_name(settings: Settings, manifest: Manifest) -> str:
    """Corpus, duration, part, input, loss, protocol, seed and hash."""
    data, network = settings.data, settings.network
    select = "-last" if data.select == "last" else ""
    mode = "_mode0" if data.segment_mode == 0 else ""
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
        "command": command,
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


def read_object(path: Path, required: Mapping[str, type]) -> dict[str, Any]:
    """Read a JSON object and check that its keys have values of the right types.

    Raises:
        InputError: No JSON object, or a key is missing or of another type.
        OSError: The file cannot be read.
    """
    mending = "remove it, and the command that trained makes it again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors alike
        raise InputError(f"{path}: damaged ({error}); {mending}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold a JSON object; {mending}")
    present = {key: kind for key, kind in OPTIONAL.items() if key in content}
    for key, kind in ({**present, **required} if required else {}).items():
        if not isinstance(content.get(key), kind):
            raise InputError(
                f"{path}: {key!r} must be of type {kind.__name__}, got "
                f"{content.get(key)!r:.40}; {mending}"
            )
    if "corpus" in required and not is_safe_name(content["corpus"].get("name")):
        raise InputError(  # it becomes part of file names
            f"{path}: the corpus's name must be made of {SAFE_NAME_RULE}, got "
            f"{content['corpus'].get('name')!r:.40}; {mending}"
        )
    return content


def read_config(folder: Path) -> dict[str, Any]:
    """A run's configuration.

    Raises:
        InputError: `folder` is not a run folder, or its configuration is damaged.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: {CONFIG_NAME} is missing")
    return read_object(path, CONFIG)


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
    return None if path is None else str(path)


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
