"""The committed tables and plots are what the program makes of the records, exactly."""

import filecmp
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperparameters import InputError, from_flat, to_flat
from reproduction.__main__ import (
    MARKS,
    Texts,
    add_run,
    put_between,
    reproduce,
)
from reproduction.tables import (
    NOT_RUN,
    SHORT_NAMES,
    against_published,
    expected_scores,
)
from tests.synthetic_run import random_folds, write_run
from utils.files import PROJECT
from utils.runs.records import RECORD_NAME, load_run

# rendered when a run was finished, from weights that are not committed
NOT_REBUILT = (".tflite", ".keras")


def copy_of(project: Path, target: Path) -> Path:
    """The texts and records that the tables are made of, in a folder of their own."""
    shutil.copytree(project / "reproduction", target / "reproduction")
    for text in Texts.of(project):
        shutil.copy(text, target)
    return target


def files_of(project: Path) -> Iterator[Path]:
    """What `reproduce` reads and writes, relative to the project."""
    yield from (text.relative_to(project) for text in Texts.of(project))
    for path in sorted((project / "reproduction").rglob("*")):
        if path.is_file() and path.suffix not in NOT_REBUILT:
            yield path.relative_to(project)


def differing(first: Path, second: Path) -> list[str]:
    """Files that are in one project alone, or have other bytes there."""
    names = {*files_of(first), *files_of(second)}
    same, _, _ = filecmp.cmpfiles(first, second, map(str, names), shallow=False)
    return sorted({str(name) for name in names} - set(same))


def test_committed_tables_and_plots_are_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    copy = copy_of(PROJECT, tmp_path)
    for path in copy.glob("reproduction/*/**/*"):
        is_record = path.name == "config.json" or RECORD_NAME.fullmatch(path.name)
        if path.is_file() and not is_record:
            path.unlink()
    reproduce(copy)
    assert differing(PROJECT, copy) == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one run of leave-one-speaker-out."""
    project = copy_of(PROJECT, tmp_path_factory.mktemp("project"))
    for run in project.glob("reproduction/*/"):
        shutil.rmtree(run)
    chosen = {"dataset_name": "EMO-DB", "protocol": "speaker", "select": "last"}
    settings = to_flat(from_flat(chosen))
    extra: dict[str, Any] = {
        "machine": "a processor",
        "cpu_seconds": 1800.0,
        "epoch_kept": 299,
        "history": {},
    }
    source = write_run(
        project / "runs" / "speaker-run",
        random_folds(0, speakers=4),
        settings=settings,
        corpus={"name": "EMO-DB", "digest": "feed"},
        **extra,
    )
    (source / "folds" / "fold_00").mkdir()
    (source / "folds" / "fold_00" / "weights.keras").write_bytes(b"large")
    add_run(source, project / "reproduction")
    reproduce(project)
    return project


def test_a_run_fills_every_text(built: Path) -> None:
    readme, account, card = (text.read_text() for text in Texts.of(built))
    report = "reproduction/speaker-run/EMO-DB_3.0s_Segmented_cross_entropy_Report.txt"
    assert (built / report).is_file()
    row = "| ours | speaker, last epoch | cross_entropy |"
    for text in (readme, account, card):
        assert row in text
        assert f"[report]({report})" in text
        assert "2.0 CPU-hours on a processor" in text
    assert f"{report.removesuffix('_Report.txt')}_Recall.png" in readme
    assert "**cross_entropy, ours: speaker, last epoch (48 rows)**" in account
    assert "](reproduction/cross_entropy_confusions.png)" in account
    assert (built / "reproduction" / "cross_entropy_confusions.png").is_file()
    assert card.count("| s0") == 4
    assert NOT_RUN not in card


def test_scores_are_those_of_the_metrics(built: Path) -> None:
    metrics = json.loads(
        (built / "reproduction" / "speaker-run" / "metrics.json").read_text()
    )
    card = Texts.of(built).model_card.read_text()
    for entry in metrics["keras"]["per_class"]:
        recall = entry["recall"]
        cell = f"{100 * recall['value']:.2f} [{100 * recall['low']:.2f}, "
        assert f"| {entry['class']} | {entry['support']} | {cell}" in card


def test_a_run_on_another_corpus_is_refused(tmp_path: Path) -> None:
    """Its scores would stand beside figures of other recordings."""
    project = copy_of(PROJECT, tmp_path)
    settings = to_flat(from_flat({"dataset_name": "RAVDESS"}))
    source = write_run(tmp_path / "a-run", random_folds(0), settings=settings)
    assert add_run(source / ".", project / "reproduction").name == "a-run"
    with pytest.raises(InputError, match=r"figures are of EMO-DB; keep runs"):
        reproduce(project)


def test_weights_are_not_copied(built: Path) -> None:
    run = built / "reproduction" / "speaker-run"
    assert len(list(run.glob("folds/fold_*.json"))) == 4
    assert not [path for path in run.rglob("*") if path.suffix in NOT_REBUILT]


@pytest.mark.parametrize("name", Texts._fields)
def test_an_edited_text_is_noticed(built: Path, tmp_path: Path, name: str) -> None:
    copy = copy_of(built, tmp_path)
    text: Path = getattr(Texts.of(copy), name)
    content = text.read_text()
    end = MARKS[1].format("results")
    text.write_text(content.replace(end, f"a better score\n\n{end}"))
    reproduce(copy)
    assert differing(built, copy) == []
    assert text.read_text() == content


def test_an_edited_record_is_noticed(built: Path, tmp_path: Path) -> None:
    copy = copy_of(built, tmp_path)
    path = copy / "reproduction" / "speaker-run" / "folds" / "fold_00.json"
    record = json.loads(path.read_text())
    answers = record["probabilities"]["keras"]
    answers[0] = [answers[0][-1], *answers[0][:-1]]  # another class
    path.write_text(json.dumps(record))
    reproduce(copy)
    assert {"README.md", "REPRODUCTION.md", "MODEL_CARD.md"} <= set(
        differing(built, copy)
    )


def set_protocol(project: Path, protocol: str) -> None:
    """Rewrite what the run's configuration and records say of their protocol."""
    run = project / "reproduction" / "speaker-run"
    for path in [run / "config.json", *run.glob("folds/*.json")]:
        content = json.loads(path.read_text())
        content["settings"]["protocol"] = protocol
        path.write_text(json.dumps(content))


