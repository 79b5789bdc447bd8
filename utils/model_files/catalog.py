"""The card of a folder of models: what each file is, and which one is the default.

python -m utils.model_files.catalog                        of inference_tests/
python -m utils.model_files.catalog --default NAME.tflite
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.files import PROJECT, sha256, write_json
from utils.model_files.metadata import read_metadata

CARD_NAME = "card.json"
CARD_FORMAT = 1
MODELS_DIR = PROJECT / "inference_tests"
NEEDED = ("corpus", "audio_type", "loss_name", "precision")  # of a model's metadata
# option of the command line: key of the card
CHOICES = {
    "-id": "duration_s",
    "-at": "audio_type",
    "-ln": "loss_name",
    "-it": "input_type",
}


def build_card(folder: Path, default: str | None = None) -> dict[str, Any]:
    """Describe every `.tflite` file of a folder by its own metadata.

    Args:
        folder: Holds the models.
        default: File name of the default model. Without it: the default of the
            folder's present card, else the first float32 that takes features.

    Returns:
        JSON-able: format, default, models sorted by file name.

    Raises:
        InputError: No models, one that does not say what it is, or no such default.
    """
    models = [_entry(path) for path in sorted(folder.glob("*.tflite"))]
    if not models:
        raise InputError(f"{folder}: holds no .tflite file to make a card of")
    names = [model["file"] for model in models]
    if default is None:
        is_card = (folder / CARD_NAME).is_file()
        default = read_card(folder)["default"] if is_card else _plainest(models)
    if default not in names:
        raise InputError(f"--default must be one of {', '.join(names)}, got {default}")
    return {"format": CARD_FORMAT, "default": default, "models": models}


def _entry(path: Path) -> dict[str, Any]:
    """One model's line in the card."""
    metadata = read_metadata(path) or {}
    if missing := [key for key in NEEDED if key not in metadata]:
        raise InputError(
            f"{path}: its metadata must name {', '.join(missing)}; export it anew"
        )
    front_end = metadata["front_end"]
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
    }


def _plainest(models: Sequence[Mapping[str, Any]]) -> str:
    """The first float32 model that takes features, else the first of all."""
    ranked = sorted(models, key=lambda m: (m["precision"] != "float32", m["fused"]))
    name: str = ranked[0]["file"]
    return name


def read_card(folder: Path) -> dict[str, Any]:
    """Read a folder's card.

    Raises:
        InputError: No card there, or one that cannot be used.
    """
    path = folder / CARD_NAME
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: has no {CARD_NAME}, so no default model; give one with --model "
            "or make the card with `python -m utils.model_files.catalog`"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise InputError(f"{path}: must be of format {CARD_FORMAT}; make it anew")
    return card


def choose(folder: Path, wanted: Mapping[str, Any]) -> Path:
    """The model of a folder that fits what is wanted.

    Args:
        folder: Holds models and card.
        wanted: Values by the card's keys (`duration_s`, `audio_type`, `loss_name`,
            `input_type`), those that the user gave.

    Returns:
        The default model where it fits; else the one that fits and shares most with
        it (corpus, then precision, then whether audio goes in).

    Raises:
        InputError: None fits, and what there is; or the file is not the card's.
    """
    card = read_card(folder)
    models = {model["file"]: model for model in card["models"]}
    default = models[card["default"]]
    fitting = [m for m in models.values() if _fits(m, wanted)]
    if not fitting:
        raise InputError(_none_fits(list(models.values()), wanted))
    shared = ("dataset_name", "precision", "fused")
    chosen = min(
        fitting,
        key=lambda m: (m is not default, *(m[k] != default[k] for k in shared)),
    )
    path = folder / chosen["file"]
    if not path.is_file() or sha256(path) != chosen["sha256"]:
        raise InputError(
            f"{path}: is missing or not the file that {CARD_NAME} describes; restore "
            "it, or make the card anew with `python -m utils.model_files.catalog`"
        )
    return path


def _fits(model: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(model[key] == value for key, value in wanted.items())


def _none_fits(models: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> str:
    """One line: what was asked for, and what exists."""
    flags = {key: flag for flag, key in CHOICES.items()}
    asked = " ".join(f"{flags[key]} {_text(value)}" for key, value in wanted.items())
    kinds = {
        " ".join(f"{flag} {_text(model[key])}" for flag, key in CHOICES.items())
        for model in models
    }
    there = "; ".join(sorted(kinds))
    return f"no model for {asked}; there is {there}; train others with train.py"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of `python -m utils.model_files.catalog`."""
    parser = Parser(
        prog="python -m utils.model_files.catalog",
        description="Write card.json, which says what each model of a folder is.",
    )
    parser.add_argument(
        "--folder", type=Path, default=MODELS_DIR, help="folder of .tflite files"
    )
    parser.add_argument("--default", metavar="NAME", help="file name of the default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the card; one line says which model is the default."""
    arguments = parse_args(argv)
    card = build_card(arguments.folder, arguments.default)
    write_json(arguments.folder / CARD_NAME, card)
    print(f"{len(card['models'])} models, default {card['default']}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
