"""The notebooks run end to end on DEMO and follow the rules of CONTRIBUTING."""

import ast
import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import tone
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from project_copy import SHORT, TIMEOUT_S

from hyperparameters import InputError
from utils.audio.wav import read_any
from utils.files import PROJECT
from utils.inference.microphone import record, save_data_url

# The README's tests train the same runs in the same copy: whoever comes second shows.
PARAMETERS: dict[str, dict[str, Any]] = {
    "training": {
        "DATASET": "DEMO",
        "OPTIONS": f"--protocol speaker --select last {SHORT}",
    },
    "inference": {"WINDOW_S": 0.5, "HOP_S": 0.5},
    "deployment": {"DATASET": "DEMO", "OPTIONS": SHORT},
}
WRITTEN = {
    "training": "result/DEMO_*/*_Report.txt",
    "inference": "timeline.png",
    "deployment": "result/DEMO_*/*_fuse_int8.tflite",
}
INSTALL = "%pip install --quiet -r notebooks/requirements-colab.txt"
KEPT = {"tensorflow", "keras", "numpy"}  # Colab's own versions


def read_notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_run_here() -> None:
    found = {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert found == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebook_runs(name: str, project: Path) -> None:
    notebook = read_notebook(name)
    [cell] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    for key, value in PARAMETERS[name].items():
        assert f"\n{key} = " in cell.source
        cell.source += f"\n{key} = {value!r}"
    # Jupyter runs a notebook in the notebook's folder.
    resources = {"metadata": {"path": str(project / "notebooks")}}
    NotebookClient(notebook, timeout=TIMEOUT_S, resources=resources).execute()
    assert list(project.glob(WRITTEN[name]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebook_holds_no_function_no_output_and_one_installation(name: str) -> None:
    cells = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    transform = TransformerManager().transform_cell  # magics become calls
    for cell in cells:
        nodes = ast.walk(ast.parse(transform(cell.source)))
        assert not any(isinstance(node, kinds) for node in nodes), cell.source
    lines = "\n".join(cell.source for cell in cells).splitlines()
    assert [line.strip() for line in lines if "pip install" in line] == [INSTALL]


def test_colab_gets_all_packages_but_tensorflow_and_numpy() -> None:
    def names(file: str) -> set[str]:
        return set(re.findall(r"^[\w-]+", (PROJECT / file).read_text(), re.MULTILINE))

    unpinned = PROJECT / "notebooks" / "requirements-colab.txt"
    assert "==" not in unpinned.read_text()
    assert names("requirements.txt") - KEPT - {"distributed"} <= names(str(unpinned))
    assert not KEPT & names(str(unpinned))


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


def test_recording_needs_colab(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="works on Colab only"):
        record(tmp_path / "clip.webm", 1.0)
