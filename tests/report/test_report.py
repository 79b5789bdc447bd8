"""The report and metrics.json of a run, and what they must say."""

import json
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


def test_render_writes_report_metrics_and_pictures(tmp_path: Path) -> None:
    rendered = render(trained_run(tmp_path))
    assert rendered.report == tmp_path / f"{STEM}_Report.txt"
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        f"{STEM}_Report.txt",
        f"{STEM}_TotalConfusionMatrix.pdf",
        f"{STEM}_TotalConfusionMatrixNormalized.png",
        f"{STEM}_LearningCurves.pdf",
        "metrics.json",
    } <= names
    assert not [name for name in names if name.endswith(".part")]
    assert json.loads((tmp_path / "metrics.json").read_text()) == rendered.metrics


def test_scores_are_those_of_scikit_learn_and_of_metrics_json(tmp_path: Path) -> None:
    folder = trained_run(tmp_path)
    rows, text = load_run(folder).rows(), text_of(folder)
    classification = sklearn.metrics.classification_report(
        rows.true, rows.predicted, target_names=CLASSES, digits=4
    )
    assert classification.rstrip() in text
    section = text.split("Scores in %, pooled over 48 test rows\n")[1]
    headline_scores = summary(load_run(folder))["headline"]
    for name, label in SCORES.items():
        line = next(line for line in section.splitlines() if line.startswith(label))
        value, low, high = (headline_scores[name][k] for k in ("value", "low", "high"))
        cells = f"{100 * value:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
        assert " ".join(line.removeprefix(label).split()) == cells
    assert "delete-one-speaker jackknife" in section
    assert "unit: the speaker, 4" in section


def test_mean_and_deviation_over_folds(tmp_path: Path) -> None:
    folder = trained_run(tmp_path)
    rows = load_run(folder).rows()
    right = (rows.predicted == rows.true).reshape(4, -1).mean(axis=1)
    text = text_of(folder).split("By fold, in %\n")[1].splitlines()
    mean = next(line for line in text if line.startswith("mean")).split()
    deviation = next(line for line in text if line.startswith("sd")).split()
    assert mean[2] == f"{100 * right.mean():.2f}"
    assert deviation[2] == f"{100 * right.std(ddof=1):.2f}"


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
        ({"notes": ["Ten sentences recur."]}, "Ten sentences recur."),
    ],
)
def test_an_audit_that_lacks_keys(
    tmp_path: Path, audit: dict[str, list[str]], expected: str
) -> None:
    text = text_of(trained_run(tmp_path, extra={"audit": audit}))
    assert text.endswith(f"----------\n{expected}\n")


def test_a_partial_run_says_so_first(tmp_path: Path) -> None:
    text = text_of(trained_run(tmp_path, folds_done=(0, 3)))
    assert text.startswith("PARTIAL RUN: 2 of 4 folds are done (missing: 1, 2).")
    trained_run(tmp_path, folds_done=(1, 2))  # the missing ones
    assert "PARTIAL" not in text_of(tmp_path)


def test_a_class_that_was_not_tested_is_named(tmp_path: Path) -> None:
    folder = trained_run(tmp_path, folds_done=(0,))
    edit_record(folder, 0, labels=[0] * 6 + [2] * 6)
    text = text_of(folder)
    assert "Not tested: sadness." in text
    assert "not tested" in text.split("By class")[1]


def test_unknown_speakers_leave_their_section_out(tmp_path: Path) -> None:
    folder = trained_run(tmp_path)
    assert "By speaker" in text_of(folder)
    for fold in range(4):
        edit_record(folder, fold, speakers=[None] * 12)
    text = text_of(folder)
    assert "By speaker" not in text
    assert "unit: the utterance" in text


def test_protocol_all_has_no_score_by_design(tmp_path: Path) -> None:
    folder = trained_run(tmp_path, protocol="all", chosen_on="none", folds_done=(0,))
    rendered = render(folder)
    text = rendered.report.read_text()
    assert "No score, by design" in text
    assert "Classification report" not in text
    assert "no score, by design" in rendered.headline
    assert rendered.metrics["precisions"] == {}
    assert not list(tmp_path.glob("*Confusion*"))


def test_each_exported_model_has_a_short_score(tmp_path: Path) -> None:
    run = load_run(trained_run(tmp_path))
    scores = metrics_of(run)["precisions"]
    keras, int8 = run.rows(), run.rows("int8")
    assert scores["keras"]["answers_unlike_keras"] == 0
    differing = int(np.sum(keras.predicted != int8.predicted))
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


def test_the_headline_is_one_line_with_verdict_and_note(tmp_path: Path) -> None:
    line = headline(metrics_of(load_run(trained_run(tmp_path))))
    assert line.startswith("DEMO; UA ")
    assert "4 of 4 folds, published" in line
    assert VERDICT in line
    assert NOTE.rstrip(".") in line
    assert "\n" not in line


def test_records_alone_are_enough(tmp_path: Path) -> None:
    folder = trained_run(tmp_path)
    whole = metrics_of(load_run(folder))
    (folder / "config.json").unlink()
    alone = metrics_of(load_run(folder))
    assert alone["commit"] == "abcdef123456"
    assert alone["keras"] == whole["keras"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch_kept": 5}, "'epoch_kept' must be one of the 5 epochs"),
        ({"history": {"loss": [1.0], "accuracy": []}}, "one value per epoch"),
        ({"history": [1.0]}, "'history' must be of type dict"),
    ],
)
def test_a_damaged_history_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = trained_run(tmp_path)
    edit_record(folder, 1, **changes)
    with pytest.raises(InputError, match=message):
        render(folder)
    assert not list(tmp_path.glob("*Report.txt"))


@pytest.mark.parametrize("command", [["utils.report"], ["utils.report.plots", "--run"]])
def test_a_folder_without_records_is_one_line_and_status_2(
    tmp_path: Path, command: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "give a run folder" in done.stderr
