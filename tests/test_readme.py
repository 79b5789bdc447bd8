"""Every command and every Python block in README, docs and CONTRIBUTING works.

The commands in `bash` blocks run in a copy of the project, page by page, except those
in `EXEMPT`. Trainings get `--epochs 1 --folds 0`, on EMO-DB also shorter segments.
"""

import json
import re
import shlex
from pathlib import Path

import pytest
from project_copy import SHORT, run, write_noise

import inference_single_file
import train
from hyperparameters import recipe_of, to_flat
from utils.corpora.csv_manifest import read_csv
from utils.files import PROJECT
from utils.options import settings_from
from utils.protocols.folds import PROTOCOLS

PATHS = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/*.md"))]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in PATHS}
CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MORE_TEXTS = ("CONTRIBUTING", "REPRODUCTION", "MODEL_CARD", "inference_tests/README")
LINKED = [*PATHS, *(PROJECT / f"{name}.md" for name in MORE_TEXTS)]
RECIPES_TEST = "slow; its parts are tested in tests/training/test_recipes.py"
LINEAR = "--model MODEL_int8.tflite --functionals MODEL_functionals.npz"
LINEAR_TEST = "needs a model of a recipe; tested in tests/model_files/test_linear.py"
HEARING_TEST = "needs a trained run; tested in tests/scores/test_tflite_evaluate.py"
VOICE_TEST = "anna/ is the reader's; tested in tests/inference/test_voice.py"
OWN_TEST = "tested in tests/test_own_recordings.py"
OWN = "python train.py -dn MYDATA --manifest mydata/recordings.csv"
SHIPPED = "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_float32.tflite"
VOICE = "--voice anna.json"
START_TEST = "clones and installs; tested in tests/test_requirements.py"
INSTALL = "pip install -r requirements-inference.txt"
MPS = "XLA_PYTHON_CLIENT_PREALLOCATE=false KERAS_BACKEND=jax python"
EXEMPT = {
    "git clone ADDRESS light-sernet && cd light-sernet": START_TEST,
    f"python3 -m venv .venv && . .venv/bin/activate && {INSTALL}": START_TEST,
    "pip install -r requirements.txt": "installs",
    "pip install -r requirements-cluster.txt": "installs",
    'pip install "tensorflow[and-cuda]==2.21.0"': "installs, for a GPU",
    "pre-commit install": "installs",
    "make test": "the test command itself",
    "python -m pytest -q tests/test_notebooks.py": "a part of the test command",
    "python -m utils.corpora.download EMO-DB --archive download.zip": "network",
    "KERAS_BACKEND=torch python train.py": "needs torch, for a GPU",
    "nvidia-cuda-mps-control -d": "needs a GPU",
    "echo quit | nvidia-cuda-mps-control": "needs a GPU",
    f"{MPS} train.py -dn EMO-DB --jobs 10": "needs a GPU",
    "python train.py -dn EMO-DB --recipe any_device --protocol speaker": RECIPES_TEST,
    "python -m benchmarks.functionals -dn EMO-DB": RECIPES_TEST,
    "python -m utils.scores.known_voice result/RUN": RECIPES_TEST,
    f"{OWN} --start_from {SHIPPED}": OWN_TEST,
    f"python inference_single_file.py --calibrate anna/ {VOICE}": VOICE_TEST,
    f"python inference_single_file.py -fn clip.wav {VOICE}": VOICE_TEST,
    "python -m benchmarks.hearing --run result/RUN": HEARING_TEST,
    f"python inference_single_file.py -fn clip.wav {LINEAR}": LINEAR_TEST,
}
EPOCHS = {None: 300, "studio": 100, "any_device": 100}  # of a row of results
MICROCONTROLLER = "python -m utils.export.microcontroller"  # an optional package
TILING = "python -m utils.export.tiling"  # names a shipped file with EMO-DB in it
EXEMPT_PYTHON = "from dask_jobqueue import SLURMCluster"  # needs a SLURM cluster


def fenced(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(*texts: str) -> list[str]:
    """The lines of all bash blocks."""
    return "".join(block for text in texts for block in fenced(text, "bash")).split(
        "\n"
    )[:-1]


def cells(page: str, section: str, column: int) -> list[str]:
    """The code in one column of the tables of a section."""
    body = PAGES[page].split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    return [
        code for row in rows for code in re.findall("`(.+?)`", row.split("|")[column])
    ]


def run_shell(command: str, project: Path) -> str:
    """Run a line of a bash block; a training gets one epoch of one fold."""
    if command.startswith("make train"):
        duration = " -id 0.5" if "EMO-DB" in command else ""
        command = f'{command} TRAIN_OPTIONS="{SHORT}{duration}"'
    elif "train.py" in command:
        command = f"{command} {SHORT}"
    return run(["bash", "-euc", command], project)


def is_run_elsewhere(command: str) -> bool:
    """Whether another test runs the command, or none does."""
    return command in EXEMPT or "EMO-DB" in command or MICROCONTROLLER in command


def test_commands_and_python_of_readme_and_docs_run(project: Path) -> None:
    (project / "timeline.png").unlink(missing_ok=True)  # of a notebook
    for text in PAGES.values():
        for command in commands(text):
            if not is_run_elsewhere(command):
                run_shell(command, project)
        for block in fenced(text, "python"):
            if not block.startswith(EXEMPT_PYTHON):
                assert "anger" in run(["python", "-"], project, block)
    chosen_on = {"published": "test", "speaker-last": "none", "all": "none"}
    assert len(list(project.glob("result/DEMO_*/*_Report.txt"))) == len(chosen_on)
    for protocol, wanted in chosen_on.items():
        [path] = project.glob(f"result/DEMO_*_{protocol}_seed*/folds/fold_00.json")
        record = json.loads(path.read_text())
        assert record["chosen_on"] == wanted
        assert bool(record["test"]) == (protocol != "all")
        assert len(record["probabilities"]["int8"]) == len(record["test"])
    assert (project / "timeline.png").is_file()
    [scores] = project.glob("result/DEMO_*_published_*/*_TFLite.json")
    assert '"model": "int8_tiled"' in scores.read_text()


