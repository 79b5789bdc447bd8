"""The report and metrics.json of a run, and what they must say."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from synthetic_run import CLASSES, NOTE, VERDICT, edit_record, trained_run
from toy_tflite import toy_model

from hyperparameters import FrontEnd, InputError
from utils.files import PROJECT, write_atomic
from utils.model_files.metadata import attach_metadata, read_metadata, without_metadata
from utils.model_files.tflite import file_name
from utils.report.__main__ import main
from utils.report.chosen_models import place_models
from utils.report.render import headline, metrics_of, render
from utils.report.text import report_text
from utils.runs.folder import fold_folder
from utils.runs.records import load_run
from utils.scores.metrics import SCORES, summary

STEM = "DEMO_3.0s_Segmented_cross_entropy"


def text_of(folder: Path) -> str:
    """The report of a run folder, nothing written."""
    run = load_run(folder)
    return report_text(run, metrics_of(run))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run, rendered; not to be changed."""
    return render(trained_run(tmp_path_factory.mktemp("whole"))).report.parent


def test_a_run_folder_gets_report_metrics_and_pictures(whole: Path) -> None:
    pictures = (
        *("TotalConfusionMatrix", "TotalConfusionMatrixNormalized"),
        *("LearningCurves", "Recall"),
    )
    names = {f"{STEM}_{name}.{kind}" for name in pictures for kind in ("pdf", "png")}
    assert {path.name for path in whole.iterdir()} == {
        *names,
        *("config.json", "folds", "metrics.json"),
        *("report.html", f"{STEM}_Report.txt"),
    }
    assert all((whole / name).stat().st_size > 5_000 for name in names)
    run = load_run(whole)
    assert json.loads((whole / "metrics.json").read_text()) == metrics_of(run)
    assert (whole / f"{STEM}_Report.txt").read_text() == text_of(whole)


def test_scores_are_those_of_scikit_learn_and_of_metrics_json(whole: Path) -> None:
    rows, text = load_run(whole).rows(), text_of(whole)
    classification = sklearn.metrics.classification_report(
        rows.true, rows.predicted, target_names=CLASSES, digits=4
    )
    assert classification.rstrip() in text
    section = text.split("Scores in %, pooled over 48 test rows\n")[1]
    for name, score in summary(load_run(whole))["headline"].items():
        value, low, high = (100 * score[key] for key in ("value", "low", "high"))
        lines = [" ".join(line.split()) for line in section.splitlines()]
        assert f"{SCORES[name]} {value:.2f} [{low:.2f}, {high:.2f}]" in lines
    assert "delete-one-speaker jackknife" in section
    assert "unit: the speaker, 4" in section
    right = (rows.predicted == rows.true).reshape(4, -1).mean(axis=1)
    lines = [line.split() for line in text.split("By fold, in %\n")[1].splitlines()]
    found = {line[0]: line[2] for line in lines if line and line[0] in ("mean", "sd")}
    expected = {"mean": right.mean(), "sd": right.std(ddof=1)}
    assert found == {name: f"{100 * value:.2f}" for name, value in expected.items()}


def test_the_header_has_verdict_note_protocol_and_origin(tmp_path: Path) -> None:
    folder = trained_run(tmp_path)
    edit_record(folder, 2, machine="another processor")
    for fold in (0, 1):
        edit_record(folder, fold, backend="jax", device="CPU", threads=1)
    text = " ".join(text_of(folder).split())
    assert text.startswith(
        f"Light-SERNet on DEMO ==================== Verdict {VERDICT} Corpus DEMO, "
        f"48 utterances, 3 classes Note {NOTE} Protocol published: each fold has one "
        "speaker's class counts"
    )
    for part in (
        "best; chosen on: test",
        "seed 42, 5 epochs",
        "Folds 4 of 4",
        "Command train.py -dn DEMO Commit abcdef123456",
        "Versions python 3.11.1, keras 3.15.0 Machine",
        "a processor, 2 cores, Linux; another processor",
        "Computed by jax, CPU, threads: 1 Finished",
        "2026-01-02T03:04:05",
        "240 s over the folds, 360 CPU-seconds",
        "Leak audit ---------- fold test speakers shared 0 12",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        ({}, "No audit recorded."),
        ({"verdict": "", "lines": []}, "No audit recorded."),
        ({"notes": ["Ten sentences recur."]}, "Ten sentences recur."),
    ],
)
def test_an_audit_that_lacks_keys(
    tmp_path: Path, audit: dict[str, list[str]], expected: str
) -> None:
    text = text_of(trained_run(tmp_path, extra={"audit": audit}))
    assert text.endswith(f"----------\n{expected}\n")


