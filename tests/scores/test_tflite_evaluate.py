import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toy_tflite import toy_model

import tflite_evaluate
from hyperparameters import FrontEnd, InputError, from_flat, to_flat
from utils.corpora import load_manifest
from utils.corpora.user_corpus import folder_corpus
from utils.files import PROJECT, write_json
from utils.model_files.metadata import attach_metadata
from utils.model_files.tflite import file_name, load_model, predict_recordings
from utils.runs.folder import file_stem, record_path
from utils.runs.records import load_run
from utils.scores import evaluation

CLASSES = ("grief", "joy", "rage")
SETTINGS = from_flat({"dataset_name": "TOYS", "duration_s": 0.1})
PER_CLASS = 4


def save_toy_model(path: Path, *, is_int8: bool = False, **described: Any) -> Path:
    """A model file of random weights: its answers are no better than chance."""
    front_end = SETTINGS.front_end
    is_audio = "fuse_" in path.name
    shape = (1, front_end.duration_samples) if is_audio else (1, *front_end.input_shape)
    metadata = {
        "format": 1,
        "classes": list(CLASSES),
        "front_end": {"duration_s": front_end.duration_s},
        "input": "audio" if is_audio else "features",
        **described,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = toy_model(shape, len(CLASSES), is_int8=is_int8)
    path.write_bytes(attach_metadata(content, metadata))
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Holds the corpus TOYS: four short noises of each class."""
    random = np.random.RandomState(0)
    for name in CLASSES:
        folder = tmp_path / "data" / "TOYS" / name
        folder.mkdir(parents=True)
        for number in range(PER_CLASS):
            samples = random.uniform(-0.5, 0.5, random.randint(1_200, 3_000))
            soundfile.write(folder / f"{name}{number}.wav", samples, 16_000)
    return tmp_path / "data"


class ToyRun:
    """A run folder of two folds: the first has its model files, the second none."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder, self.data_dir = folder, data_dir
        manifest = load_manifest(folder_corpus("TOYS"), data_dir)
        self.utterances = manifest.utterances
        self.stem = file_stem("TOYS", SETTINGS)
        shared = {
            "format": 1,
            "hash": "0123abcd",
            "settings": to_flat(SETTINGS),
            "classes": list(CLASSES),
            "corpus": {"name": "TOYS", "digest": manifest.digest, "note": "Toys."},
            "num_folds": 2,
            "command": f"python train.py -dn TOYS --data_dir {data_dir}",
        }
        write_json(folder / "config.json", shared)
        for fold in (0, 1):
            tested = self.utterances[fold::2]
            # recorded: Keras is right, the others always say "grief"
            right = [[0.8 if u.label == c else 0.1 for c in CLASSES] for u in tested]
            grief = [[0.8, 0.1, 0.1] for _ in tested]
            record = shared | {
                "fold": fold,
                "chosen_on": "test",
                "test": [u.id for u in tested],
                "labels": [CLASSES.index(u.label) for u in tested],
                "speakers": [None for _ in tested],
                "probabilities": {"keras": right, "float32": right, "int8": grief},
            }
            write_json(record_path(folder, fold), record)

    def add_models(self) -> None:
        for name in ("float32", "int8"):
            path = self.folder / "folds" / "fold_00" / file_name(self.stem, name)
            save_toy_model(path, is_int8=name == "int8")

    def remove(self, *sources: str) -> None:
        """Forget some models' recorded answers."""
        for fold in (0, 1):
            path = record_path(self.folder, fold)
            record = json.loads(path.read_text())
            for source in sources:
                del record["probabilities"][source]
            write_json(path, record)

    def result(self) -> dict[str, Any]:
        content = json.loads((self.folder / f"{self.stem}_TFLite.json").read_text())
        content["by_name"] = {row["model"]: row for row in content["models"]}
        return content


@pytest.fixture
def run(tmp_path: Path, data_dir: Path) -> ToyRun:
    return ToyRun(tmp_path / "run", data_dir)


def test_files_are_asked_again_and_the_rest_is_recorded(run: ToyRun) -> None:
    run.add_models()
    assert tflite_evaluate.main(["--run", str(run.folder)]) == 1
    content = run.result()
    model = load_model(run.folder / "folds/fold_00" / file_name(run.stem, "int8"))
    right = 0
    for utterance in run.utterances[0::2]:
        samples, _ = soundfile.read(utterance.path)
        answers = predict_recordings({"int8": model}, [samples])["int8"]
        right += CLASSES[answers[0].argmax()] == utterance.label
    right += sum(u.label == "grief" for u in run.utterances[1::2])  # as recorded
    int8 = content["by_name"]["int8"]
    assert int8["wa"]["value"] == pytest.approx(right / 12)
    assert int8["folds_rescored"] == [0]
    assert int8["folds_recorded"] == [1]
    keras = content["by_name"]["keras"]
    assert keras["wa"]["value"] == 1.0
    assert keras["ua_loss_points"] == 0.0
    assert int8["ua_loss_points"] == pytest.approx(100 * (1 - int8["ua"]["value"]))
    # Keras is always right here: agreement is accuracy
    assert int8["agreement"] == int8["wa"]["value"]
    assert int8["max_probability_difference"] > 0.1


def test_footprint_is_of_the_file(run: ToyRun) -> None:
    run.add_models()
    tflite_evaluate.main(["--run", str(run.folder)])
    row = run.result()["by_name"]["float32"]
    path = run.folder / row["file"]
    assert row["bytes"] == path.stat().st_size
    assert 0 < row["p50_ms"] <= row["p95_ms"]
    grown = row["memory_growth_bytes"]  # told by Linux alone
    assert grown is None if not Path("/proc/self/status").exists() else grown > 0


def test_table_markdown_and_plot_are_written(
    run: ToyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run.add_models()
    tflite_evaluate.main(["--run", str(run.folder), "--gate", "100"])
    screen = capsys.readouterr().out
    assert screen.splitlines()[0].split()[:3] == ["model", "UA", "%"]
    assert "1 + 1 recorded" in screen
    text = (run.folder / f"{run.stem}_TFLite.md").read_text()
    assert "| int8 |" in text
    assert "12 test utterances of 2 of 2 folds" in text
    assert "Toys." in text
    for suffix, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        plot = run.folder / f"{run.stem}_TFLite.{suffix}"
        assert plot.read_bytes().startswith(start)


def test_records_alone_need_no_corpus(run: ToyRun, tmp_path: Path) -> None:
    arguments = ["--run", str(run.folder), "--data_dir", str(tmp_path / "nowhere")]
    assert tflite_evaluate.main(arguments) == 1
    int8 = run.result()["by_name"]["int8"]
    assert int8["wa"]["value"] == pytest.approx(1 / 3)
    assert int8["folds_recorded"] == [0, 1]
    assert "bytes" not in int8


@pytest.mark.parametrize(("gate", "status"), [("66.6", 1), ("66.7", 0)])
def test_gate_of_a_complete_run(run: ToyRun, gate: str, status: int) -> None:
    # "grief" always: UA is 1/3, 66.67 points lost
    assert tflite_evaluate.main(["--run", str(run.folder), "--gate", gate]) == status
    assert run.result()["passes"] is (status == 0)


def test_partial_run_only_reports(
    run: ToyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    record_path(run.folder, 1).unlink()
    assert tflite_evaluate.main(["--run", str(run.folder)]) == 0
    assert run.result()["passes"] is None
    assert "not applied (1 of 2 folds)" in capsys.readouterr().out


def test_a_run_of_which_nothing_was_exported_is_not_judged(
    run: ToyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that was trained on PyTorch."""
    run.remove("float32", "int8")
    assert tflite_evaluate.main(["--run", str(run.folder)]) == 0
    assert run.result()["passes"] is None
    assert "not applied (nothing was exported in every fold)" in capsys.readouterr().out


def test_exactly_the_gate_is_within_it(
    run: ToyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.80 less 0.79 is more than a point in binary."""
    loss = {"ua_loss_points": 100 * (0.80 - 0.79)}
    assert loss["ua_loss_points"] > 1.0
    monkeypatch.setattr(evaluation, "compare", lambda *_: loss)
    rescored = evaluation.Rescored(
        run=load_run(run.folder), folds={name: [] for name in evaluation.NAMES}
    )
    assert evaluation.evaluate(rescored, 1.0)["passes"] is True


def test_run_that_tests_nobody_shows_size_and_speed(run: ToyRun) -> None:
    run.add_models()
    for fold in (0, 1):
        path = record_path(run.folder, fold)
        nobody = {"test": [], "labels": [], "speakers": []}
        empty = {"keras": [], "float32": [], "int8": []}
        content = json.loads(path.read_text()) | nobody | {"probabilities": empty}
        write_json(path, content)
    assert tflite_evaluate.main(["--run", str(run.folder)]) == 0
    row = run.result()["by_name"]["float32"]
    assert row["p50_ms"] > 0
    assert "ua" not in row


def test_model_without_recorded_answers_is_shown_where_every_fold_has_it(
    run: ToyRun,
) -> None:
    run.add_models()
    run.remove("int8")  # fold 1 has neither file nor answers
    tflite_evaluate.main(["--run", str(run.folder)])
    assert list(run.result()["by_name"]) == ["keras", "float32"]


def test_changed_corpus_is_refused(run: ToyRun) -> None:
    run.add_models()
    soundfile.write(run.utterances[0].path, np.full(2_000, 0.1), 16_000)
    with pytest.raises(InputError, match="TOYS has changed since this run"):
        tflite_evaluate.main(["--run", str(run.folder)])


def test_file_with_other_classes_is_refused(run: ToyRun) -> None:
    run.add_models()
    path = run.folder / "folds/fold_00" / file_name(run.stem, "float32")
    save_toy_model(path, classes=["a", "b", "c"])
    with pytest.raises(InputError, match=r"its classes are a, b, c, the run's are"):
        tflite_evaluate.main(["--run", str(run.folder)])


def test_model_on_a_corpus(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_toy_model(tmp_path / "m_fuse_float32.tflite")
    arguments = ["--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir)]
    assert tflite_evaluate.main(arguments) == 0
    shown = capsys.readouterr().out
    model, right = load_model(path), 0
    for name in CLASSES:
        for wav in (data_dir / "TOYS" / name).iterdir():
            [answer] = predict_recordings({"m": model}, [soundfile.read(wav)[0]])["m"]
            right += CLASSES[answer.argmax()] == name
    assert f" {100 * right / 12:.2f} [" in shown.splitlines()[2]  # WA
    assert "12 utterances of TOYS" in shown
    assert "Trained on" not in shown


def test_score_on_the_training_corpus_says_so(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_toy_model(tmp_path / "m.tflite", corpus={"name": "TOYS"})
    arguments = ["--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir)]
    tflite_evaluate.main(arguments)
    assert "this is no score on unseen speech" in capsys.readouterr().out


def test_model_of_another_project_with_labels(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(toy_model((1, *FrontEnd(duration_s=0.5).input_shape), 2))
    arguments = ["--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir)]
    with pytest.raises(InputError, match=r"does not name its classes.*--labels"):
        tflite_evaluate.main(arguments)
    with pytest.raises(InputError, match=r"share 0; at least two.*--labels"):
        tflite_evaluate.main([*arguments, "--labels", "anger,fear"])
    assert tflite_evaluate.main([*arguments, "--labels", "joy,rage"]) == 0
    shown = capsys.readouterr().out
    assert "8 utterances of TOYS" in shown
    assert "Left out, unknown to the model: grief (utterances: 4)." in shown


def test_classes_of_other_names_are_paired(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TOYS says joy, the model happiness; `boredom` no utterance has."""
    classes = ["happiness", "rage", "boredom"]
    path = save_toy_model(tmp_path / "m.tflite", classes=classes)
    arguments = ["--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir)]
    assert tflite_evaluate.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "8 utterances of TOYS" in shown
    assert "Classes of the model and the corpus: happiness = joy." in shown
    assert "Not in the corpus, counted as wrong where answered: boredom." in shown


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "101", "x"])
def test_a_gate_is_a_number_of_points(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tflite_evaluate.main(["--run", str(tmp_path), "--gate", text])
    assert "must be between 0 and 100" in capsys.readouterr().err


def test_options_of_the_other_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out -dn, -at"):
        tflite_evaluate.main(["--run", str(tmp_path), "-at", "impro"])
    with pytest.raises(InputError, match="needs --run"):
        tflite_evaluate.main(["--model", "m", "-dn", "TOYS", "--gate", "1"])


@pytest.mark.parametrize(
    "command", ["train.py --data_dir", "train.py 'a", "--accept_altered=1", "-h", ""]
)
def test_a_command_that_is_none_is_passed_over(command: str) -> None:
    args = tflite_evaluate.parse_args(["--run", "a"])
    data_paths = tflite_evaluate.data_paths_of(args, command)
    assert data_paths.data_dir == data_paths.derived_dir == PROJECT / "data"


def test_a_run_is_read_where_it_was_trained_and_nothing_written_there() -> None:
    command = "train.py --data_dir=/a --derived_dir /b --accept_altered --epochs 3"
    args = tflite_evaluate.parse_args(["--run", "r"])
    data_paths = tflite_evaluate.data_paths_of(args, command)
    assert (data_paths.data_dir, data_paths.derived_dir) == (
        Path("/a"),
        PROJECT / "data",
    )
    assert data_paths.accept_altered
    args = tflite_evaluate.parse_args(["--run", "r", "--data_dir", "c"])
    assert tflite_evaluate.data_paths_of(args, command).data_dir == Path("c")


def test_a_labels_file_is_found_from_any_folder(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(toy_model((1, *FrontEnd(duration_s=0.5).input_shape), 3))
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("joy\n-rage, cold\nrage\n")
    arguments = ["--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir)]
    assert tflite_evaluate.main([*arguments, "--labels", "names.txt"]) == 0


def ask_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tflite_evaluate.py", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("content", [b"", b"RIFF----WAVE", b"\x1c\0\0\0TFL3" * 99])
def test_no_model_at_all_is_one_line(
    data_dir: Path, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    done = ask_command("--model", str(path), "-dn", "TOYS", "--data_dir", str(data_dir))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --run --model is required"),
        (["--model", "m.tflite"], "add -dn NAME"),
        (["--run", "r", "-dn", "DEMO"], "leave out -dn"),
        (["--run", "no/such/run"], "give a run folder"),
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], message: str) -> None:
    done = ask_command(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_tensorflow_is_not_imported(run: ToyRun) -> None:
    run.add_models()
    code = (
        "import sys, tflite_evaluate; tflite_evaluate.main(sys.argv[1:]);"
        "loaded = {'tensorflow', 'keras', 'librosa'} & set(sys.modules);"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--run", run.folder],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_failed_measurement_tells_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No such file"):
        evaluation.footprint(tmp_path / "absent.tflite")
