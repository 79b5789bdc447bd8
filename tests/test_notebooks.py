"""The notebooks run end to end on DEMO, and are as CONTRIBUTING says."""

import ast
import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from hyperparameters import InputError
from tests.conftest import tone
from utils.audio.wav import read_any
from utils.files import PROJECT
from utils.inference.microphone import record, save_data_url
from utils.missing import KEPT, constraints, missing

SHORT = {"DATASET": "DEMO", "OPTIONS": "--epochs 1 --folds 0"}
PARAMETERS: dict[str, dict[str, Any]] = {
    "training": SHORT,
    "inference": {"WINDOW_S": 0.5, "HOP_S": 0.5},
    "deployment": SHORT,
}
WRITTEN = {
    "training": "result/DEMO_*/*_Report.txt",
    "inference": "timeline.png",
    "deployment": "result/DEMO_*/*_fuse_int8.tflite",
}
TIMEOUT_S = 600


def read_notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)


def parameters_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The one cell that says what to do."""
    [cell] = [
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    ]
    return cell


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the notebooks use."""
    copy = tmp_path_factory.mktemp("notebooks")
    for path in PROJECT.glob("*.py"):
        shutil.copy(path, copy)
    for name in ("utils", "inference_tests", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    return copy


def test_every_notebook_is_run_here() -> None:
    found = {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert found == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebook_runs(name: str, project: Path) -> None:
    notebook = read_notebook(name)
    cell = parameters_cell(notebook)
    unknown = [key for key in PARAMETERS[name] if f"\n{key} = " not in cell.source]
    assert unknown == []
    values = [f"{key} = {value!r}" for key, value in PARAMETERS[name].items()]
    cell.source = "\n".join([cell.source, *values])
    # as Jupyter does: in the notebook's own folder
    resources = {"metadata": {"path": str(project / "notebooks")}}
    NotebookClient(notebook, timeout=TIMEOUT_S, resources=resources).execute()
    assert list(project.glob(WRITTEN[name]))


def code_cells(name: str) -> Iterator[str]:
    """The code as plain Python, magics and shell lines turned into calls."""
    transform = TransformerManager().transform_cell
    for cell in read_notebook(name).cells:
        if cell.cell_type == "code":
            yield transform(cell.source)


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebook_defines_no_function(name: str) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for source in code_cells(name):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, kinds), source


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebook_holds_no_outputs_and_installs_by_one_program(name: str) -> None:
    for cell in read_notebook(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert "pip install" not in cell.source


def test_only_what_is_missing_is_installed() -> None:
    text = "tensorflow==2.21.0\nnumpy==2.4.6\n# a comment\ntqdm==4.70.1\n"
    text += "ai-edge-litert==2.3.0 # runs models\nsoxr==1.1.0\n-r other.txt\n"
    there = {"tqdm": "4.0", "ai-edge-litert": "1.0", "numpy": "2.0"}
    assert missing(text, there) == ["soxr==1.1.0"]
    assert constraints(there) == "numpy==2.0\n"


def test_tensorflow_and_numpy_are_never_installed() -> None:
    text = (PROJECT / "requirements.txt").read_text()
    names = [line.split("==")[0] for line in missing(text, {})]
    assert "soundfile" in names
    assert not set(names) & set(KEPT)


def test_a_recording_from_the_browser_becomes_a_file(
    tmp_path: Path, tone_wav: Path
) -> None:
    content = base64.b64encode(tone_wav.read_bytes()).decode()
    url = f"data:application/octet-stream;base64,{content}"
    path = save_data_url(url, tmp_path / "recording.webm")
    assert len(read_any(path, 16_000)) == len(tone(2.0))


@pytest.mark.parametrize("url", ["data:", "data:;base64,", "data:;base64,%%%"])
def test_an_empty_recording_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"clip\.webm: (nothing|the recording)"):
        save_data_url(url, tmp_path / "clip.webm")
    assert not (tmp_path / "clip.webm").exists()


def test_recording_elsewhere_than_on_colab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="works on Colab only"):
        record(tmp_path / "clip.webm", 1.0)
