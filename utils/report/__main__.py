"""`python -m utils.report RUN [RUN ...]`: write the report of run folders again."""

import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import Parser, run_main
from utils.report.render import render


def main(argv: Sequence[str] | None = None) -> int:
    """Render each run folder of the command line and print its headline."""
    parser = Parser(
        prog="python -m utils.report",
        description="Write a run's report, metrics and pictures again.",
    )
    parser.add_argument("folders", type=Path, nargs="+", help="run folders")
    for folder in parser.parse_args(argv).folders:
        rendered = render(folder)
        print(f"{rendered.report}: {rendered.headline}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
