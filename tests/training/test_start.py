"""Training from a starting model: its weights, its classes, what the audit says."""

import dataclasses
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import trained_run
from training_runs import (
    StopAfter,
    TrainedDemo,
    make_job,
    read_record,
    results,
    run_here,
)

import train
from hyperparameters import InputError, from_flat
from models import build_light_sernet
from utils.cli import UNPRINTABLE
from utils.corpora import emo_db
from utils.corpora.manifest import Manifest, Utterance
from utils.files import LFS_START, PROJECT, sha256
from utils.model_files.keras_model import read_keras
from utils.model_files.starting import StartingModel, read_starting_model
from utils.model_files.tflite import load_model
from utils.protocols.audit import audit
from utils.protocols.command import settings_and_start
from utils.protocols.folds import make_folds
from utils.runs.folder import weights_path
from utils.training.job import FoldJob
from utils.training.start import freeze, start_from

SHIPPED = PROJECT / "inference_tests"
FLOAT32 = SHIPPED / "EMO-DB_3.0s_Segmented_cross_entropy_float32.tflite"
NORMS_AND_CONVOLUTIONS = 2 * 8


def described(**changes: Any) -> StartingModel:
    """A starting model without its file."""
    fields = {
        "path": Path("/runs/RUN/folds/fold_00/weights.keras"),
        "digest": "0123456789abcdef",
        "classes": ("boredom", "anxiety_fear", "anger"),
        "settings": {"num_mfcc": 40, "feature_scaling": "none", "duration_s": 3.0},
        "corpus": "MINE",
        **changes,
    }
    return StartingModel(**fields)


@pytest.fixture
def of_demo(trained_demo: TrainedDemo) -> StartingModel:
    """The small DEMO run as a starting model."""
    return read_starting_model(trained_demo.folder)


@pytest.mark.parametrize("kind", ["run", "keras", "tflite", "shipped"])
def test_the_network_starts_with_the_predictions_of_the_model(
    trained_demo: TrainedDemo, kind: str
) -> None:
    """In another order of classes. A file's folded norms get statistics of the data."""
    folder = trained_demo.folder
    [exported] = folder.glob("*_entropy_float32.tflite")
    paths = {"run": folder, "tflite": exported, "shipped": FLOAT32}
    start = read_starting_model(paths.get(kind, weights_path(folder, 1)))
    settings = from_flat({**start.settings, "dataset_name": "DEMO"})
    shape = settings.front_end.input_shape
    features = np.random.RandomState(0).normal(0, 0.3, (4, *shape)).astype(np.float32)
    if start.path.suffix == ".keras":
        expected = read_keras(start.path).predict(features, verbose=0)
    else:
        expected = load_model(start.path).predict(features)
    model = build_light_sernet(settings, len(start.classes))
    start_from(model, start, start.classes[::-1], features)
    found = model.predict(features, verbose=0)[:, ::-1]
    assert expected.max() < 0.999  # a saturated softmax would hide differences
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert start.settings["duration_s"] == (3.0 if kind == "shipped" else 0.2)
    assert start.corpus == ("EMO-DB" if kind == "shipped" else "DEMO")
    number = None if start.trained is None else len(start.trained)
    assert number == {"run": 70, "keras": 70}.get(kind)


def test_outputs_of_new_classes_are_new() -> None:
    start = read_starting_model(FLOAT32)
    settings = from_flat({**start.settings, "dataset_name": "DEMO"})
    model = build_light_sernet(settings, 3)
    kernel, bias = model.get_layer("probabilities").get_weights()
    features = np.zeros((2, *settings.front_end.input_shape), np.float32)
    start_from(model, start, ("Angry", "tired", "sad"), features)
    found, found_bias = model.get_layer("probabilities").get_weights()
    same = [np.array_equal(found[:, n], kernel[:, n]) for n in range(3)]
    assert same == [False, True, False]
    assert found_bias[1] == bias[1] == 0


