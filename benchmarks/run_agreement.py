"""Whether the inference command gives a run's own predictions, file by file.

    python -m benchmarks.run_agreement result/RUN --data_dir data

Every test utterance of every fold whose float32 model lies in the run folder goes
through the command's code; its class is compared with the one in the fold's record.
Exit status 1 where one differs.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.corpora import corpus_by_name, load_manifest
from utils.corpora.manifest import Manifest
from utils.files import PROJECT
from utils.inference.classify import ModelPerThread, classify_centre
from utils.model_files.tflite import load_model
from utils.runs.folder import read_config

SOURCE = "float32"  # the model, as the record names its predictions


def compare(
    record_path: Path, manifest: Manifest
) -> Iterator[tuple[str, bool, float]] | None:
    """Each test utterance of a fold: id, same class, largest change of a probability.

    Returns:
        None where the fold's model is not there.
    """
    record = json.loads(record_path.read_text(encoding="utf-8"))
    folder = record_path.with_suffix("")
    paths = [p for p in folder.glob(f"*_{SOURCE}.tflite") if "_fuse_" not in p.name]
    if not paths or SOURCE not in record["probabilities"]:
        return None
    models = ModelPerThread(lambda: load_model(paths[0]))
    files = {utterance.id: utterance.path for utterance in manifest.utterances}
    expected = np.array(record["probabilities"][SOURCE])

    def rows() -> Iterator[tuple[str, bool, float]]:
        for name, before in zip(record["test"], expected, strict=True):
            after = classify_centre(files[name], name, models).probabilities
            change = float(np.abs(after - before).max())
            yield name, bool(after.argmax() == before.argmax()), change

    return rows()


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of the check."""
    parser = Parser(prog="python -m benchmarks.run_agreement", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder, of segment mode 1")
    parser.add_argument("--data_dir", type=Path, default=PROJECT / "data")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print."""
    arguments = parse_args(argv)
    config = read_config(arguments.run)
    if config["settings"]["segment_mode"] != 1:
        raise InputError(f"{arguments.run}: segment mode 1 only; the command uses it")
    corpus = corpus_by_name(config["corpus"]["name"])
    manifest = load_manifest(corpus, arguments.data_dir)
    is_whole = config["settings"]["audio_type"] == "all"  # else the digest is a part's
    if is_whole and manifest.digest != config["corpus"]["digest"]:
        raise InputError(
            f"{arguments.run}: ran on other files than {arguments.data_dir}"
        )
    compared = [
        row
        for path in sorted((arguments.run / "folds").glob("fold_*.json"))
        for row in compare(path, manifest) or ()
    ]
    if not compared:
        raise InputError(f"{arguments.run}: no fold with a {SOURCE} model in it")
    other = [name for name, is_same, _ in compared if not is_same]
    largest = max(change for *_, change in compared)
    print(
        f"{len(compared) - len(other)} of {len(compared)} test utterances get the "
        f"run's class; largest change of a probability {largest:.1e}"
    )
    for name in other:
        print(f"differs: {name}", file=sys.stderr)
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
