"""The catalog of a folder, the choice of a model, and the shipped clips and models."""

import json
import re
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from small_models import (
    CLASSES,
    babble,
    classify,
    error_of,
    small_model,
    write,
    write_model,
)

import inference_single_file
from hyperparameters import FrontEnd, InputError
from utils.audio.functionals import NUM_FUNCTIONALS
from utils.corpora.emo_db import ARCHIVE, EMOTION_OF_LETTER
from utils.files import PROJECT
from utils.model_files import catalog
from utils.model_files.linear import save_linear
from utils.model_files.metadata import read_metadata
from utils.model_files.new_voice import expectation, new_voice_scores
from utils.training.linear_model import fit_linear_model

pytest_plugins = ["inference_fixtures"]
RECORDS = PROJECT / "reproduction"
[SPEAKER_RUN] = RECORDS.glob("EMO-DB_*_cross_entropy_speaker-last_seed42_ed003e86")
[VOICE_RUN] = RECORDS.glob("EMO-DB_*_mode2_*_speaker-last_seed42_86bf4ca5")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "plain"),
        ("-id 1 -at all -ln cross_entropy", "plain"),
        ("-ln focal", "focal"),
        ("-it mel_spectrogram", "mel"),
        ("-id 0.5", "mel"),
        ("--model focal.tflite", "focal"),  # a file name in the models folder
    ],
)
def test_options_choose_a_model(models_dir, words, expected):
    arguments = inference_single_file.parse_args(["-fn", "x", *words.split()])
    assert inference_single_file.model_path(arguments).stem == expected


def test_a_choice_that_does_not_exist_is_refused(models_dir, capsys):
    message = error_of(capsys, "-fn", "x", "-ln", "focal", "-it", "spectrogram")
    assert message.startswith("no model for -ln focal -it spectrogram; available: ")
    assert "-id 1 -at all -ln focal -it mfcc" in message
    assert "-id 0.5 -at impro -ln cross_entropy -it mel_spectrogram" in message


def test_a_changed_model_or_catalog_is_refused(models_dir, capsys):
    path, target = models_dir / "plain.tflite", models_dir / catalog.CATALOG_NAME
    content = path.read_bytes() + b"\0"
    for file, spoil, message in [
        (path, lambda: path.write_bytes(content), "differs from its entry in catalog"),
        (path, path.unlink, "is missing or differs"),
        (target, lambda: target.write_text("{"), "is damaged"),
        (
            target,
            lambda: target.write_text('{"format": 0}'),
            "must be a catalog",
        ),
        (target, target.unlink, "has no catalog.json"),
    ]:
        spoil()
        assert message in error_of(capsys, "-fn", "x"), file


@pytest.mark.parametrize(
    "content",
    [
        *('{"format": 1}', "[1]", "[" * 100_000, '{"format": NaN}', "\xff"),
        '{"format": 1, "default": ["a"], "models": 3}',
        '{"format": 1, "default": "plain.tflite", "models": [{}]}',
        '{"format": 1, "default": "a", "models": [{"file": "a"}]}',
        " " * (2**20 + 1),
        PROJECT,
        Path("/dev/zero"),
    ],
)
def test_a_hostile_catalog_is_one_line(models_dir, capsys, content):
    target = models_dir / catalog.CATALOG_NAME
    target.unlink()
    if isinstance(content, Path):
        target.symlink_to(content)
    else:
        target.write_text(content, encoding="latin-1")
    assert error_of(capsys, "-fn", "x").startswith(f"{target}: ")
    with pytest.raises(InputError, match=r"catalog\.json: "):
        catalog.main(["--folder", str(models_dir)])


def test_the_catalog_describes_each_model(models_dir, capsys):
    assert catalog.main(["--folder", str(models_dir), "--default", "mel.tflite"]) == 0
    assert capsys.readouterr().out == "4 models, default mel.tflite\n"
    content = catalog.read_catalog(models_dir)
    by_file = {model["file"]: model for model in content["models"]}
    path = models_dir / "mel.tflite"
    assert by_file["mel.tflite"] == {
        "file": "mel.tflite",
        "dataset_name": "TOY",
        "duration_s": 0.5,
        "audio_type": "impro",
        "loss_name": "cross_entropy",
        "input_type": "mel_spectrogram",
        "precision": "float32",
        "fused": False,
        "classes": list(CLASSES),
        "sha256": catalog.sha256(path),
        "bytes": path.stat().st_size,
    }
    assert by_file["fuse.tflite"]["fused"] is True
    assert catalog.build_catalog(models_dir)["default"] == "mel.tflite"  # is kept
    (models_dir / "catalog.json").unlink()
    assert catalog.build_catalog(models_dir)["default"] == "focal.tflite"
    with pytest.raises(InputError, match="--default must be one of focal"):
        catalog.build_catalog(models_dir, "other.tflite")