def test_another_network_is_refused() -> None:
    start = read_starting_model(FLOAT32)
    changes = {**start.settings, "path_kernels": "9x1,1x11,3x3"}
    model = build_light_sernet(from_flat(changes), 3)
    features = np.zeros((2, *model.input_shape[1:]), np.float32)
    with pytest.raises(InputError, match="its layer path1_conv does not fit this"):
        start_from(model, start, ("anger", "sad", "joy"), features)
    fewer = dataclasses.replace(start, classes=start.classes[:3])
    with pytest.raises(InputError, match="its layer probabilities does not fit this"):
        start_from(model, fewer, ("anger", "sad", "joy"), features)


@pytest.mark.parametrize(
    ("classes", "columns", "text"),
    [
        (("anger", "boredom"), [2, 0], "its outputs for anger, boredom"),
        (("Angry", "fear"), [2, 1], "its outputs for Angry, fear"),
        (
            ("bored", "tired"),
            [0, None],
            "its outputs for bored; new outputs for tired",
        ),
        (("tired", "wild"), [None, None], "MINE; new outputs for tired, wild"),
    ],
)
def test_classes_are_paired_by_meaning(
    classes: tuple[str, ...], columns: list[int | None], text: str
) -> None:
    assert described().columns(classes) == columns
    [line] = described().lines(classes)
    assert line.endswith(text)


