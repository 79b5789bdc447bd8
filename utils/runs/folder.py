"""The run folder: its name, its configuration, its records.

    result/EMO-DB_3.0s_all_mfcc_cross_entropy_published_seed42_1a2b3c4d/
        config.json            what was run, on what, by which command
        folds/fold_00.json     the record of a finished fold: small, self-contained
        folds/fold_00/         weights, TFLite files, the state of an unfinished fold
        ...                    the report, rendered from the records

The name ends in a hash of every setting that differs from the published values and of
the corpus's content, so that a setting added later leaves the old names alone.
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
from utils.corpora.manifest import Manifest
from utils.corpora.reading import SAFE_NAME_RULE, is_safe_name
from utils.corpora.segments import duration_text, segments_name
from utils.files import PROJECT, json_sha256
from utils.processes import usable_cores

FORMAT = 1
WEIGHTS_NAME = "weights.keras"
CONFIG_NAME = "config.json"
# What configuration and records must hold, besides what is only shown
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
# What they may hold, and what then must be its type
OPTIONAL = {"audit": dict, "command": str, "history": dict}
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "ai-edge-litert")


def run_hash(settings: Settings, manifest: Manifest) -> str:
    """Eight hexadecimal digits over all that affects the run's results."""
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
    """`EMO-DB_3.0s_Segmented_cross_entropy`, the original's start of file names."""
    return f"{segments_name(corpus_name, settings)}_{settings.network.loss_name}"


def record_path(folder: Path, fold: int) -> Path:
    """The record of a finished fold."""
    return folder / "folds" / f"fold_{fold:02d}.json"


def fold_folder(folder: Path, fold: int) -> Path:
    """Weights, TFLite files and the state of one fold."""
    return folder / "folds" / f"fold_{fold:02d}"


def weights_path(folder: Path, fold: int) -> Path:
    """The Keras file of a finished fold; where only records were copied it is not."""
    return fold_folder(folder, fold) / WEIGHTS_NAME


def describe_corpus(manifest: Manifest) -> dict[str, Any]:
    """What configuration and records say of the corpus."""
    return {
        "name": manifest.corpus,
        "digest": manifest.digest,
        "utterances": len(manifest.utterances),
        "note": manifest.note,
    }


def provenance(command: str) -> dict[str, Any]:
    """Who made a result: versions, commit, command, machine, time (UTC)."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "versions": versions(),
        "commit": commit(),
        "command": command,
        "machine": machine(),
        "time": now.isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that count and are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str:
    """The project's commit, `+changes` where files differ; `unknown` without git."""
    try:
        if _git("rev-parse", "--show-cdup"):  # the way up to the top level
            return "unknown"  # a copy without `.git`, inside another repository
        name = _git("rev-parse", "--short=12", "HEAD")
        status = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+changes" if status else name


def _git(*words: str) -> str:
    """What git says of the project."""
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
    """A JSON object that holds the required keys with values of their types.

    Raises:
        InputError: It is none, or does not.
        OSError: It cannot be read.
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
        InputError: `folder` is no run folder, or its configuration is damaged.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: {CONFIG_NAME} is missing")
    return read_object(path, CONFIG)


def settings_of(config: dict[str, Any]) -> Settings:
    """The settings that a configuration or a record holds."""
    return from_flat(config["settings"])


def make_config(
    settings: Settings, manifest: Manifest, num_folds: int, command: str
) -> dict[str, Any]:
    """A run's configuration, without its audit.

    Args:
        settings: Complete settings.
        manifest: The utterances of the chosen part.
        num_folds: Folds of the whole run.
        command: The command line that started it.
    """
    return {
        "format": FORMAT,
        "hash": run_hash(settings, manifest),
        "settings": to_flat(settings),
        "changed": non_default(settings),
        "classes": list(manifest.classes),
        "corpus": describe_corpus(manifest),
        "num_folds": num_folds,
        **provenance(command),
    }


def read_record(folder: Path, fold: int, expected_hash: str) -> dict[str, Any] | None:
    """A finished fold's record; None where the fold is not finished.

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