def test_a_run_folder_stands_for_the_model_at_its_top(models_dir, tmp_path, capsys):
    run = tmp_path / "RUN"
    fold = run / "folds" / "fold_00"
    fold.mkdir(parents=True)
    shutil.copy(models_dir / "focal.tflite", fold / "A_1.0s_float32.tflite")
    with pytest.raises(InputError, match=r"holds no \.tflite file; name a model"):
        catalog.model_of_run(run)
    for name in ("fuse_float32", "int8", "fuse_int8", "float16", "float32"):
        wanted = shutil.copy(models_dir / "plain.tflite", run / f"A_1.0s_{name}.tflite")
        is_first = name in ("fuse_float32", "int8", "float16", "float32")
        assert (catalog.model_of_run(run) == wanted) == is_first, name
    path = write(tmp_path / "a.wav", babble(1.0))
    assert classify(capsys, "--model", run, path) == classify(capsys, path)
    shutil.copy(wanted, run / "B_1.0s_float32.tflite")
    assert "holds several models" in error_of(capsys, path, "--model", run)


def test_a_catalog_needs_models_with_metadata(tmp_path):
    with pytest.raises(InputError, match=r"contains no \.tflite"):
        catalog.build_catalog(tmp_path)
    shape = (1, *FrontEnd().input_shape)
    (tmp_path / "bare.tflite").write_bytes(small_model(shape, CLASSES))
    with pytest.raises(InputError, match="lacks corpus, audio_type"):
        catalog.build_catalog(tmp_path)


@pytest.mark.parametrize(
    "described",
    [{"corpus": None}, {"corpus": {}}, {"loss_name": None}, {"epochs": None}],
)
def test_a_model_of_others_is_one_line(models_dir, described):
    path = models_dir / "plain.tflite"
    write_model(path, FrontEnd(duration_s=1.0), **described)
    words = ["--folder", str(models_dir), "--new_voice", str(SPEAKER_RUN)]
    for argv in [words[:2], words] if "epochs" not in described else [words]:
        (models_dir / "catalog.json").unlink(missing_ok=True)
        for other in models_dir.glob("[!p]*.tflite"):
            other.unlink()
        with pytest.raises(InputError, match=r"plain\.tflite: its metadata lacks"):
            catalog.main(argv)