def test_commands_and_python_of_contributing_run(project: Path) -> None:
    for command in commands(CONTRIBUTING):
        if not is_run_elsewhere(command):
            run_shell(command, project)
    [block] = fenced(CONTRIBUTING, "python")
    (project / "utils" / "corpora" / "my_corpus.py").write_text(block)
    names = ["anna_s1_joy", "ben_s1_calm"]
    for seed, name in enumerate(names):
        write_noise(project / "data" / "MYCORPUS" / f"{name}.wav", seed)
    code = (
        "from pathlib import Path\n"
        "from utils.corpora.my_corpus import CORPUS\n"
        "print(*(u.id for u in CORPUS.read(Path('data/MYCORPUS')).utterances))"
    )
    assert run(["python", "-"], project, code).split() == names


def test_the_microcontroller_command_runs(project: Path) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    [command] = [c for c in commands(*PAGES.values()) if MICROCONTROLLER in c]
    assert "smallest arena" in run_shell(command, project)


def test_the_emo_db_command_runs(project: Path, emo_db_dir: Path) -> None:
    (project / "data" / "EMO-DB").symlink_to(emo_db_dir / "EMO-DB")
    found = [c for c in commands(*PAGES.values()) if "EMO-DB" in c and c not in EXEMPT]
    others = (MICROCONTROLLER, TILING)
    [command] = [c for c in found if not c.startswith(others)]
    run_shell(command, project)
    assert list(project.glob("result/EMO-DB_*/*_Report.txt"))


def test_the_tiling_command_runs(project: Path) -> None:
    [command] = [c for c in commands(PAGES["deployment"]) if c.startswith(TILING)]
    run_shell(command, project)
    assert list(project.glob("inference_tests/*_int8_tiled.tflite"))


def test_exempt_and_test_commands_exist() -> None:
    assert set(EXEMPT) <= set(commands(*PAGES.values(), CONTRIBUTING))
    assert fenced(PAGES["many_machines"], "python")[0].startswith(EXEMPT_PYTHON)
    assert "make test" in (PROJECT / ".ci" / "run").read_text().splitlines()


def result_commands() -> list[list[str]]:
    """The arguments of `train.py` for the rows of the results."""
    [common] = re.findall(r"`python train\.py (-dn .+)`", PAGES["protocols"])
    return [
        shlex.split(f"{common} {row}")
        for row in cells("protocols", "Commands of the results", 2)
    ]


def test_every_results_row_has_a_command_that_is_understood() -> None:
    found = set()
    for argv in result_commands():
        for settings in settings_from(train.parse_args(argv)):
            recipe = recipe_of(to_flat(settings))
            assert settings.training.epochs == EPOCHS.get(recipe, 40)
            assert (recipe == "new_voice") == ("new_voice" in argv)
            assert settings.front_end.duration_s == 3.0
            found.add(settings.data.protocol)
    assert found == set(PROTOCOLS) - {"session"}  # EMO-DB has no sessions


@pytest.mark.proof
@pytest.mark.parametrize("argv", result_commands(), ids=" ".join)
def test_results_commands_run(argv: list[str], project: Path, emo_db_dir: Path) -> None:
    command = ["python", "train.py", *argv, *SHORT.split()]
    run([*command, "--data_dir", str(emo_db_dir)], project)


@pytest.mark.parametrize(
    ("script", "page", "section"),
    [
        (train, "protocols", "Training options by example"),
        (inference_single_file, "classifying", "Options by example"),
    ],
)
def test_every_option_has_an_example(
    script, page: str, section: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = cells(page, section, 2)
    for example in examples:
        args = script.parse_args(shlex.split(example))
        if script is train and args.manifest is None:  # the manifest does not exist
            settings_from(args)
    with pytest.raises(SystemExit):
        script.parse_args(["--help"])
    listed = re.findall(r"^  (-[^\s,]+(?:, --\w+)?)", capsys.readouterr().out, re.M)
    used = {word for example in examples for word in shlex.split(example)}
    used |= {"-h", "--help", "--help_all"}
    assert len(listed) > 10
    assert [names for names in listed if not used & set(names.split(", "))] == []


def test_the_example_manifest_is_one(tmp_path: Path) -> None:
    [text] = fenced(PAGES["corpora"], "csv")
    (tmp_path / "clips").mkdir()
    for name in ("first.wav", "second.flac"):
        (tmp_path / "clips" / name).touch()
    (tmp_path / "recordings.csv").write_text(text)
    manifest = read_csv(tmp_path, file_name="recordings.csv", name="MYDATA")
    assert manifest.classes == ("neutral", "anger")
    assert {u.speaker for u in manifest.utterances} == {"anna", "ben"}


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.stem)
def test_links_and_pictures_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.is_file(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            names = [re.sub(r"[^\w -]", "", title).lower() for title in titles]
            assert anchor in [name.replace(" ", "-") for name in names], link


def test_the_readme_is_short_and_names_what_exists() -> None:
    assert len(PAGES["README"].splitlines()) <= 200
    for path in cells("README", "Where things are", 1):
        assert (PROJECT / path).exists(), path
