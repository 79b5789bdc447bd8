"""The run folder: names that never change, files that are checked."""

import json
from pathlib import Path
from typing import Any

import pytest
from settings_values import other_value
from synthetic_run import record

from hyperparameters import InputError, Settings, from_flat, to_flat
from utils.corpora.emo_db import CORPUS
from utils.corpora.load import DataPaths
from utils.corpora.manifest import Manifest, Utterance
from utils.files import PROJECT, write_json
from utils.runs import folder as run_folder


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Two utterances with fixed contents."""
    utterances = []
    for name, label in (("a", "anger"), ("b", "boredom")):
        path = tmp_path / f"{name}.wav"
        path.write_bytes(name.encode())
        utterances.append(Utterance(id=name, path=path, label=label, speaker="1"))
    return Manifest(
        corpus="TOY",
        classes=("anger", "boredom"),
        utterances=tuple(utterances),
        note="A toy.",
    )


EMO_DB = {"dataset_name": "EMO-DB"}
OTHER = {"duration_s": 2.25, "loss_name": "focal", "segment_mode": 0, "seed": 7}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "3.0s_all_mfcc_cross_entropy_published_seed42_ac30c727"),
        (
            {**OTHER, "protocol": "speaker", "select": "last"},
            "2.25s_mode0_all_mfcc_focal_speaker-last_seed7_f12049df",
        ),
        (EMO_DB, "3.0s_all_mfcc_cross_entropy_published_seed42_cc7b1d0c"),
        (
            {**EMO_DB, "protocol": "speaker", "select": "last"},
            "3.0s_all_mfcc_cross_entropy_speaker-last_seed42_ed003e86",
        ),
        (
            {**EMO_DB, "protocol": "all"},
            "3.0s_all_mfcc_cross_entropy_all_seed42_b2ab86a0",
        ),
    ],
)
def test_names_of_runs_do_not_change(
    request: pytest.FixtureRequest, values: dict[str, Any], name: str
) -> None:
    """Trained runs and committed records are found again by these."""
    settings = from_flat({"dataset_name": "TOY", **values})
    if settings.data.dataset_name == "TOY":
        corpus = request.getfixturevalue("manifest")
    else:
        corpus = CORPUS.read(request.getfixturevalue("emo_db_dir") / "EMO-DB")
    found = run_folder.run_name(settings, corpus)
    assert found == f"{settings.data.dataset_name}_{name}"


def test_every_setting_and_the_corpus_change_the_hash(manifest: Manifest) -> None:
    settings = Settings()
    hashes = {run_folder.run_hash(settings, manifest)}
    flat = to_flat(settings)
    for name in flat:
        changed = from_flat({name: other_value(name)})
        hashes.add(run_folder.run_hash(changed, manifest))
    assert len(hashes) == 1 + len(flat)
    manifest.utterances[0].path.write_bytes(b"another recording")
    again = Manifest(
        corpus="TOY", classes=manifest.classes, utterances=manifest.utterances
    )
    assert run_folder.run_hash(settings, again) not in hashes


def config_of(settings: Settings, manifest: Manifest) -> dict[str, Any]:
    """A configuration of three folds, its corpus outside the project."""
    return run_folder.make_config(
        settings,
        manifest,
        num_folds=3,
        command="train.py -dn TOY",
        data_paths=DataPaths(
            data_dir=Path("/corpora"), derived_dir=PROJECT / "data/derived"
        ),
    )


def test_config_comes_back(manifest: Manifest, tmp_path: Path) -> None:
    settings = from_flat({"dataset_name": "TOY", "epochs": 7})
    config = config_of(settings, manifest)
    write_json(tmp_path / "run" / run_folder.CONFIG_NAME, config)
    found = run_folder.read_config(tmp_path / "run")
    assert found == json.loads(json.dumps(config))
    assert run_folder.settings_of(found) == settings
    assert found["corpus"]["note"] == "A toy."
    assert found["versions"]["keras"]
    assert found["paths"] == {
        "data_dir": "/corpora",
        "derived_dir": "data/derived",
        "manifest": None,
        "accept_altered": False,
    }


def test_the_commit_is_the_projects_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy without `.git` may lie inside another repository."""
    inner = run_folder.PROJECT / "utils"
    monkeypatch.setattr(run_folder, "PROJECT", inner)
    assert run_folder.commit.__wrapped__() == "unknown"


def test_no_run_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json is missing"):
        run_folder.read_config(tmp_path)


DAMAGE = {
    b"{": "damaged ",
    b"\xff": "damaged ",
    b"[" * 100_000: "damaged ",
    b"[]": "must hold a JSON object",
    b"{}": "'num_folds' must be a whole number, got None",
}


@pytest.mark.parametrize("content", DAMAGE, ids=lambda content: str(content[:2]))
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    of_fold = run_folder.record_path(tmp_path, 0)
    of_fold.parent.mkdir()
    for path in (tmp_path / "config.json", of_fold):
        path.write_bytes(content)
    with pytest.raises(InputError) as of_config:
        run_folder.read_config(tmp_path)
    with pytest.raises(InputError) as of_record:
        run_folder.read_record(tmp_path, 0, "abc")
    for path, error in ((tmp_path / "config.json", of_config), (of_fold, of_record)):
        assert str(error.value).startswith(f"{path}: {DAMAGE[content]}")
        assert "remove it, and the command that trained makes it again" in str(error)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("corpus", {}, "the corpus's name must be made of letters"),
        ("corpus", {"name": "../victim/EMO-DB"}, r"got '\.\./victim/EMO-DB'"),
        ("corpus", {"name": "/tmp/x"}, "got '/tmp/x'"),
        ("audit", None, "'audit' must be an object .*, got None"),
        ("command", 5, "'command' must be text, got 5"),
        ("paths", [], "'paths' must be an object, .* got "),
    ],
)
def test_a_configuration_from_elsewhere_is_checked(
    manifest: Manifest, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """Names in it become names of files that reports write."""
    config = config_of(Settings(), manifest)
    write_json(tmp_path / run_folder.CONFIG_NAME, {**config, key: value})
    with pytest.raises(InputError, match=message):
        run_folder.read_config(tmp_path)


def test_a_record_belongs_to_its_run_and_fold(tmp_path: Path) -> None:
    assert run_folder.read_record(tmp_path, 0, "abc") is None
    path = run_folder.record_path(tmp_path, 0)
    path.parent.mkdir()
    content = record(0, [("a", "1", 0, 0)], 1, hash="abc")
    path.write_text(json.dumps(content))
    assert run_folder.read_record(tmp_path, 0, "abc") == content
    with pytest.raises(InputError, match="belongs to another configuration"):
        run_folder.read_record(tmp_path, 0, "def")
    path.rename(run_folder.record_path(tmp_path, 1))
    with pytest.raises(InputError, match="belongs to another configuration"):
        run_folder.read_record(tmp_path, 1, "abc")
