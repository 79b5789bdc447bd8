"""Model files scored on unseen utterances: of a run's folds, or on a corpus."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from page_reader import Reader
from synthetic_run import edit_record, record
from toy_tflite import toy_model

import tflite_evaluate
from benchmarks import conditions, hearing
from hyperparameters import FrontEnd, InputError, from_flat, to_flat
from utils.audio.functionals import NUM_FUNCTIONALS
from utils.audio.rooms import Room, name_number
from utils.corpora import load_manifest
from utils.corpora.user_corpus import folder_corpus
from utils.files import PROJECT, write_json
from utils.model_files.linear import (
    LINEAR_SUFFIX,
    LinearModel,
    recording_functionals,
    save_linear,
)
from utils.model_files.metadata import attach_metadata
from utils.model_files.tflite import (
    Classifier,
    file_name,
    load_model,
    predict_recordings,
    predict_utterance,
)
from utils.runs.folder import file_stem, hash_of, record_path
from utils.runs.records import load_run
from utils.scores import evaluation
from utils.training.linear_model import fit_linear_model

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
            "hash": hash_of(SETTINGS, manifest.digest),
            "settings": to_flat(SETTINGS),
            "classes": list(CLASSES),
            "corpus": {"name": "TOYS", "digest": manifest.digest, "note": "Toys."},
        }
        write_json(folder / "config.json", shared | {"num_folds": 2})
        for fold in (0, 1):
            tested = self.utterances[fold::2]
            # recorded: Keras is right, the others always say "grief"
            right = [[0.8 if u.label == c else 0.1 for c in CLASSES] for u in tested]
            grief = [[0.8, 0.1, 0.1] for _ in tested]
            tables = {"keras": right, "float32": right, "int8": grief}
            rows = [(u.id, None, CLASSES.index(u.label), 0) for u in tested]
            changed = shared | {"chosen_on": "test", "probabilities": tables}
            write_json(record_path(folder, fold), record(fold, rows, 2, **changed))

    def add_models(self) -> None:
        for name in ("float32", "int8"):
            path = self.folder / "folds" / "fold_00" / file_name(self.stem, name)
            save_toy_model(path, is_int8=name == "int8")

    def edit_config(self, **changes: Any) -> None:
        path = self.folder / "config.json"
        write_json(path, json.loads(path.read_text()) | changes)

    def remove(self, *sources: str) -> None:
        """Forget some models' recorded answers."""
        for content in load_run(self.folder).records:
            tables = content["probabilities"]
            kept = {name: tables[name] for name in tables if name not in sources}
            edit_record(self.folder, content["fold"], probabilities=kept)

    def evaluate(self, *options: str) -> int:
        arguments = ["--run", str(self.folder), "--data_dir", str(self.data_dir)]
        return tflite_evaluate.main([*arguments, *options])

    def result(self) -> dict[str, Any]:
        content = json.loads((self.folder / f"{self.stem}_TFLite.json").read_text())
        content["by_name"] = {row["model"]: row for row in content["models"]}
        return content


def number_right(model: Classifier, paths: list[Path]) -> int:
    """How many recordings a model gives the class of their folder."""
    recordings = [soundfile.read(path)[0] for path in paths]
    answers = predict_recordings({"m": model}, recordings)["m"].argmax(axis=1)
    return sum(CLASSES[a] == p.parent.name for a, p in zip(answers, paths, strict=True))


@pytest.fixture
def run(tmp_path: Path, data_dir: Path) -> ToyRun:
    return ToyRun(tmp_path / "run", data_dir)


