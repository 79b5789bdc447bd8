"""`python -m utils.report RUN [RUN ...]`: write the report of run folders again."""

import sys

from utils.cli import run_main
from utils.report.render import main

if __name__ == "__main__":
    sys.exit(run_main(main))
