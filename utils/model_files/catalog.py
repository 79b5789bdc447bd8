"""The catalog of a folder of models: what each file is, and which is the default.

python -m utils.model_files.catalog                        of inference_tests/
python -m utils.model_files.catalog --default NAME.tflite
python -m utils.model_files.catalog --new_voice reproduction/RUN
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.files import PROJECT, read_regular, sha256, write_json
from utils.model_files.linear import LINEAR_SUFFIX
from utils.model_files.metadata import read_described
from utils.model_files.tflite import FUSED, NAMES, file_name

CATALOG_NAME = "catalog.json"
CATALOG_FORMAT = 1
MOST_BYTES = 2**20
MODELS_DIR = PROJECT / "inference_tests"
REQUIRED = ("corpus", "audio_type", "loss_name", "precision")  # metadata keys
# option of inference_single_file.py: key of a catalog entry
CHOICES = {
    "-id": "duration_s",
    "-at": "audio_type",
    "-ln": "loss_name",
    "-it": "input_type",
}


def build_catalog(folder: Path, default: str | None = None) -> dict[str, Any]:
    """Describe every `.tflite` file of a folder by its own metadata.

    Args:
        folder: Folder with the models.
        default: File name of the default model. If None: the default of the present
            catalog, else the first float32 model that takes features.

    Returns:
        JSON-serialisable: format, default, models sorted by file name.

    Raises:
        InputError: There are no models, a model lacks metadata, or the default is not
            among them.
    """
    models = [_entry(path) for path in sorted(folder.glob("*.tflite"))]
    if not models:
        raise InputError(f"{folder}: contains no .tflite file to put into a catalog")
    names = [model["file"] for model in models]
    if default is None and (folder / CATALOG_NAME).exists():
        default = read_catalog(folder)["default"]
    elif default is None:
        plain = min(models, key=lambda m: (m["precision"] != "float32", m["fused"]))
        default = plain["file"]
    if default not in names:
        raise InputError(f"--default must be one of {', '.join(names)}, got {default}")
    return {"format": CATALOG_FORMAT, "default": default, "models": models}


def _entry(path: Path) -> dict[str, Any]:
    """The catalog entry of one model."""
    metadata = read_described(path, REQUIRED)
    front_end = metadata["front_end"]
    linear = _linear_beside(path)
    return {
        "file": path.name,
        "dataset_name": metadata["corpus"]["name"],
        "duration_s": front_end["duration_s"],
        "audio_type": metadata["audio_type"],
        "loss_name": metadata["loss_name"],
        "input_type": front_end["input_type"],
        "precision": metadata["precision"],
        "fused": metadata["input"] == "audio",
        "classes": metadata["classes"],
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        **(
            {}
            if linear is None
            else {"functionals": linear.name, "functionals_sha256": sha256(linear)}
        ),
    }


def _linear_beside(path: Path) -> Path | None:
    """The linear model that belongs to a network: it has the same stem."""
    for name in sorted(NAMES, key=len, reverse=True):  # `fuse_int8` before `int8`
        if path.name.endswith(ending := file_name("", name)):
            linear = path.with_name(path.name.removesuffix(ending) + LINEAR_SUFFIX)
            return linear if linear.is_file() else None
    return None


def read_catalog(folder: Path) -> dict[str, Any]:
    """Read the catalog of a folder.

    Raises:
        InputError: There is no catalog, or it cannot be used.
    """
    path = folder / CATALOG_NAME
    write_it = "write it with `python -m utils.model_files.catalog`"
    try:
        catalog: dict[str, Any] = json.loads(read_regular(path, MOST_BYTES))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: has no {CATALOG_NAME}, so there is no default model; name one "
            f"with --model, or {write_it}"
        ) from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is damaged ({error}); remove it and {write_it}"
        ) from error
    if not _is_catalog(catalog):
        raise InputError(
            f"{path}: must be a catalog of format {CATALOG_FORMAT}; remove it and "
            f"{write_it}"
        )
    return catalog


def _is_catalog(content: Any) -> bool:
    """Whether a JSON value has all that `choose` needs."""
    if not isinstance(content, dict) or content.get("format") != CATALOG_FORMAT:
        return False
    models = content.get("models")
    if not isinstance(models, list) or not all(isinstance(m, dict) for m in models):
        return False
    names = [model.get("file") for model in models]
    needed = {"sha256", "dataset_name", "precision", "fused", *CHOICES.values()}
    return (
        all(isinstance(name, str) for name in names)
        and all(needed <= model.keys() for model in models)
        and content.get("default") in names
    )


def choose(folder: Path, wanted: Mapping[str, Any]) -> Path:
    """Find the model of a folder that has the wanted properties.

    Args:
        folder: Folder with models and catalog.
        wanted: Values by catalog key (`duration_s`, `audio_type`, `loss_name`,
            `input_type`); only those that the user gave.

    Returns:
        The default model if it fits; otherwise, of those that fit, the one most like it
        (same corpus, then same precision, then same kind of input).

    Raises:
        InputError: No model fits, or the file differs from its catalog entry.
    """
    catalog = read_catalog(folder)
    models = {model["file"]: model for model in catalog["models"]}
    default = models[catalog["default"]]
    fitting = [m for m in models.values() if wanted.items() <= m.items()]
    if not fitting:
        raise InputError(_none_fits(list(models.values()), wanted))
    alike = ("dataset_name", "precision", "fused")
    chosen = min(
        fitting,
        key=lambda m: (m is not default, *(m[key] != default[key] for key in alike)),
    )
    path = folder / chosen["file"]
    if not path.is_file() or sha256(path) != chosen["sha256"]:
        raise InputError(
            f"{path}: is missing or differs from its entry in {CATALOG_NAME}; restore "
            "it, or run `python -m utils.model_files.catalog`"
        )
    return path


def functionals_of(folder: Path, model: Path) -> Path | None:
    """The linear model that answers beside a model of the catalog, if it has one.

    Args:
        folder: Folder with models and catalog.
        model: From `choose`.

    Raises:
        InputError: It is missing, or not the one that the catalog describes.
    """
    for entry in read_catalog(folder)["models"]:
        if entry["file"] == model.name and "functionals" in entry:
            path = folder / PurePath(str(entry["functionals"])).name
            digest = entry.get("functionals_sha256")
            if not path.is_file() or sha256(path) != digest:
                raise InputError(
                    f"{path}: is missing or differs from its entry in {CATALOG_NAME}; "
                    "restore it, or give --functionals none"
                )
            return path
    return None


def model_of_run(folder: Path) -> Path:
    """The model at the top of a run folder: float32 features, else what there is.

    Raises:
        InputError: There is no model, or several of one kind.
    """
    for name in NAMES:
        found = sorted(folder.glob(f"*_{name}.tflite"))
        if not name.startswith(FUSED):
            found = [path for path in found if f"_{FUSED}" not in path.name]
        if len(found) > 1:
            raise InputError(
                f"--model {folder}: holds several models; name one of them"
            )
        if found:
            return found[0]
    raise InputError(
        f"--model {folder}: holds no .tflite file; name a model file, or the folder "
        "of a finished run"
    )


def _none_fits(models: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> str:
    """One line: the options given, and all combinations that exist."""

    def options(values: Mapping[str, Any]) -> str:
        given = ((flag, values[key]) for flag, key in CHOICES.items() if key in values)
        return " ".join(f"{flag} {value}".removesuffix(".0") for flag, value in given)

    available = "; ".join(sorted({options(model) for model in models}))
    return (
        f"no model for {options(wanted)}; available: {available}; train others with "
        "train.py"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the catalog and print which model is the default."""
    parser = Parser(
        prog="python -m utils.model_files.catalog",
        description=f"Write {CATALOG_NAME}, which describes each model of a folder.",
    )
    add = parser.add_argument
    add("--folder", type=Path, default=MODELS_DIR, help="folder with .tflite files")
    add("--default", metavar="NAME", help="file name of the default model")
    add(
        "--new_voice",
        type=Path,
        metavar="RUN",
        help="first write the scores of this speaker-independent run into the models",
    )
    args = parser.parse_args(argv)
    if args.new_voice:
        from utils.model_files.new_voice import record_new_voice

        record_new_voice(args.folder, args.new_voice)
    catalog = build_catalog(args.folder, args.default)
    write_json(args.folder / CATALOG_NAME, catalog)
    print(f"{len(catalog['models'])} models, default {catalog['default']}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