def test_random_folds_never_stand_among_held_out_speakers(
    built: Path, tmp_path: Path
) -> None:
    copy = copy_of(built, tmp_path)
    set_protocol(copy, "random")
    texts = reproduce(copy)
    readme = texts.readme.read_text()
    shared, held_out = readme.split("**Speakers held out")
    assert "| ours | random, last epoch" in shared
    assert "| ours | random" not in held_out
    assert NOT_RUN in texts.model_card.read_text()


def test_an_unfinished_run_stands_in_the_account_alone(
    built: Path, tmp_path: Path
) -> None:
    copy = copy_of(built, tmp_path)
    (copy / "reproduction" / "speaker-run" / "folds" / "fold_03.json").unlink()
    texts = reproduce(copy)
    assert "**3 of 4 folds**" in texts.reproduction.read_text()
    for text in (texts.readme, texts.model_card):
        assert "3 of 4 folds" not in text.read_text()
        assert NOT_RUN in text.read_text()


def test_published_folds_whose_test_set_chose_nothing_stand_apart(
    built: Path, tmp_path: Path
) -> None:
    copy = copy_of(built, tmp_path)
    set_protocol(copy, "published")  # and `select` stays `last`
    readme = reproduce(copy).readme.read_text()
    as_published, once = readme.split("**Speakers shared, the test set touched once**")
    assert "| ours | published, last epoch" in once
    assert "| ours | published, last epoch" not in as_published


def test_published_figures_are_placed_against_the_intervals(
    built: Path, tmp_path: Path
) -> None:
    copy = copy_of(built, tmp_path)
    run = copy / "reproduction" / "speaker-run"
    assert against_published([(load_run(run), {"keras": {}})], {}) == ""  # held out
    for path in run.glob("folds/*.json"):
        content = json.loads(path.read_text()) | {"chosen_on": "test"}
        path.write_text(json.dumps(content))
    interval = {"low": 0.931849, "high": 0.94151}  # 93.18 and 94.15 where printed
    metrics = {"keras": {"headline": dict.fromkeys(SHORT_NAMES, interval)}}
    figures = {
        "paper": {"ua": 94.15, "wa": 94.16, "weighted_f1": 93.17},
        "fork": {"ua": 93.18, "wa": 93.0, "weighted_f1": 95.0},
    }
    published = {"scores_percent": {"cross_entropy": figures}}
    table = against_published([(load_run(run), metrics)], published)
    paper, fork = table.splitlines()[-2:]
    assert paper.endswith("| paper | 94.15 inside | 94.16 above | 93.17 below |")
    assert fork.endswith("| fork | 93.18 inside | 93.00 below | 95.00 above |")


def test_without_runs_the_card_says_so() -> None:
    assert NOT_RUN in expected_scores([])


def test_a_text_without_marks_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "README.md"
    content = MARKS[0].format("results") + "\nno end\n"
    text.write_text(content)
    with pytest.raises(InputError, match=r"README\.md: must hold the lines"):
        put_between(text, "tables")
    assert text.read_text() == content
