"""The committed tables and pictures are exactly what the records give."""

import filecmp
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import edit_record, random_folds, write_run

import reproduction.__main__ as command
import train
from dataio import DataPaths, load_dataset
from hyperparameters import RECIPES, InputError, from_flat, to_flat
from reproduction.__main__ import MARKS, TEXTS, add_run, put_between, reproduce
from reproduction.tables import (
    AS_PUBLISHED,
    HELD_OUT,
    NOT_RUN,
    SHARED,
    SHORT_NAMES,
    against_published,
    confusion_panels,
    expected_scores,
    made_with,
    question_of,
    results_tables,
)
from utils.files import PROJECT
from utils.protocols.folds import make_folds
from utils.runs.checks import CHOSEN_ON
from utils.runs.records import RECORD_NAME, Run, load_run
from utils.scores.metrics import rows_summary
from utils.training.known_voice import fit_functionals, functionals

PUBLISHED = json.loads((PROJECT / "reproduction" / "published.json").read_text())
# written when a run was finished, from weights that are not committed
NOT_REBUILT = (".tflite", ".keras")


def copy_of(project: Path, target: Path) -> Path:
    """The texts and records that the tables are made of, in another folder."""
    shutil.copytree(project / "reproduction", target / "reproduction")
    for name in TEXTS:
        shutil.copy(project / name, target / name)
    return target


def differing(first: Path, second: Path) -> list[str]:
    """Files of `reproduce` that only one project has, or that have other bytes."""
    names = {
        str(path.relative_to(project))
        for project in (first, second)
        for path in [*project.glob("*.md"), *project.glob("reproduction/**/*")]
        if path.is_file() and path.suffix not in (*NOT_REBUILT, ".pyc")
    }
    names = {name for name in names if "/" in name or name in TEXTS}
    same, _, _ = filecmp.cmpfiles(first, second, names, shallow=False)
    return sorted(names - set(same))


def test_committed_tables_and_pictures_are_rebuilt_byte_for_byte(
    tmp_path: Path,
) -> None:
    copy = copy_of(PROJECT, tmp_path)
    for path in copy.glob("reproduction/*/**/*"):
        is_record = path.name == "config.json" or RECORD_NAME.fullmatch(path.name)
        if path.is_file() and not is_record:
            path.unlink()
    reproduce(copy)
    assert differing(PROJECT, copy) == []


def runs_with_linear_models() -> dict[str, list[Run]]:
    """Committed runs by their settings but the seed."""
    found: dict[str, list[Run]] = {}
    for folder in sorted((PROJECT / "reproduction").glob("*/")):
        run = load_run(folder)
        if run.protocol == "speaker" and "functionals" in run.records[0]:
            others = json.dumps({**run.settings, "seed": None}, sort_keys=True)
            found.setdefault(others, []).append(run)
    return found


def test_seeds_agree_on_the_linear_model() -> None:
    """It is a matter of the training set alone."""
    groups = runs_with_linear_models().values()
    assert max(map(len, groups)) > 1
    for first, *others in groups:
        for run in others:
            for record, same in zip(run.records, first.records, strict=True):
                assert record["test"] == same["test"]
                np.testing.assert_allclose(
                    record["functionals"]["none"],
                    same["functionals"]["none"],
                    atol=1e-4,
                    err_msg=f"{run.folder}, fold {record['fold']}",
                )


@pytest.mark.proof
def test_recorded_linear_models_are_those_of_this_code(
    emo_db_dir: Path, tmp_path: Path
) -> None:
    paths = DataPaths(data_dir=emo_db_dir, derived_dir=tmp_path, cache="None")
    for run, *_ in runs_with_linear_models().values():
        settings = from_flat(run.settings)
        dataset = load_dataset(settings, paths)
        folds = make_folds(dataset.manifest.utterances, settings)
        for fold, record in zip(folds, run.records, strict=True):
            assert fold.test == tuple(record["test"])
            model = fit_functionals(dataset, fold)
            [nothing_known] = functionals(dataset, fold, model)([{}])
            np.testing.assert_allclose(
                nothing_known,
                record["functionals"]["none"],
                atol=1e-4,
                err_msg=f"{run.folder}, fold {fold.number}",
            )