def test_files_are_scored_again_and_the_rest_is_recorded(
    run: ToyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run.add_models()
    assert run.evaluate() == 1
    model = load_model(run.folder / "folds/fold_00" / file_name(run.stem, "int8"))
    right = number_right(model, [u.path for u in run.utterances[0::2]])
    right += sum(u.label == "grief" for u in run.utterances[1::2])  # as recorded
    keras, float32, int8 = (
        run.result()["by_name"][n] for n in ("keras", "float32", "int8")
    )
    assert int8["wa"]["value"] == pytest.approx(right / 12)
    assert (int8["folds_rescored"], int8["folds_recorded"]) == ([0], [1])
    assert (keras["wa"]["value"], keras["ua_loss_points"]) == (1.0, 0.0)
    assert int8["ua_loss_points"] == pytest.approx(100 * (1 - int8["ua"]["value"]))
    assert int8["agreement"] == int8["wa"]["value"]  # Keras is always right here
    assert int8["max_probability_difference"] > 0.1
    # the footprint is that of the file
    assert float32["bytes"] == (run.folder / float32["file"]).stat().st_size
    assert 0 < float32["p50_ms"] <= float32["p95_ms"]
    grown = float32["memory_growth_bytes"]  # only Linux reports it
    assert grown is None if not Path("/proc/self/status").exists() else grown > 0
    # table and Markdown
    screen = capsys.readouterr().out
    assert screen.splitlines()[0].split()[:3] == ["model", "UA", "%"]
    assert "1 + 1 recorded" in screen
    text = (run.folder / f"{run.stem}_TFLite.md").read_text()
    for part in ("| int8 |", "12 test utterances of 2 of 2 folds", "Toys."):
        assert part in text
    assert "\nToys.\n" in screen
    page = run.folder / f"{run.stem}_TFLite.html"
    assert screen.splitlines()[-1] == str(page)
    found = Reader(page.read_text())
    assert not {"script", "link", "img"} & {tag for tag, _ in found.tags}
    shown = " ".join(found.texts)
    for part in ("1 + 1 recorded", "int8: true classes in rows", "missed (worst: int8"):
        assert part in shown
    dots = [tag for tag in found.tags if tag[1].get("class") == "dot"]
    assert len(dots) == 3  # UA of Keras, float32, int8


def test_records_alone_need_no_corpus(run: ToyRun, tmp_path: Path) -> None:
    assert run.evaluate("--data_dir", str(tmp_path / "nowhere")) == 1
    int8 = run.result()["by_name"]["int8"]
    assert int8["wa"]["value"] == pytest.approx(1 / 3)
    assert int8["folds_recorded"] == [0, 1]
    assert "bytes" not in int8


@pytest.mark.parametrize(("gate", "status"), [("66.6", 1), ("66.7", 0)])
def test_gate_of_a_complete_run(run: ToyRun, gate: str, status: int) -> None:
    # "grief" always: UA is 1/3, 66.67 points lost
    assert run.evaluate("--gate", gate) == status
    assert run.result()["passes"] is (status == 0)


@pytest.mark.parametrize(
    ("is_partial", "reason"),
    [(True, "1 of 2 folds"), (False, "nothing was exported in every fold")],
)
def test_runs_that_are_not_judged(
    run: ToyRun, capsys: pytest.CaptureFixture[str], is_partial: bool, reason: str
) -> None:
    """An unfinished run, and one without exported models, as from PyTorch."""
    if is_partial:
        record_path(run.folder, 1).unlink()
    else:
        run.remove("float32", "int8")
    assert run.evaluate() == 0
    assert run.result()["passes"] is None
    assert f"not applied ({reason})" in capsys.readouterr().out


def test_exactly_the_gate_is_within_it(
    run: ToyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.80 less 0.79 is more than a point in binary."""
    loss = {"ua_loss_points": 100 * (0.80 - 0.79)}
    assert loss["ua_loss_points"] > 1.0
    monkeypatch.setattr(evaluation, "compare", lambda *_: loss)
    content = evaluation.evaluate(load_run(run.folder), {}, gate_points=1.0)
    assert content["passes"] is True


def test_run_that_tests_nobody_shows_size_and_speed(run: ToyRun) -> None:
    run.add_models()
    settings = from_flat({**to_flat(SETTINGS), "protocol": "all"})
    changes = {
        "settings": to_flat(settings),
        "hash": hash_of(settings, load_run(run.folder).corpus_digest),
    }
    run.edit_config(**changes)
    for fold in (0, 1):
        empty = {"keras": [], "float32": [], "int8": []}
        nobody = {"test": [], "labels": [], "speakers": [], "probabilities": empty}
        edit_record(run.folder, fold, chosen_on="none", **nobody, **changes)
    assert run.evaluate() == 0
    row = run.result()["by_name"]["float32"]
    assert row["p50_ms"] > 0
    assert "ua" not in row


def test_model_without_recorded_answers_is_shown_where_every_fold_has_it(
    run: ToyRun,
) -> None:
    run.add_models()
    run.remove("int8")  # fold 1 has neither file nor answers
    run.evaluate()
    assert list(run.result()["by_name"]) == ["keras", "float32"]


def test_a_changed_corpus_is_refused(run: ToyRun) -> None:
    run.add_models()
    soundfile.write(run.utterances[0].path, np.full(2_000, 0.1), 16_000)
    message = "TOYS has changed since this run was trained; .* with --data_dir$"
    with pytest.raises(InputError, match=message):
        run.evaluate()


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_missing_corpus_names_the_recorded_folder_and_leaves_it_alone(
    run: ToyRun, tmp_path: Path, is_changed: bool
) -> None:
    run.add_models()
    run.edit_config(paths={"data_dir": str(run.data_dir), "manifest": "a.csv"})
    elsewhere = tmp_path / "elsewhere"
    if is_changed:
        shutil.copytree(run.data_dir, elsewhere)
        next(elsewhere.glob("TOYS/joy/*")).unlink()
    with pytest.raises(InputError) as error:
        run.evaluate("--data_dir", str(elsewhere))
    recorded = f"with --data_dir {run.data_dir} --manifest a.csv"
    assert str(error.value).endswith(recorded)


def test_file_with_other_classes_is_refused(run: ToyRun) -> None:
    run.add_models()
    path = run.folder / "folds/fold_00" / file_name(run.stem, "float32")
    save_toy_model(path, classes=["a", "b", "c"])
    with pytest.raises(InputError, match=r"its classes are a, b, c, the run's are"):
        run.evaluate()


SCALE = {"mean": [0.0] * 40, "deviation": [1.0] * 40, "recordings_needed": [1.0] * 40}
SLOW = {"sample_rate_hz": 8_000, "mel_high_hz": 3_000.0, "frame_length_samples": 512}


@pytest.mark.parametrize(
    "described",
    [
        {"front_end": {"duration_s": 0.1, "window": "hamming"}},
        {"front_end": {"duration_s": 0.1, "hop_samples": 128, "fft_size": 512, **SLOW}},
        {"voices": SCALE},
    ],
)
def test_file_of_other_inputs_is_refused(
    run: ToyRun, described: dict[str, Any]
) -> None:
    """Of the same shape, and from another run: its scores would be wrong."""
    run.add_models()
    path = run.folder / "folds/fold_00" / file_name(run.stem, "int8")
    save_toy_model(path, is_int8=True, **described)
    with pytest.raises(InputError, match=r"int8\.tflite: its front-end or scaling is"):
        run.evaluate()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"fold": 1}, "is a model of fold 1, not 0"),
        ({"fold": 0, "protocol": "all"}, "is a model of protocol all, not published"),
        ({"fold": 0, "seed": 43}, "is a model of seed 43, not 42"),
        ({"num_folds": 5}, "is a model of num_folds 5, not 2"),
        ({"started_from": {"sha256": "ab"}}, "is a model of start_from ab, not none"),
        ({"started_from": "ab"}, "is a model of start_from ab, not none"),
        ({"started_from": {}}, "is a model of start_from None, not none"),
    ],
)
def test_a_model_that_learnt_what_is_tested_is_refused(
    run: ToyRun, described: dict[str, Any], message: str
) -> None:
    run.add_models()
    path = run.folder / "folds/fold_00" / file_name(run.stem, "float32")
    save_toy_model(path, **described)
    with pytest.raises(InputError, match=message):
        run.evaluate()


def on_toys(path: Path, data_dir: Path, *options: str) -> list[str]:
    """Arguments that score a model on TOYS."""
    where = ["-dn", "TOYS", "--data_dir", str(data_dir)]
    return ["--model", str(path), *where, *options]


def test_model_on_a_corpus(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_toy_model(tmp_path / "m_fuse_float32.tflite")
    assert tflite_evaluate.main(on_toys(path, data_dir)) == 0
    shown = capsys.readouterr().out
    right = number_right(load_model(path), list(data_dir.glob("TOYS/*/*")))
    assert f" {100 * right / 12:.2f} [" in shown.splitlines()[2]  # WA
    assert "12 utterances of TOYS" in shown
    assert "Trained on" not in shown


def test_page_of_a_model_on_a_corpus(data_dir: Path, tmp_path: Path) -> None:
    path = save_toy_model(tmp_path / "m.tflite", corpus={"name": "TOYS"})
    page = tmp_path / "pages" / "m.html"
    assert tflite_evaluate.main(on_toys(path, data_dir, "--page", str(page))) == 0
    found = Reader(page.read_text())
    text = " ".join(found.texts)
    for part in (
        "m.tflite on TOYS",
        "this is no score on unseen speech",
        "Confusion matrix",
        "By class, in %",
        "By duration, in %",
        "Corpus TOYS, 12 utterances scored",
    ):
        assert part in text
    assert not {"script", "link", "img"} & {tag for tag, _ in found.tags}
    players = found.sources("audio")
    assert players
    for source in players:
        assert (page.parent / source).is_file()


def test_score_on_the_training_corpus_says_so(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_toy_model(tmp_path / "m.tflite", corpus={"name": "TOYS"})
    tflite_evaluate.main(on_toys(path, data_dir))
    assert "this is no score on unseen speech" in capsys.readouterr().out


def test_model_of_another_project_with_labels(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(toy_model((1, *FrontEnd(duration_s=0.5).input_shape), 2))
    with pytest.raises(InputError, match=r"does not name its classes.*--labels"):
        tflite_evaluate.main(on_toys(path, data_dir))
    with pytest.raises(InputError, match=r"share 0; at least two.*--labels"):
        tflite_evaluate.main(on_toys(path, data_dir, "--labels", "anger,fear"))
    assert tflite_evaluate.main(on_toys(path, data_dir, "--labels", "joy,rage")) == 0
    shown = capsys.readouterr().out
    assert "8 utterances of TOYS" in shown
    assert "Left out, unknown to the model: grief (utterances: 4)." in shown


def test_classes_of_other_names_are_paired(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TOYS says joy, the model happiness; `boredom` no utterance has."""
    classes = ["happiness", "rage", "boredom"]
    path = save_toy_model(tmp_path / "m.tflite", classes=classes)
    assert tflite_evaluate.main(on_toys(path, data_dir)) == 0
    shown = capsys.readouterr().out
    assert "8 utterances of TOYS" in shown
    assert "Classes of the model and the corpus: happiness = joy." in shown
    assert "Not in the corpus, counted as wrong if predicted: boredom." in shown


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "101", "x"])
def test_a_gate_is_a_number_of_points(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tflite_evaluate.main(["--run", str(tmp_path), "--gate", text])
    assert "must be between 0 and 100" in capsys.readouterr().err


def test_a_labels_file_is_found_from_any_folder(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(toy_model((1, *FrontEnd(duration_s=0.5).input_shape), 3))
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("joy\n-rage, cold\nrage\n")
    assert tflite_evaluate.main(on_toys(path, data_dir, "--labels", "names.txt")) == 0


@pytest.mark.parametrize("content", [b"", b"RIFF----WAVE", b"\x1c\0\0\0TFL3" * 99])
def test_no_model_at_all_is_refused(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        tflite_evaluate.main(on_toys(path, data_dir))
    assert capfd.readouterr() == ("", "")  # nothing from the native library either


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m.tflite"], "add -dn NAME"),
        (["--run", "r", "-dn", "DEMO"], "leave out -dn"),
        (["--run", "r", "-at", "impro"], "leave out -dn, -at"),
        (["--model", "m", "-dn", "TOYS", "--gate", "1"], "needs --run"),
        (["--model", "m", "-dn", "TOYS", "--page", "m.txt"], "ends in .html"),
        (["--run", "r", "--page", "m.html"], "--run writes its own"),
        (["--run", "no/such/run"], "give a run folder"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tflite_evaluate.main(arguments)


def test_tensorflow_is_not_imported(run: ToyRun) -> None:
    run.add_models()
    code = (
        "import sys, tflite_evaluate; tflite_evaluate.main(sys.argv[1:]);"
        "loaded = {'tensorflow', 'keras', 'librosa'} & set(sys.modules);"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--run", run.folder, "--data_dir", run.data_dir],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_failed_measurement_tells_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^\S*absent\.tflite: No such file"):
        evaluation.footprint(tmp_path / "absent.tflite")


def test_hearing_compares_centre_and_overlapping_segments(
    run: ToyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--run", str(run.folder), "--data_dir", str(run.data_dir)]
    with pytest.raises(InputError, match="no fold has its float32 model file"):
        hearing.main(arguments)
    run.add_models()  # of fold 0
    assert hearing.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 folds" in shown
    model = load_model(run.folder / "folds/fold_00" / file_name(run.stem, "float32"))
    recordings = {u.id: soundfile.read(u.path)[0] for u in run.utterances[0::2]}
    labels = {u.id: CLASSES.index(u.label) for u in run.utterances}
    longer = [name for name in recordings if len(recordings[name]) > 1_600]
    assert 0 < len(longer) < len(recordings)
    found = [line.split(" | ") for line in shown.splitlines() if " WA % " in line]
    for cells, names in zip(found, (list(recordings), longer), strict=True):
        assert int(cells[1]) == len(names)
        for cell, mode in zip(cells[3:5], (1, 2), strict=True):
            right = [
                predict_utterance(model, recordings[name], mode).argmax()
                == labels[name]
                for name in names
            ]
            assert cell.startswith(f"{100 * np.mean(right):.2f} [")


def test_copies_under_other_conditions_are_scored_out_of_fold(
    run: ToyRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--run", str(run.folder), "--data_dir", str(run.data_dir)]
    run.add_models()  # of fold 0
    room = conditions.CONDITIONS[3]._replace(name="noise")
    monkeypatch.setattr(conditions, "CONDITIONS", (conditions.CONDITIONS[0], room))
    with pytest.raises(InputError, match="fold 1 has no float32 file"):
        conditions.main(arguments)
    with pytest.raises(InputError, match="--files must be at least 1, got 0"):
        conditions.main([*arguments, "--files", "0"])
    folds = run.folder / "folds"
    random = np.random.RandomState(1)
    rows = random.standard_normal((1, 30, NUM_FUNCTIONALS)).astype(np.float32)
    linear = fit_linear_model(rows, ["a", "b"] * 15, np.arange(30) % 3, CLASSES)
    save_linear(folds / "fold_00" / f"{run.stem}{LINEAR_SUFFIX}", linear)
    shutil.copytree(folds / "fold_00", folds / "fold_01")
    assert conditions.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    model = load_model(folds / "fold_00" / file_name(run.stem, "float32"))
    rate_hz = model.front_end.sample_rate_hz
    for name in ("as recorded", "noise"):
        recordings = [soundfile.read(u.path)[0] for u in run.utterances]
        if name == "noise":
            recordings = [
                Room(10.0).place(
                    samples, rate_hz, np.random.RandomState([name_number(u.id)])
                )
                for u, samples in zip(run.utterances, recordings, strict=True)
            ]
        [row] = [line for line in lines if line.startswith(f"| {name} |")]
        cells = _scores_of_copies(run, model, linear, recordings)
        assert row == f"| {name} | {' | '.join(cells)} | 100% |"  # too short


def _scores_of_copies(
    run: ToyRun, model: Any, linear: LinearModel, recordings: list[np.ndarray]
) -> list[str]:
    network = predict_recordings({"m": model}, recordings)["m"]
    rate_hz = model.front_end.sample_rate_hz
    beside = linear.predict(
        np.array([recording_functionals(samples, rate_hz) for samples in recordings])
    )
    labels = np.array([CLASSES.index(u.label) for u in run.utterances])
    expected = []
    for found in (network, beside, (network + beside) / 2):
        right = found.argmax(axis=1) == labels
        ua = np.mean([np.mean(right[labels == n]) for n in np.unique(labels)])
        expected.append(f"{100 * ua:.1f}")
    return expected
