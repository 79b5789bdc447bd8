"""What README and CONTRIBUTING tell people to type works as written.

Every command fenced as `bash` runs in a copy of the project, so that nothing is written
into this one; those in `EXEMPT` do not, each for its reason. Trainings run as written
plus `--epochs 1 --folds 0`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import inference_single_file
import train
from utils.corpora.csv_manifest import read_csv
from utils.corpora.demo import FOLDER as DEMO_FOLDER
from utils.corpora.emo_db import EMOTION_OF_LETTER
from utils.files import PROJECT
from utils.options import settings_from
from utils.protocols.folds import PROTOCOLS

README = (PROJECT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHORT = "--epochs 1 --folds 0"
TIMEOUT_S = 600
NOT_COPIED = (
    *(".git", ".venv", "result", "features", "*_Segmented", "EMO-DB"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "__pycache__"),
)
EXEMPT = {
    "python3 -m venv .venv && . .venv/bin/activate": "installs",
    "pip install -r requirements.txt": "installs",
    'pip install "tensorflow[and-cuda]==2.21.0"': "installs, for a GPU",
    "pre-commit install": "installs",
    "make test": "the test command itself",
    "python -m pytest -q tests/test_notebooks.py": "a part of the test command",
    "python -m utils.corpora.download EMO-DB --archive download.zip": "network",
    "KERAS_BACKEND=torch python train.py": "needs torch, for a GPU",
}
NEEDS_TFLITE_MICRO = "python -m utils.export.microcontroller"  # an optional pre-release
EXEMPT_PYTHON = "from dask_jobqueue import SLURMCluster"  # needs a SLURM cluster


def fenced(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The commands of all bash blocks, a line each."""
    lines = "\n".join(fenced(text, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def shortened(command: str) -> str:
    """A training as written plus one epoch of one fold."""
    if command.startswith("make train"):
        return f'{command} TRAIN_OPTIONS="{SHORT}"'
    if "train.py" in command and "--export_only" not in command:
        return f"{command} {SHORT}"
    return command


def cells(section: str, column: int) -> list[str]:
    """The code in one column of the tables of a section, split at semicolons."""
    body = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    return [
        code for row in rows for code in re.findall("`(.+?)`", row.split("|")[column])
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, as after the installation, with a corpus of one's own."""
    copy = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (copy / ".venv" / "train.stamp").touch()
    write_own_corpus(copy / "mydata")
    return copy


def write_own_corpus(folder: Path) -> None:
    """Two classes of three voices, with the manifest that README names."""
    (folder / "clips").mkdir(parents=True)
    lines = ["path,label,speaker"]
    for path in sorted(DEMO_FOLDER.glob("*.flac")):
        speaker, letter = path.name[:2], path.name[5]
        if speaker in ("03", "08", "09") and letter in "NW":
            shutil.copy(path, folder / "clips")
            lines.append(f"clips/{path.name},{EMOTION_OF_LETTER[letter]},{speaker}")
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")


def run(command: list[str], project: Path, text: str | None = None) -> str:
    """Run in the copy, with its Python first in the path; the output on failure."""
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        input=text or "",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_commands(text: str, project: Path) -> list[str]:
    """Run the commands of a text in their order; those that ran."""
    chosen = [
        command
        for command in commands(text)
        if command not in EXEMPT
        and not command.startswith(NEEDS_TFLITE_MICRO)
        and "EMO-DB" not in command
    ]
    for command in chosen:
        run(["bash", "-euc", shortened(command)], project)
    return chosen


def test_readme_commands_and_python_run(project: Path) -> None:
    ran = run_commands(README, project)
    assert "make train" in ran
    runs = list(project.glob("result/DEMO_*/*_Report.txt"))
    assert len(runs) == 3  # protocols published, speaker, all
    assert (project / "timeline.png").is_file()
    for block in fenced(README, "python"):
        if not block.startswith(EXEMPT_PYTHON):
            answers = run(["python", "-"], project, block)
            assert "anger" in answers


def test_contributing_commands_and_python_run(project: Path) -> None:
    assert run_commands(CONTRIBUTING, project)
    [block] = fenced(CONTRIBUTING, "python")
    (project / "utils" / "corpora" / "my_corpus.py").write_text(block)
    names = ["anna_s1_joy", "ben_s1_calm"]
    for name in names:
        path = project / "data" / "MYCORPUS" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()  # readers of corpora look at names only
    listed = run(
        ["python", "-"],
        project,
        "from pathlib import Path\n"
        "from utils.corpora.my_corpus import CORPUS\n"
        "print(*(u.id for u in CORPUS.read(Path('data/MYCORPUS')).utterances))",
    )
    assert listed.split() == names


def test_the_microcontroller_command_runs(project: Path) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    [command] = [c for c in commands(README) if c.startswith(NEEDS_TFLITE_MICRO)]
    assert "smallest arena" in run(["bash", "-euc", command], project)


def test_emo_db_commands_run(project: Path, emo_db_dir: Path) -> None:
    (project / "data" / "EMO-DB").symlink_to(emo_db_dir / "EMO-DB")
    chosen = [c for c in commands(README) if "EMO-DB" in c and c not in EXEMPT]
    chosen = [c for c in chosen if not c.startswith(NEEDS_TFLITE_MICRO)]
    assert chosen == ["make train DATASET=EMO-DB"]
    for command in chosen:
        run(["bash", "-euc", shortened(command)], project)
    assert list(project.glob("result/EMO-DB_*/*_Report.txt"))


def test_every_exempt_command_is_there() -> None:
    assert set(EXEMPT) <= {*commands(README), *commands(CONTRIBUTING)}
    assert any(block.startswith(EXEMPT_PYTHON) for block in fenced(README, "python"))


def test_the_test_command_is_one() -> None:
    assert "make test" in commands(README)
    assert "make test" in (PROJECT / ".ci" / "run").read_text().splitlines()


def result_commands() -> list[list[str]]:
    """The arguments of the commands of the results rows."""
    rows = [c for c in cells("Results on EMO-DB", 2) if c.startswith("python train.py")]
    return [shlex.split(row)[2:] for row in rows]


def test_every_results_row_has_a_command_that_is_understood() -> None:
    found = set()
    for argv in result_commands():
        [settings] = settings_from(train.parse_args(argv))
        assert settings.training.epochs == 300
        assert settings.front_end.duration_s == 3.0
        found.add(settings.data.protocol)
    assert found == set(PROTOCOLS) - {"session"}  # EMO-DB has no sessions


@pytest.mark.proof
@pytest.mark.parametrize("argv", result_commands(), ids=" ".join)
def test_results_commands_run(argv: list[str], project: Path, emo_db_dir: Path) -> None:
    command = ["python", "train.py", *argv, *SHORT.split()]
    run([*command, "--data_dir", str(emo_db_dir)], project)


def test_every_training_option_is_shown_by_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    examples = cells("Options by example", 2)
    for example in examples:
        args = train.parse_args(shlex.split(example))
        if args.manifest is None:  # that one must be there
            settings_from(args)
    check_all_shown(train, examples, capsys)


def test_every_inference_option_is_shown_by_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    examples = cells("Classifying", 2)
    for example in examples:
        inference_single_file.parse_args(shlex.split(example))
    check_all_shown(inference_single_file, examples, capsys)


def check_all_shown(
    script: object, examples: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Hold the examples to every option that `--help` lists."""
    with pytest.raises(SystemExit):
        script.parse_args(["--help"])  # type: ignore[attr-defined]
    listed = re.findall(r"^  (-[^\s,]+(?:, --\w+)?)", capsys.readouterr().out, re.M)
    used = {word for example in examples for word in shlex.split(example)}
    used |= {"-h", "--help", "--help_all"}
    assert len(listed) > 10
    assert [names for names in listed if not used & set(names.split(", "))] == []


def test_the_example_manifest_is_one(tmp_path: Path) -> None:
    [text] = fenced(README, "csv")
    (tmp_path / "clips").mkdir()
    for name in ("first.wav", "second.flac"):
        (tmp_path / "clips" / name).touch()
    (tmp_path / "recordings.csv").write_text(text)
    manifest = read_csv(tmp_path, file_name="recordings.csv", name="MYDATA")
    assert manifest.classes == ("neutral", "anger")
    assert {u.speaker for u in manifest.utterances} == {"anna", "ben"}


@pytest.mark.parametrize(
    "name", ["README.md", "REPRODUCTION.md", "MODEL_CARD.md", "CONTRIBUTING.md"]
)
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("http"):
            assert (PROJECT / target).is_file(), target


def test_the_file_map_names_what_is_there() -> None:
    for path in cells("File map", 1):
        assert (PROJECT / path).exists(), path
