"""The house's rules, held over every source file."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.files import PROJECT

SCRIPTS = ("train", "tflite_evaluate", "inference_single_file")
SOURCES = sorted(
    path
    for pattern in ("*.py", "utils/**/*.py", "benchmarks/**/*.py")
    for path in PROJECT.glob(pattern)
)
WITH_TESTS = [*SOURCES, *sorted(PROJECT.glob("tests/**/*.py"))]
# What none of these may import: seconds, or a machine without it.
HEAVY = ("tensorflow", "keras", "torch", "jax", "librosa", "distributed")
LIGHT_MODULES = (
    "hyperparameters",
    "dataio",
    "utils.protocols.folds",
    "utils.corpora.segments",
    "utils.audio.features",
    "utils.protocols.audit",
    "utils.options",
    "utils.model_files.tflite",
    "utils.report.render",
    "utils.scores.compare",
    "utils.training.run",
    "train",
    "inference_single_file",
)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that a file names in an import, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", WITH_TESTS, ids=name_of)
def test_no_star_import_and_no_shell(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names)
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in ("os.system", "os.popen")
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                assert keyword.arg != "shell"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_happens_at_import(path: Path) -> None:
    """Definitions, constants, and the guard of a script; no bare call, no loop."""
    allowed = (
        *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef),
        *(ast.Assign, ast.AnnAssign),
    )
    first, *rest = parse(path).body or [ast.Pass()]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    for node in rest if is_docstring else [first, *rest]:
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test) in (
            "__name__ == '__main__'",
            "TYPE_CHECKING",
        )
        assert is_guard or isinstance(node, allowed), ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_public_definitions_have_docstrings(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert node.name.startswith("_") or ast.get_docstring(node), node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_down_only(path: Path) -> None:
    """Benchmarks drive scripts, nothing else does; the settings import nothing."""
    names = set(imported(parse(path)))
    if path.stem == "hyperparameters":
        roots = {name.split(".")[0] for name in names}
        assert roots <= sys.stdlib_module_names
    if path.parent.name != "benchmarks":
        assert not names & set(SCRIPTS)
        assert not any(name.startswith(("tests", "benchmarks")) for name in names)


def test_light_modules_stay_light() -> None:
    """Each of them, in a new process, without the heavy libraries."""
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT_MODULES!r}:\n"
        "    importlib.import_module(name)\n"
        f"    print(name, *sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == list(LIGHT_MODULES)
    assert done.stderr == ""