@pytest.mark.parametrize(
    "change",
    [
        {"keras": []},
        {"keras": {"complete": True}},
        {"keras": {"complete": True, "headline": {"ua": {"value": "1"}}}},
        {"keras": {"complete": True, "headline": {"ua": [], "wa": []}}},
        {"settings": {}},
        {"audit": []},
    ],
)
def test_damaged_metrics_are_one_line(tmp_path, change):
    metrics = json.loads((SPEAKER_RUN / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(metrics | change))
    with pytest.raises(InputError, match=r"metrics\.json: "):
        new_voice_scores(tmp_path)


def test_the_clips_are_what_their_readme_says():
    folder = PROJECT / "inference_tests"
    text = (folder / "README.md").read_text(encoding="utf-8")
    record = json.loads((SPEAKER_RUN / "folds" / "fold_00.json").read_text())
    answers = {
        name: record["classes"][int(np.argmax(shares))]
        for name, shares in zip(
            record["test"], record["probabilities"]["keras"], strict=True
        )
    }
    firsts: dict[str, str] = {}
    for path in sorted(ARCHIVE.hashes):
        letter = PurePosixPath(path).stem[5]
        firsts.setdefault(EMOTION_OF_LETTER[letter], path)
    rows = re.findall(r"^\| `(\w+)_emodb\.wav` \| `(\w+)` \| (\w+)", text, re.M)
    assert [row[0] for row in rows] == sorted(firsts)
    clips = {path.name: catalog.sha256(path) for path in folder.glob("*.wav")}
    assert clips == {f"{c}_emodb.wav": ARCHIVE.hashes[p] for c, p in firsts.items()}
    for label, name, answer in rows:
        assert PurePosixPath(firsts[label]).stem == name
        assert answers[name] == answer


def test_shipped_models_state_the_recorded_score_for_a_new_voice():
    runs = {1: SPEAKER_RUN, 2: VOICE_RUN}  # by the way that recordings are heard
    content = catalog.read_catalog(PROJECT / "inference_tests")
    for model in content["models"]:
        path = PROJECT / "inference_tests" / model["file"]
        assert catalog.sha256(path) == model["sha256"]
        metadata = read_metadata(path)
        run = runs[metadata.get("segment_mode", 1)]
        assert metadata["new_voice"] == new_voice_scores(run)
        metrics = json.loads((run / "metrics.json").read_text())
        wa = 100 * metrics["keras"]["headline"]["wa"]["value"]
        assert f"EMO-DB, expect {wa:.1f} % [" in metadata["new_voice"]["text"]
        assert "utils.frontend" not in metadata["caller_must"]
        assert ("functionals" in model) == ("voices" in metadata) == (run is VOICE_RUN)


def test_scores_for_a_new_voice_are_of_the_same_network(models_dir, tmp_path, capsys):
    shipped = (
        PROJECT / "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
    )
    shutil.copy(shipped, tmp_path)
    words = ["--folder", str(tmp_path), "--new_voice"]
    assert catalog.main([*words, str(SPEAKER_RUN)]) == 0
    assert capsys.readouterr().out.startswith("1 models, default EMO-DB")
    with pytest.raises(InputError, match="another duration_s, dataset_name"):
        catalog.main(["--folder", str(models_dir), "--new_voice", str(SPEAKER_RUN)])
    for run in RECORDS.glob("EMO-DB_*_cross_entropy_[ap]*_seed42_*"):
        with pytest.raises(InputError, match="complete speaker-independent run"):
            catalog.main([*words, str(run)])


def test_a_linear_model_of_the_catalog_answers_too(models_dir, tmp_path, capsys):
    """Beside models of its stem; not with --model, and not with --functionals none."""
    clip = write(tmp_path / "a.wav", babble(1.0))
    alone = classify(capsys, clip)
    for precision in ("float32", "fuse_float32"):
        shutil.copy(
            models_dir / ("fuse.tflite" if "fuse" in precision else "plain.tflite"),
            models_dir / f"A_1.0s_{precision}.tflite",
        )
    random = np.random.default_rng(0)
    rows = random.normal(size=(30, NUM_FUNCTIONALS)).astype(np.float32)
    linear = fit_linear_model(rows[None], ["x", "y"] * 15, np.arange(30) % 3, CLASSES)
    path = models_dir / "A_1.0s_functionals.npz"
    save_linear(path, linear)
    model = models_dir / "A_1.0s_float32.tflite"
    assert catalog.main(["--folder", str(models_dir), "--default", model.name]) == 0
    capsys.readouterr()
    entries = catalog.read_catalog(models_dir)["models"]
    with_linear = {e["file"] for e in entries if e.get("functionals") == path.name}
    assert with_linear == {"A_1.0s_float32.tflite", "A_1.0s_fuse_float32.tflite"}
    both = classify(capsys, clip)
    assert both == classify(capsys, clip, "--model", model, "--functionals", path)
    assert both != alone
    assert classify(capsys, clip, "--functionals", "none") == alone
    assert classify(capsys, clip, "--model", model) == alone
    path.write_bytes(path.read_bytes() + b"\0")
    assert "differs from its entry in catalog.json" in error_of(capsys, clip)
    path.unlink()
    assert "restore it, or give --functionals none" in error_of(capsys, clip)


@pytest.mark.parametrize(
    ("recordings", "linear", "line"),
    [
        (
            *(0, False),
            "for a new voice as in EMO-DB, 77% of answers are right; 81% once 10 "
            "recordings of it are known (--calibrate)",
        ),
        (0, True, "for a new voice as in EMO-DB, 86% of answers are right; 89% once"),
        (1, True, "for a voice known from 1 recording, as in EMO-DB, 85% of answers"),
        (4, True, "for a voice known from 3 recordings, as in EMO-DB, 87% of"),
        (10, False, "for a voice known from 10 recordings, as in EMO-DB, 81% of"),
        (999, True, "for a voice known from 20 recordings, as in EMO-DB, 90% of"),
    ],
)
def test_what_to_expect_is_said(recordings: int, linear: bool, line: str) -> None:
    counts = ("none", "1", "3", "5", "10", "20")
    shares = {
        "network": (0.77, 0.8, 0.81, 0.83, 0.81, 0.84),
        "mean of both": (0.86, 0.85, 0.87, 0.89, 0.89, 0.9),
    }
    right = {n: dict(zip(counts, s, strict=True)) for n, s in shares.items()}
    scores = {"corpus": "EMO-DB", "right": right}
    found = expectation(scores, recordings=recordings, has_linear=linear)
    assert found.startswith(line)
    odd = (float("nan"), 10**400, -1, 7, None, [], "x")
    damaged = [dict.fromkeys(shares, right["network"] | {"5": share}) for share in odd]
    wrong = [scores | {"right": values} for values in (*damaged, 7, {})]
    for scores in (*wrong, {}, {"right": right}):
        assert expectation(scores, recordings=recordings, has_linear=linear) == ""
