"""The rules of CONTRIBUTING.md hold in every source file.

Each rule has a planted fault, which shows that it can fail.
"""

import ast
import graphlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest

from utils.files import PROJECT

FOLDERS = ("utils", "reproduction", "benchmarks")
PATTERNS = ("*.py", *(f"{folder}/**/*.py" for folder in FOLDERS))
SOURCES = sorted(path for pattern in PATTERNS for path in PROJECT.glob(pattern))
TESTS = sorted(PROJECT.glob("tests/**/*.py"))
# The last one is true while Python looks for the module of `python -m`.
GUARDS = ("__name__ == '__main__'", "TYPE_CHECKING", "sys.argv[:1] == ['-m']")
DEFINITIONS = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef),
    *(ast.Assign, ast.AnnAssign),
)
# Slow to import, or not installed everywhere; the light modules work without them.
HEAVY = ("tensorflow", "keras", "torch", "jax", "librosa", "distributed")
LIGHT_MODULES = (
    *("hyperparameters", "dataio", "train", "inference_single_file"),
    *("utils.options", "utils.protocols.audit", "utils.model_files.tflite"),
    *("utils.report.render", "utils.scores.compare"),
)


def star_imports_and_shells(tree: ast.Module) -> Iterator[str]:
    """Star imports and commands that go through a shell."""
    for node in ast.walk(tree):
        is_star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        is_shell = isinstance(node, ast.keyword) and node.arg == "shell"
        is_system = isinstance(node, ast.Attribute) and ast.unparse(node) in (
            *("os.system", "os.popen"),
        )
        if is_star or is_shell or is_system:
            yield ast.unparse(node)


def work_at_import(tree: ast.Module) -> Iterator[str]:
    """Anything but definitions, constants and the guard of a script."""
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test) in GUARDS
        if not (is_text or is_guard or isinstance(node, DEFINITIONS)):
            yield ast.unparse(node)


def missing_docstrings(tree: ast.Module) -> Iterator[str]:
    """The module and its public definitions, if they have no docstring."""
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
    ]
    for node in (tree, *public) if tree.body else ():
        if not ast.get_docstring(node):
            yield getattr(node, "name", "module")


RULES = {
    star_imports_and_shells: (SOURCES + TESTS, "from os import *"),
    work_at_import: (SOURCES, "'''Text.'''\nprint()"),
    missing_docstrings: (SOURCES, "'''Text.'''\ndef public(): pass"),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule) -> None:
    paths, planted = RULES[rule]
    assert len(list(rule(ast.parse(planted)))) == 1
    for path in paths:
        faults = list(rule(ast.parse(path.read_text(encoding="utf-8"))))
        assert not faults, f"{path.relative_to(PROJECT)}: {faults}"


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports, inside functions too.

    Args:
        sources: Python text by module name; other modules are left out of the graph.
    """
    graph = {}
    for module, text in sources.items():
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {part if part in sources else node.module for part in parts}
        graph[module] = names & sources.keys() - {module}
    return graph


def room_of(module: str) -> str:
    """`utils.audio.wav` is in room `utils/audio`, `train` in room `train`."""
    parts = module.split(".")
    return "/".join(parts[: 2 if parts[0] == "utils" else 1])


def faults_of(sources: Mapping[str, str], drawing: str) -> list[str]:
    """Circles and imports that do not point down.

    Args:
        sources: Python text by module name.
        drawing: The rooms, one storey per line, the highest first.
    """
    graph, rooms, faults = import_graph(sources), defaultdict(set), []
    storey = {
        room: number
        for number, line in enumerate(drawing.splitlines())
        for room in line.split()
    }
    for module, imported in graph.items():
        for other in imported:
            upper, lower = room_of(module), room_of(other)
            if upper != lower:
                rooms[upper].add(lower)
                if storey.get(lower, 0) <= storey.get(upper, 0):
                    faults.append(f"not downward: {module} imports {other}")
    faults += [f"not in the drawing: {m}" for m in graph if room_of(m) not in storey]
    for arrows in (graph, rooms):
        try:
            graphlib.TopologicalSorter(arrows).prepare()
        except graphlib.CycleError as error:
            faults.append(f"circle: {' <- '.join(error.args[1])}")
    return sorted(faults)


def test_imports_point_down_as_drawn() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = text.split("```text\n")[1].split("```")[0]
    sources = {}
    for path in SOURCES + TESTS:
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        sources[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    sources.pop("utils")
    assert faults_of(sources, drawing) == []


LAZY = "def function():\n    from utils.{} import one"


@pytest.mark.parametrize(
    ("imports", "faults"),
    [
        ({"high.one": "from utils.low import one", "low.one": "import os"}, []),
        ({"low.one": LAZY.format("high")}, ["not downward: utils.low.one imports "]),
        ({"beside.one": LAZY.format("high")}, ["not downward: utils.beside.one "]),
        ({"new.one": ""}, ["not in the drawing: utils.new.one"]),
        (
            {"low.one": LAZY.format("low.two"), "low.two": "import utils.low.one"},
            ["circle: "],
        ),
        (
            {"high.one": LAZY.format("low.two"), "low.one": LAZY.format("high")},
            ["circle: utils/", "not downward: utils.low.one imports utils.high.one"],
        ),
    ],
)
def test_planted_faults_in_imports_are_found(
    imports: dict[str, str], faults: list[str]
) -> None:
    sources = {f"utils.{name}": text for name, text in imports.items()}
    sources = {"utils.high.one": "", "utils.low.two": "", **sources}
    found = faults_of(sources, "utils/high  utils/beside\nutils/low\n")
    assert len(found) == len(faults)
    for line, start in zip(found, faults, strict=True):
        assert line.startswith(start)


def test_light_modules_stay_light() -> None:
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
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == list(LIGHT_MODULES)
