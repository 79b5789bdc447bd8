"""What is installed for what, and what is said if a package is missing."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from utils.files import PROJECT

INFERENCE = "requirements-inference.txt"
LARGEST_MB = 300
CLIP = PROJECT / "inference_tests" / "anger_emodb.wav"
# Runs a script in an environment that lacks some packages
HIDE = """
import runpy, sys
hidden, *sys.argv = sys.argv[1:]
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden.split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def pins(file: str) -> dict[str, str]:
    """Version by package."""
    text = (PROJECT / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.M))


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.fixture(scope="module")
def not_for_inference() -> str:
    """The importable packages here that `requirements-inference.txt` does not bring."""
    wanted, left = set(), list(pins(INFERENCE))
    while left:
        name = normal(left.pop())
        if name not in wanted:
            wanted.add(name)
            needed = [r for r in metadata.requires(name) or () if "extra ==" not in r]
            left += [re.split(r"[^\w-]", r)[0] for r in needed if has(r)]
    return ",".join(
        module
        for module, owners in metadata.packages_distributions().items()
        if module.isidentifier() and wanted.isdisjoint(map(normal, owners))
    )


def has(requirement: str) -> bool:
    """Whether the package is installed; some are for other systems."""
    return bool(list(metadata.distributions(name=re.split(r"[^\w-]", requirement)[0])))


def run(hidden: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDE, hidden, *map(str, words)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


def test_versions_are_those_of_the_full_list():
    """All but ffmpeg's, which is the largest package."""
    small, full = pins(INFERENCE), pins("requirements.txt")
    assert len(small) == 7
    assert small.keys() <= full.keys()
    differing = {name for name, version in small.items() if version != full[name]}
    assert differing == {"imageio-ffmpeg"}


@pytest.mark.parametrize(
    "words", [[], ["--csv"], ["--windows", "--length", "1"], ["--json", "--jobs", "2"]]
)
def test_its_packages_are_enough_to_classify(not_for_inference, words):
    hidden = not_for_inference.split(",")
    assert {"tensorflow", "matplotlib", "scipy", "sklearn", "pytest"} <= set(hidden)
    done = run(not_for_inference, "inference_single_file.py", CLIP, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "anger" in done.stdout


@pytest.mark.parametrize(
    ("hidden", "words", "package", "file"),
    [
        ("numpy", ["inference_single_file.py", CLIP], "numpy", INFERENCE),
        ("ai_edge_litert", ["inference_single_file.py", CLIP], "ai_edge_litert", ""),
        (
            "matplotlib",
            ["inference_single_file.py", CLIP, "--windows", "--plot", "no/a.png"],
            "matplotlib",
            "requirements.txt",
        ),
        ("numpy", ["train.py", "-dn", "DEMO"], "numpy", "requirements.txt"),
        ("scipy", ["train.py", "-dn", "DEMO"], "scipy", "requirements.txt"),
        ("numpy", ["tflite_evaluate.py"], "numpy", "requirements.txt"),
    ],
)
def test_a_missing_package_is_one_line_with_the_file(hidden, words, package, file):
    done = run(hidden, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{words[0]}: error: the package {package} is not installed here: activate the "
        f"environment that has it, or type `pip install -r {file or INFERENCE}`\n"
    )


def test_a_missing_module_of_our_own_is_a_bug():
    done = run("dataio", "train.py", "-dn", "DEMO")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.proof
def test_the_first_commands_of_the_readme_answer_in_a_new_clone(tmp_path: Path):
    """Needs a package index; the environment is measured."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    block = readme.split("```bash\n")[1].split("```")[0]
    clone, install, classify = block.replace("ADDRESS", str(PROJECT)).splitlines()
    both = f"{clone}\n{install}"
    done = subprocess.run(["bash", "-euc", both], cwd=tmp_path, capture_output=True)
    if b"No matching distribution" in done.stderr:
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr
    project = tmp_path / "light-sernet"
    answer = subprocess.run(
        ["bash", "-euc", f". .venv/bin/activate && {classify}"],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[0].endswith(": anger")
    files = (path.lstat().st_size for path in (project / ".venv").rglob("*"))
    assert sum(files) < LARGEST_MB * 1e6
