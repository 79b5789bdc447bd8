"""The notebooks run end to end on DEMO and follow the rules of CONTRIBUTING."""

import ast
import base64
import re
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import tone
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from project_copy import SHORT, TIMEOUT_S

from hyperparameters import InputError
from reproduction import notebooks
from reproduction.notebooks import address_of, set_repository, strip
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
def test_notebook_holds_no_function_and_one_installation(name: str) -> None:
    cells = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    transform = TransformerManager().transform_cell  # magics become calls
    for cell in cells:
        nodes = ast.walk(ast.parse(transform(cell.source)))
        assert not any(isinstance(node, kinds) for node in nodes), cell.source
    lines = "\n".join(cell.source for cell in cells).splitlines()
    assert [line.strip() for line in lines if "pip install" in line] == [INSTALL]


@pytest.mark.parametrize("name", PARAMETERS)
def test_outputs_are_whole_and_name_no_computer(name: str) -> None:
    cells = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in cells]
    assert counts in ([None] * len(cells), list(range(1, len(cells) + 1)))
    outputs = [output for cell in cells for output in cell.outputs]
    assert bool(outputs) == (counts[0] is not None)
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        data = output.get("data", {})
        texts = [output.get("text", ""), *(data[k] for k in data if "text" in k)]
        for text in texts:
            assert not re.search(r"(?<![\w.])/(home|root|Users|tmp|work)\b|UUID", text)


def test_inference_is_shown_with_its_pictures() -> None:
    outputs = [
        o for c in read_notebook("inference").cells for o in c.get("outputs", ())
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any(": anger\n" in output.get("text", "") for output in outputs)


def test_outputs_lose_names_warnings_and_timings() -> None:
    notebook = nbformat.v4.new_notebook()
    code = (
        "import os, sys\nprint('box boxes', os.getcwd(), end='')\n"
        "print('a warning', file=sys.stderr)\n"
        "'GPU 0: H (UUID: GPU-1)'"
    )
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    NotebookClient(notebook, timeout=TIMEOUT_S, record_timing=False).execute()
    strip(notebook, {"box": "computer", str(Path.cwd()): "light-sernet"})
    [printed, value] = notebook.cells[0].outputs
    assert printed.text == "computer boxes light-sernet"
    assert value.data["text/plain"] == "'GPU 0: H'"
    assert "execution" not in notebook.cells[0].metadata


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://example.org/a/light-sernet.git", True),
        ("https://me:secret@example.org/a.git", False),
        ("/srv/light-sernet", False),
        (None, False),
    ],
)
def test_the_address_of_the_clone_becomes_the_default(
    tmp_path: Path, origin: str | None, address: bool
) -> None:
    git = ("git", "-C", str(tmp_path))
    subprocess.run([*git, "init", "-q"], check=True)
    if origin:
        subprocess.run([*git, "remote", "add", "origin", origin], check=True)
    notebook = read_notebook("inference")
    before = notebook.cells[1].source
    set_repository(notebook, address_of(tmp_path))
    after = notebook.cells[1].source
    assert (f'REPOSITORY = "{origin}"  # on Colab' in after) == address
    assert (after == before) == (not address)


def test_an_unknown_notebook_is_refused() -> None:
    with pytest.raises(InputError, match=r"no notebook x; there are deployment, inf"):
        notebooks.main(["x"])


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