def summary_of(run: Run) -> dict[str, Any]:
    """Metrics of a run, as its report has them."""
    return {"keras": rows_summary(run.rows(), run.classes)}


def write_source(
    folder: Path, changes: dict[str, Any] | None = None, **chosen: Any
) -> Path:
    """A finished run of leave-one-speaker-out, with weights and paths.

    `changes` replaces entries of the records, `chosen` settings.
    """
    settings = {"dataset_name": "EMO-DB", "protocol": "speaker", "select": "last"}
    settings = to_flat(from_flat(settings | chosen))
    is_best = settings["select"] == "best"
    extra: dict[str, Any] = {
        "machine": "a processor",
        "cpu_seconds": 1800.0,
        "classes": PUBLISHED["classes"],
        "corpus": {"name": "EMO-DB", "digest": PUBLISHED["corpus_digest"]},
        "chosen_on": CHOSEN_ON[settings["protocol"]] if is_best else "none",
        **(changes or {}),
    }
    write_run(folder, random_folds(0, speakers=4), settings=settings, **extra)
    config = json.loads((folder / "config.json").read_text())
    config["paths"] = {"data_dir": "/home/somebody"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "folds" / "fold_00").mkdir()
    (folder / "folds" / "fold_00" / "weights.keras").write_bytes(b"large")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one run."""
    project = copy_of(PROJECT, tmp_path_factory.mktemp("project"))
    for run in project.glob("reproduction/*/"):
        shutil.rmtree(run)
    add_run(write_source(project / "speaker-run"), project / "reproduction")
    reproduce(project)
    return project


def test_a_run_fills_every_text(built: Path) -> None:
    readme, account, card = texts = [(built / name).read_text() for name in TEXTS]
    assert f"**{AS_PUBLISHED}**" in readme
    assert f"**{SHARED}**" not in readme  # no run answers this question
    report = "reproduction/speaker-run/EMO-DB_3.0s_Segmented_cross_entropy_Report.txt"
    assert (built / report).is_file()
    for text in texts:
        assert "| ours | speaker, last epoch | cross_entropy |" in text
    for text in (account, card):
        assert f"2.0 CPU-hours on a processor ([report]({report}))" in text
    assert "CPU-hours" not in readme
    assert f"{report.removesuffix('_Report.txt')}_Recall.png" in readme
    assert "**cross_entropy, ours: speaker, last epoch (48 rows)**" in account
    assert "](reproduction/cross_entropy_confusions.png)" in account
    assert (built / "reproduction" / "cross_entropy_confusions.png").is_file()
    assert card.count("| s0") == 4
    assert NOT_RUN not in card
    metrics = (built / "reproduction" / "speaker-run" / "metrics.json").read_text()
    for entry in json.loads(metrics)["keras"]["per_class"]:
        cell = "not tested"
        if recall := entry["recall"]:
            cell = f"{100 * recall['value']:.2f} [{100 * recall['low']:.2f}, "
        assert f"| {entry['class']} | {entry['support']} | {cell}" in card


def test_seeds_are_one_row_with_the_score_of_each(tmp_path: Path) -> None:
    """The pooled score is that of all rows; protocols are never mixed."""
    runs = [load_run(write_source(tmp_path / str(n), seed=n)) for n in (42, 43)]
    held_out = {"protocol": "published", "select": "last", "seed": 42}
    runs.append(load_run(write_source(tmp_path / "shared", **held_out)))
    edit_record(runs[1].folder, 0, labels=[0] * len(runs[1].records[0]["labels"]))
    runs[1] = load_run(runs[1].folder)
    rows = [(run, summary_of(run)) for run in runs]
    *_, ours = results_tables(rows, {"scores_percent": {}}).split(f"**{HELD_OUT}**")
    [line] = [line for line in ours.splitlines() if line.startswith("| ours")]
    each = [run.rows() for run in runs[:2]]
    recalls = [
        [
            sum(np.sum((part.true == k) & (part.predicted == k)) for part in parts)
            / sum(np.sum(part.true == k) for part in parts)
            for k in set(np.concatenate([part.true for part in parts]).tolist())
        ]
        for parts in (each, each[:1], each[1:])
    ]
    pooled, first, second = [100 * np.mean(values) for values in recalls]
    assert f"{first:.1f}" != f"{second:.1f}"
    assert line.startswith(
        f"| ours | speaker, last epoch | cross_entropy | 42, 43 | {pooled:.2f} ["
    )
    assert line.endswith(f" | {first:.1f}, {second:.1f} |")
    card = expected_scores(rows)
    assert card.count("| s00 | 24 |") == 1  # 12 utterances, one answer of each seed
    panels = confusion_panels(rows, {"confusion": {"cross_entropy": []}, "classes": []})
    titles = [panel.title for panel in panels["cross_entropy"]]
    assert "ours: speaker, last epoch (seeds 42, 43, 96 rows)" in titles
    assert "ours: published, last epoch (48 rows)" in titles


def test_an_accelerator_is_named(tmp_path: Path) -> None:
    changes = {"device": "NVIDIA H200", "backend": "jax"}
    run = load_run(write_source(tmp_path / "run", changes))
    assert "CPU-hours on a processor, NVIDIA H200 (jax) (" in made_with(run)


def test_weights_and_paths_are_not_copied(built: Path) -> None:
    run = built / "reproduction" / "speaker-run"
    assert len(list(run.glob("folds/fold_*.json"))) == 4
    assert not [path for path in run.rglob("*") if path.suffix in NOT_REBUILT]
    source = json.loads((built / "speaker-run" / "config.json").read_text())
    added = json.loads((run / "config.json").read_text())
    assert source.pop("paths")
    assert added == source


LAST = {"protocol": "published", "select": "last"}


@pytest.mark.parametrize(
    ("chosen", "changes", "edits", "message"),
    [
        ({"dataset_name": "RAVDESS"}, {}, {}, "figures are of EMO-DB"),
        ({}, {"corpus": {"name": "EMO-DB", "digest": "feed"}}, {}, "figures are of"),
        ({}, {"classes": PUBLISHED["classes"][::-1]}, {}, "with its 7 classes"),
        ({}, {}, {"classes": PUBLISHED["classes"][::-1]}, "another 'classes' than"),
        (
            LAST,
            {},
            {"settings": {"protocol": "speaker"}},
            "they were changed after the",
        ),
        ({}, {"machine": ["x"]}, {}, "'machine' must be text"),
    ],
)
def test_a_run_that_compares_with_nothing_is_refused(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    chosen: dict[str, Any],
    changes: dict[str, Any],
    edits: dict[str, Any],
    message: str,
) -> None:
    """Its scores would stand beside those of another question; no copy is left."""
    copy = copy_of(built, tmp_path / "project")
    source = write_source(tmp_path / "z-run", changes, **chosen)
    config = json.loads((source / "config.json").read_text())
    edits = {k: config[k] | v if isinstance(v, dict) else v for k, v in edits.items()}
    (source / "config.json").write_text(json.dumps(config | edits))
    monkeypatch.setattr(command, "PROJECT", copy)
    with pytest.raises(InputError, match=message):
        command.main(["--add", str(source)])
    assert differing(built, copy) == []
    shutil.copytree(source, copy / "reproduction" / "z-run")
    (copy / "reproduction" / "speaker-run" / "metrics.json").unlink()
    with pytest.raises(InputError, match=message):
        reproduce(copy)
    assert not list(copy.glob("reproduction/*/metrics.json"))  # refused at once


@pytest.mark.parametrize(
    "name",
    ["published.json", "tables.py", "__pycache__", ".x", "a\nb", "a](b", "other"],
)
def test_a_run_never_replaces_what_is_not_its_copy(
    built: Path, tmp_path: Path, name: str
) -> None:
    copy = copy_of(built, tmp_path / "project")
    write_source(copy / "reproduction" / "other", seed=7)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    source = write_source(tmp_path / name)
    with pytest.raises(InputError, match="rename it: the name must be made of"):
        add_run(source, copy / "reproduction")
    found = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert found == before


def test_the_same_run_under_another_name_is_refused(
    built: Path, tmp_path: Path
) -> None:
    """Two runs of one seed would stop every later run of this command."""
    copy = copy_of(built, tmp_path / "project")
    with pytest.raises(InputError, match="another run has the same settings and seed"):
        add_run(write_source(tmp_path / "z-run"), copy / "reproduction")
    assert differing(built, copy) == []


def test_a_run_replaces_its_older_copy(built: Path, tmp_path: Path) -> None:
    copy = copy_of(built, tmp_path / "project")
    source = write_source(tmp_path / "speaker-run")
    edit_record(source, 0, machine="another")
    older = copy / "reproduction" / "speaker-run" / "folds" / "fold_01.json"
    older.write_text("damaged")
    target = add_run(source, copy / "reproduction")
    assert load_run(target).records[0]["machine"] == "another"


DRAWS = {"1": {"keras": [[0] * 12]}}


@pytest.mark.parametrize(
    "known_voice",
    [
        {},
        {"all": {"keras": [[1.0, 0.0]]}, "draws": {}},
        {"all": {}, "draws": {"1": {"keras": [[0]]}}},
        {"all": {}, "draws": DRAWS | {"2": {"other": [[0] * 12]}}},
    ],
)
def test_what_a_table_of_recipes_cannot_hold_is_refused(
    built: Path, tmp_path: Path, known_voice: dict[str, Any]
) -> None:
    """A copy of it would stop every later run of this command."""
    copy = copy_of(built, tmp_path / "project")
    values = RECIPES["new_voice"].values
    source = write_source(tmp_path / "z-run", **values)
    for fold in range(4):
        edit_record(source, fold, known_voice=known_voice)
    with pytest.raises(InputError, match=r"z-run.*fold_00\.json: 'known_voice'"):
        add_run(source, copy / "reproduction")
    assert differing(built, copy) == []


def test_a_run_without_a_report_leaves_no_copy(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_of(built, tmp_path / "project")
    monkeypatch.setattr(command, "render", lambda _: Path("/dev/full").write_text("x"))
    with pytest.raises(OSError, match="No space left"):
        add_run(write_source(tmp_path / "z-run", seed=7), copy / "reproduction")
    assert differing(built, copy) == []


def test_classes_that_contradict_another_run_are_refused(
    built: Path, tmp_path: Path
) -> None:
    """True classes set to the answers would be published as 100 %."""
    copy = copy_of(built, tmp_path / "project")
    source = write_source(tmp_path / "z-run")
    record = json.loads((source / "folds" / "fold_00.json").read_text())
    right = np.argmax(record["probabilities"]["keras"], axis=1).tolist()
    assert right != record["labels"]
    edit_record(source, 0, labels=right)
    message = "utterance s00u.* has another class or speaker than in .*speaker-run"
    with pytest.raises(InputError, match=message):
        add_run(source, copy / "reproduction")
    assert differing(built, copy) == []
    shutil.copytree(source, copy / "reproduction" / "z-run")
    with pytest.raises(InputError, match=message):
        reproduce(copy)


def test_marks_in_a_record_are_refused(tmp_path: Path) -> None:
    """The text would grow each time."""
    path = tmp_path / "a.md"
    first, last = (mark.format("results") for mark in MARKS)
    path.write_text(f"{first}\n{last}\n")
    with pytest.raises(InputError, match=r"a\.md: a record holds the mark <!--"):
        put_between(path, "0.5 CPU-hours on <!-- suspicions -->")
    assert path.read_text() == f"{first}\n{last}\n"


def test_edits_of_texts_records_and_folds(built: Path, tmp_path: Path) -> None:
    """Edited texts are written again; an edited record changes every text."""
    copy = copy_of(built, tmp_path)
    end = MARKS[1].format("results")
    for name in TEXTS:
        edited = (copy / name).read_text().replace(end, f"a better score\n\n{end}")
        (copy / name).write_text(edited)
    reproduce(copy)
    assert differing(built, copy) == []
    run = copy / "reproduction" / "speaker-run"
    record = json.loads((run / "folds" / "fold_00.json").read_text())
    answers = record["probabilities"]["keras"]
    answers[0] = [answers[0][-1], *answers[0][:-1]]  # another class
    edit_record(run, 0, probabilities={"keras": answers})
    reproduce(copy)
    assert set(TEXTS) <= set(differing(built, copy))
    (run / "folds" / "fold_03.json").unlink()
    readme, account, card = [path.read_text() for path in reproduce(copy)]
    assert "**3 of 4 folds**" in account  # an unfinished run stands there alone
    assert "3 of 4 folds" not in readme + card
    assert NOT_RUN in card
    assert NOT_RUN in expected_scores([])


@pytest.mark.parametrize(
    ("protocol", "select", "question"),
    [
        ("published", "best", AS_PUBLISHED),
        ("paper", "best", AS_PUBLISHED),
        ("published", "last", SHARED),
        ("random", "best", SHARED),
        ("speaker", "last", HELD_OUT),
        ("session", "best", HELD_OUT),
    ],
)
def test_each_run_answers_one_question(
    tmp_path: Path, protocol: str, select: str, question: str
) -> None:
    run = write_source(tmp_path / "run", protocol=protocol, select=select)
    assert question_of(load_run(run)) == question


def test_published_scores_are_placed_against_the_intervals(tmp_path: Path) -> None:
    held_out = load_run(write_source(tmp_path / "speaker-run"))
    assert against_published([(held_out, {"keras": {}})], {}) == ""
    chosen = {"protocol": "published", "select": "best"}
    as_published = load_run(write_source(tmp_path / "published-run", **chosen))
    # printed as 93.68, 93.18 and 94.15
    interval = {"value": 0.936751, "low": 0.931849, "high": 0.94151}
    metrics = {"keras": {"headline": dict.fromkeys(SHORT_NAMES, interval)}}
    scores = {
        "paper": {"ua": 94.15, "wa": 94.16, "weighted_f1": 93.17},
        "fork": {"ua": 93.18, "wa": 93.0, "weighted_f1": 95.0},
    }
    published = {"scores_percent": {"cross_entropy": scores}}
    rows = [(as_published, metrics)]
    paper, fork = against_published(rows, published).splitlines()[-2:]
    cells = "94.15 (+0.47) inside | 94.16 (+0.48) above | 93.17 (-0.51) below"
    assert paper.endswith(f"| paper | {cells} |")
    cells = "93.18 (-0.50) inside | 93.00 (-0.68) below | 95.00 (+1.32) above"
    assert fork.endswith(f"| fork | {cells} |")


def test_a_text_without_marks_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "README.md"
    content = MARKS[0].format("results") + "\nno end\n"
    text.write_text(content)
    with pytest.raises(InputError, match=r"README\.md: must hold the lines"):
        put_between(text, "tables")
    assert text.read_text() == content


def test_the_commands_of_records_are_anyone_s() -> None:
    """They name no folder of a machine, and ask today for the settings of the run."""
    for config in (PROJECT / "reproduction").glob("*/config.json"):
        for path in (config, *config.parent.glob("folds/fold_*.json")):
            record = json.loads(path.read_text())
            words = shlex.split(record["command"])
            assert not [word for word in words if word.startswith("/")], path
            several, _ = train.settings_of_runs(train.parse_args(words[2:]))
            assert from_flat(record["settings"]) in several, path