def test_a_partial_run_says_so_first(tmp_path: Path, whole: Path) -> None:
    text = text_of(trained_run(tmp_path, folds_done=(0, 3)))
    assert text.startswith("PARTIAL RUN: 2 of 4 folds are done (missing: 1, 2).")
    assert "PARTIAL" not in text_of(whole)


def test_an_untested_class_and_unknown_speakers(tmp_path: Path, whole: Path) -> None:
    folder = trained_run(tmp_path, folds_done=(0,))
    edit_record(folder, 0, labels=[0] * 6 + [2] * 6, speakers=[None] * 12)
    text = text_of(folder)
    assert "Not tested: sadness." in text
    assert "not tested" in text.split("By class")[1]
    assert "unit: the utterance" in text
    assert "By speaker" not in text
    assert "By speaker" in text_of(whole)


def test_protocol_all_has_no_score_by_design(tmp_path: Path) -> None:
    folder = trained_run(tmp_path, protocol="all", folds_done=(0,))
    rendered = render(folder)
    text = rendered.report.read_text()
    assert "No score, by design" in text
    assert "Classification report" not in text
    assert "no score, by design" in rendered.headline
    assert rendered.metrics["precisions"] == {}


def test_each_exported_model_has_a_short_score(whole: Path) -> None:
    run = load_run(whole)
    scores = metrics_of(run)["precisions"]
    keras, int8 = run.rows(), run.rows("int8")
    differing = int(np.sum(keras.predicted != int8.predicted))
    assert scores["keras"]["answers_unlike_keras"] == 0
    assert scores["int8"]["answers_unlike_keras"] == differing > 0
    assert scores["int8"]["wa"] == np.mean(int8.predicted == int8.true)


def test_models_of_a_fold_chosen_before_say_so(tmp_path: Path) -> None:
    """As if the record of another fold came from a machine without its models."""
    run = load_run(trained_run(tmp_path))
    front_end = FrontEnd()
    metadata = {
        "format": 1,
        "classes": list(CLASSES),
        "front_end": asdict(front_end),
        "input": "features",
        "fold": 0,
        "run": tmp_path.name,
    }
    model = toy_model((1, *front_end.input_shape), len(CLASSES))
    content = attach_metadata(model, metadata)
    name = file_name(run.file_stem, "float32")
    write_atomic(fold_folder(tmp_path, 0) / name, content)
    [placed] = place_models(run, summary(run))
    assert placed == tmp_path / name
    reason = read_metadata(placed)["fold_chosen_for"]
    assert reason == "best accuracy on its own test set, as published"
    curves = run.records[0]["history"] | {"validation_accuracy": [0.1] * 5}
    edit_record(tmp_path, 0, history=curves)
    run = load_run(tmp_path)
    place_models(run, summary(run))
    then = read_metadata(placed)
    assert then["fold_chosen_for"] == "chosen before; fold 1 stands for the run now"
    assert without_metadata(placed.read_bytes()) == without_metadata(content)
    of_another = attach_metadata(without_metadata(content), then | {"run": "another"})
    placed.write_bytes(of_another)
    assert place_models(run, summary(run)) == []
    assert placed.read_bytes() == of_another
    linear = f"{run.file_stem}_functionals.npz"
    write_atomic(fold_folder(tmp_path, 1) / linear, b"of the chosen fold")
    assert place_models(run, summary(run)) == [tmp_path / linear]
    assert (tmp_path / linear).read_bytes() == b"of the chosen fold"


def test_the_headline_is_one_line_with_verdict_and_note(whole: Path) -> None:
    line = headline(metrics_of(load_run(whole)))
    assert line.startswith("DEMO; UA ")
    for part in ("4 of 4 folds, published", VERDICT, NOTE.rstrip(".")):
        assert part in line
    assert "\n" not in line


def test_records_alone_are_enough(tmp_path: Path, whole: Path) -> None:
    folder = trained_run(tmp_path)
    (folder / "config.json").unlink()
    alone = metrics_of(load_run(folder))
    assert alone["commit"] == "abcdef123456"
    assert alone["keras"] == metrics_of(load_run(whole))["keras"]


def test_a_damaged_run_gets_no_report(tmp_path: Path) -> None:
    edit_record(trained_run(tmp_path), 1, epoch_kept=5)
    with pytest.raises(InputError, match="'epoch_kept' must be one of the 5 epochs"):
        render(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "folds"}


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a run folder"):
        main([str(tmp_path)])


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`")
def test_shared_memory_that_may_not_be_written_changes_nothing(tmp_path: Path) -> None:
    folder = trained_run(tmp_path, folds_done=(0, 1))
    script = 'mount -t tmpfs -o ro tmpfs /dev/shm || exit 77; "$@"'
    words = [sys.executable, "-m", "utils.report", str(folder)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