def utterances_of(corpus: str, contents: dict[str, bytes], folder: Path) -> Manifest:
    """A corpus of files with these contents; the first letter is the speaker."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    utterances = tuple(
        Utterance(id=name, path=folder / name, label="ab"[n % 2], speaker=name[0])
        for n, name in enumerate(contents)
    )
    return Manifest(corpus=corpus, classes=("a", "b"), utterances=utterances)


CONTENTS = {name: name.encode() for name in ("x0", "x1", "y0", "y1", "z0", "z1")}
HEARD = {
    "by id": ({"trained": frozenset({"x0", "q"})}, "MINE", {"x0"}),
    "all": ({"is_on_all": True}, "MINE", set(CONTENTS)),
    "not recorded": ({}, "MINE", None),
    "own, of another name": ({"is_on_all": True}, "YOURS", None),
    "published, another one": (
        {"is_on_all": True, "corpus": "DEMO"},
        "RAVDESS",
        set(),
    ),
    "published, read by another name": (
        {"is_on_all": True, "corpus": "IEMOCAP"},
        "IEMOCAP-HAPPINESS",
        None,
    ),
    "copies of nothing published": (
        {"is_on_all": True, "corpus": "EMO-DB"},
        "MINE",
        set(),
    ),
}


@pytest.mark.parametrize("case", HEARD)
def test_what_a_starting_model_has_heard(tmp_path: Path, case: str) -> None:
    fields, corpus, expected = HEARD[case]
    manifest = utterances_of(corpus, CONTENTS, tmp_path / "files")
    assert described(**fields).heard(manifest) == expected


def test_published_recordings_are_known_under_any_name(
    emo_db_dir: Path, tmp_path: Path
) -> None:
    wav = emo_db_dir / "EMO-DB" / "wav"
    copies = {
        "x0": (wav / "03a01Fa.wav").read_bytes(),
        "y0": (wav / "08a01Na.wav").read_bytes(),
        "z0": b"another",
    }
    manifest = utterances_of("MINE", copies, tmp_path / "files")
    assert read_starting_model(FLOAT32).heard(manifest) == {"x0", "y0"}
    some = described(corpus="EMO-DB", trained=frozenset({"08a01Na"}))
    assert some.heard(manifest) == {"y0"}
    assert "03a01Fa" in {Path(path).stem for path in emo_db.ARCHIVE.hashes}


AUDITS = {
    "known": (
        {"trained": frozenset({"x0", "x1", "y0"})},
        "speaker-dependent; LEAK: the starting model was trained on recordings tested",
        "has heard 3 of 6 utterances and 2 of 3 speakers",
    ),
    "unknown": (
        {},
        "speaker-independent; the starting model may know these speakers; nothing",
        "its record does not say whether these recordings",
    ),
    "another part": (
        {"trained": frozenset({"q"})},
        "speaker-independent; the starting model may know these speakers; nothing",
        "its record does not say whether these recordings or speakers were among them",
    ),
    "second": (
        {"trained": frozenset({"q"}), "is_first": False},
        "speaker-independent; the starting model may know these speakers; nothing",
        "it started from another model itself",
    ),
}


@pytest.mark.parametrize("case", AUDITS)
def test_the_audit_counts_what_the_starting_model_has_heard(
    tmp_path: Path, case: str
) -> None:
    fields, verdict, note = AUDITS[case]
    manifest = utterances_of("MINE", CONTENTS, tmp_path / "files")
    settings = from_flat({"protocol": "speaker", "select": "last"})
    folds = make_folds(manifest.utterances, settings)
    start = described(**fields)
    found = audit(manifest, folds, settings, manifest.content_hashes, start)
    assert found["verdict"].startswith(verdict)
    assert any(note in line for line in found["notes"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_mfcc": 20}, "--num_mfcc must be 40, as the starting model has it"),
        ({"feature_scaling": "voice"}, "--feature_scaling must be none, as"),
        ({"duration_s": 1.0}, None),
    ],
)
def test_the_front_end_must_be_that_of_the_model(
    changes: dict[str, Any], message: str | None
) -> None:
    settings = from_flat({"protocol": "speaker", **changes})
    if message is None:
        described().check(settings)
    else:
        with pytest.raises(InputError, match=message):
            described().check(settings)
    scaled = described(settings={"feature_scaling": "corpus"})
    scaled.check(from_flat({"feature_scaling": "voice"}))


def test_the_command_takes_over_front_end_and_schedule() -> None:
    words = ["-dn", "DEMO", "--start_from", str(FLOAT32)]
    [settings], start = settings_and_start(train.parse_args(words))
    assert start is not None
    assert settings.front_end.duration_s == 3.0
    assert settings.training.start_from == sha256(FLOAT32)[:16]
    assert (settings.training.epochs, settings.data.select) == (20, "last")
    [settings], _ = settings_and_start(
        train.parse_args([*words, "-id", "1", "--epochs", "3", "--recipe", "short"])
    )
    assert settings.front_end.duration_s == 1.0
    assert (settings.training.epochs, settings.inputs.shift_frames) == (3, 12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--start_from", "no such file"], "--start_from must be a run folder, the"),
        (
            ["--start_from", str(FLOAT32), "--recipe", "any_device"],
            "--recipe any_device scales features to the voice, but the starting model",
        ),
        (["--start_from", str(SHIPPED)], "give a run folder"),
        (["--start_from", str(FLOAT32).replace("float32", "int8")], "must be a run"),
        (["--start_from", str(FLOAT32).replace("y_f", "y_fuse_f")], "must be a run"),
        (["--start_from", "missing.tflite"], r"missing\.tflite: No such file"),
        (["--frozen_stages", "2"], "--frozen_stages needs --start_from"),
    ],
)
def test_starting_models_that_cannot_be_used_are_refused(
    words: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        settings_and_start(train.parse_args(words))


@pytest.mark.parametrize("name", [b"a\x1b]0;x\x07.tflite", b"\xff.tflite"])
def test_any_name_of_a_starting_model_can_be_printed(
    tmp_path: Path, name: bytes
) -> None:
    """Records hold it."""
    path = tmp_path / os.fsdecode(name)
    shutil.copy(FLOAT32, path)
    start = read_starting_model(path)
    assert not UNPRINTABLE.search(start.describe()["file"])
    assert all(line.isprintable() for line in start.lines(start.classes))


def test_weights_outside_a_run_have_no_description(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    copy = tmp_path / "a" / "b" / "c" / "weights.keras"
    copy.parent.mkdir(parents=True)
    shutil.copy(weights_path(trained_demo.folder, 0), copy)
    with pytest.raises(InputError, match="is not a run folder"):
        read_starting_model(copy)


@pytest.mark.parametrize(
    "path", ["/weights.keras", "/a/weights.keras", "/a/b/weights.keras"]
)
def test_weights_near_the_root_have_no_description(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """They have too few folders above them for a run, or all of the disk."""
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr("utils.model_files.starting.check_model_file", print)
    with pytest.raises(InputError, match=r"^/ is not a run folder: config\.json"):
        read_starting_model(Path(path))


@pytest.mark.parametrize(
    ("is_direct", "is_pointer", "message"),
    [
        (True, False, rf"weights\.keras: has {3 * 2**30} bytes; at most"),
        (False, False, rf"weights\.keras: has {3 * 2**30} bytes; at most"),
        (True, True, r"weights\.keras: is a git-lfs pointer"),
    ],
)
def test_weights_that_no_run_has_are_not_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_direct: bool,
    is_pointer: bool,
    message: str,
) -> None:
    folder = trained_run(tmp_path / "run")
    path = weights_path(folder, 0)
    path.parent.mkdir()
    path.write_bytes(LFS_START if is_pointer else b"")
    if not is_pointer:
        os.truncate(path, 3 * 2**30)  # no blocks of the disk
    monkeypatch.delattr("utils.model_files.starting.sha256")
    monkeypatch.setattr("utils.model_files.starting.chosen_fold", lambda _: (0, ""))
    with pytest.raises(InputError, match=message):
        read_starting_model(path if is_direct else folder)


def test_frozen_stages_do_not_learn(of_demo: StartingModel) -> None:
    settings = from_flat({**of_demo.settings, "dataset_name": "DEMO"})
    for stages, frozen in ((0, 0), (1, 6), (6, NORMS_AND_CONVOLUTIONS)):
        model = build_light_sernet(settings, 2)
        freeze(model, stages)
        assert sum(not layer.trainable for layer in model.layers) == frozen
    assert [layer.name for layer in model.layers if layer.trainable_weights] == [
        "probabilities"
    ]


@pytest.fixture
def started(trained_demo: TrainedDemo, of_demo: StartingModel, tmp_path: Path) -> Any:
    """Makes a fold of DEMO that starts from the small run, its first stage frozen."""

    def call(start: StartingModel = of_demo) -> FoldJob:
        job = make_job(
            trained_demo.derived_dir,
            tmp_path / "runs",
            epochs=2,
            start_from=start.digest,
            frozen_stages=1,
        )
        return dataclasses.replace(job, start=start)

    return call


def test_an_interrupted_fold_is_bit_equal_and_frozen_weights_stay(
    started: Any,
    of_demo: StartingModel,
    fold_worker: ProcessPoolExecutor,
    tmp_path: Path,
) -> None:
    def run(job: FoldJob, *arguments: Any) -> Any:
        return fold_worker.submit(run_here, job, *arguments).result()[0]

    whole = started()
    assert run(whole) is None
    record = read_record(whole.folder, 0)
    whole.folder.rename(tmp_path / "whole")
    cut = started()
    assert run(cut, StopAfter(0)) == "stopped"
    assert run(cut) is None
    assert results(read_record(cut.folder, 0)) == results(record)
    assert record["start"] == of_demo.describe()
    before, after = (
        {layer.name: layer.get_weights() for layer in read_keras(path).layers}
        for path in (of_demo.path, weights_path(cut.folder, 0))
    )
    for name in ("path1_conv", "path2_norm", "body1_conv", "body1_norm"):
        pairs = zip(before[name], after[name], strict=True)
        is_same = all(np.array_equal(*pair) for pair in pairs)
        assert is_same == name.startswith("path")


def test_a_model_that_changes_meanwhile_is_refused(
    started: Any, of_demo: StartingModel, fold_worker: ProcessPoolExecutor
) -> None:
    changed = dataclasses.replace(of_demo, digest="0" * 16)
    error, _ = fold_worker.submit(run_here, started(changed)).result()
    assert "weights.keras has changed since this run began" in error
