"""Install what requirements.txt names and this Python lacks.

For Colab: `python -m utils.missing`. A package that is there in any version stays,
unless one that is installed now needs another; TensorFlow, NumPy and Keras are never
installed nor replaced, for that breaks its CUDA set-up.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.cli import Parser, run_main
from utils.files import PROJECT

KEPT = ("tensorflow", "numpy", "keras")
NAME = re.compile(r"[\w.-]+")


def installed() -> dict[str, str]:
    """Version by normalised name of every package of this Python."""
    return {
        normalised(package.metadata["Name"]): package.version
        for package in importlib.metadata.distributions()
    }


def normalised(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(requirements: str, there: Mapping[str, str]) -> list[str]:
    """The requirements of which no version is there.

    Args:
        requirements: Text of a requirements file, one `name==version` a line.
        there: Version by normalised name, as from `installed`.

    Returns:
        As written, without comments; never TensorFlow, NumPy or Keras.
    """
    lines = [line.split("#")[0].strip() for line in requirements.splitlines()]
    wanted = {normalised(m[0]): line for line in lines if (m := NAME.match(line))}
    return [
        line
        for name, line in wanted.items()
        if name not in there and name not in KEPT and not line.startswith("-")
    ]


def constraints(there: Mapping[str, str]) -> str:
    """Lines that let pip resolve only with the TensorFlow and NumPy that are there."""
    return "".join(f"{name}=={there[name]}\n" for name in KEPT if name in there)


def main(argv: Sequence[str] | None = None) -> int:
    """Install what is missing; return pip's exit status."""
    parser = Parser(prog="python -m utils.missing", description=__doc__)
    parser.add_argument("--dry_run", action="store_true", help="only name it")
    args = parser.parse_args(argv)
    there = installed()
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    wanted = missing(text, there)
    print("missing:", ", ".join(wanted) or "nothing")
    if not wanted or args.dry_run:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "constraints.txt")
        path.write_text(constraints(there), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(path)]
        return subprocess.run([*pip, *wanted], check=False).returncode


if __name__ == "__main__":
    sys.exit(run_main(main))
