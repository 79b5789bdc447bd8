"""Write report, page, metrics and pictures of run folders again.

    python -m utils.report RUN [RUN ...] [--data_dir FOLDER]

With `--data_dir` or `--manifest`, the page has players and scores by duration.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import Parser, run_main
from utils.corpora.load import DataPaths, read_corpus, select_part
from utils.corpora.manifest import Manifest
from utils.files import PROJECT
from utils.report.render import render
from utils.runs.records import load_run


def main(argv: Sequence[str] | None = None) -> int:
    """Render each run folder of the command line; print its headline and files."""
    parser = Parser(prog="python -m utils.report", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="run folders")
    parser.add_argument(
        "--data_dir", type=Path, metavar="DIR", help="holds the corpus of the runs"
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="CSV of your own corpus"
    )
    args = parser.parse_args(argv)
    for folder in args.folders:
        rendered = render(folder, manifest_of(folder, args))
        print(rendered.headline, rendered.page, rendered.report, sep="\n")
    return 0


def manifest_of(folder: Path, args: argparse.Namespace) -> Manifest | None:
    """The corpus of a run; None if the command line does not say where it is.

    Raises:
        InputError: The corpus is not found.
    """
    if args.data_dir is None and args.manifest is None:
        return None
    settings = load_run(folder).settings
    data_paths = DataPaths(
        data_dir=(args.data_dir or PROJECT / "data").absolute(),
        manifest_path=args.manifest and args.manifest.absolute(),
        accept_altered=True,  # `render` compares the corpus with the run's
    )
    _, whole = read_corpus(settings["dataset_name"], data_paths)
    return select_part(whole, settings["audio_type"])


if __name__ == "__main__":
    sys.exit(run_main(main))
