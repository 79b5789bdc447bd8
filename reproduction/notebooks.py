"""Run the notebooks in a copy of the project, and keep what they show.

    python -m reproduction.notebooks [NAME ...]

Names of this computer and its folders are left out, and so are progress and warnings.
If git knows the address of this repository, it becomes the notebooks' `REPOSITORY`.
"""

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.cli import Parser, run_main, terminal_bar
from utils.files import PROJECT, write_atomic

FOLDER = PROJECT / "notebooks"
COPY = "light-sernet"  # the name that outputs show
NOT_COPIED = (".git", ".venv", "result", "node_modules", "dist", "web", ".*_cache")
TIMEOUT_S = 6 * 3600  # of a cell
GPU_UUID = re.compile(r" \(UUID: [^)]*\)")
ADDRESS = re.compile(r"https://[\w.-]+/[\w./~-]+")  # no password in it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the notebooks of the command line, or all."""
    known = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser = Parser(prog="python -m reproduction.notebooks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)} [all]"
    )
    names = parser.parse_args(argv).names or known
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"no notebook {unknown[0]}; there are {', '.join(known)}")
    import nbformat  # a package of requirements-dev.txt

    for name in terminal_bar(names, unit="notebook"):
        path = FOLDER / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        set_repository(notebook, address_of(PROJECT))
        execute(notebook)
        write_atomic(path, nbformat.writes(notebook) + "\n")
        print(path)
    return 0


def execute(notebook: Any) -> None:
    """Run a notebook in a copy of the project, and put its outputs into it.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as parent:
        copy = Path(parent).resolve() / COPY
        shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        resources = {"metadata": {"path": str(copy / "notebooks")}}
        described = dict(notebook.metadata)
        client = NotebookClient(
            notebook, timeout=TIMEOUT_S, resources=resources, record_timing=False
        )
        client.execute()
        notebook.metadata.clear()
        notebook.metadata.update(described)
        names = [str(copy), parent, str(PROJECT), str(Path.home())]
        strip(notebook, {**dict.fromkeys(names, COPY), platform.node(): "computer"})


def strip(notebook: Any, names: dict[str, str]) -> None:
    """Remove from a notebook's outputs what depends on the computer.

    Args:
        notebook: With outputs; changed.
        names: By name, what stands there instead; whole words only.
    """
    longest_first = sorted(names, key=len, reverse=True)
    words = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)")
    for cell in notebook.cells:
        outputs = [o for o in cell.get("outputs", ()) if o.get("name") != "stderr"]
        for output in outputs:
            texts = output if "text" in output else output.get("data", {})
            for kind in {"text", "text/plain", "text/html"} & set(texts):
                text = words.sub(lambda found: names[found[1]], texts[kind])
                texts[kind] = GPU_UUID.sub("", text)
        if "outputs" in cell:
            cell.outputs = outputs


def set_repository(notebook: Any, address: str) -> None:
    """Make an address the default of a notebook's `REPOSITORY`."""
    if address:
        [cell] = [
            c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())
        ]
        cell.source = re.sub(
            r'(?m)^REPOSITORY = ".*?"', f'REPOSITORY = "{address}"', cell.source
        )


def address_of(clone: Path) -> str:
    """Where a clone comes from; empty if it is no public address."""
    command = ["git", "-C", str(clone), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return ""
    address = done.stdout.strip()
    return address if ADDRESS.fullmatch(address) else ""


if __name__ == "__main__":
    sys.exit(run_main(main))
