"""The page of a run: whole, without scripts and requests, every text escaped."""

import base64
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import soundfile
from conftest import tone
from page_reader import Reader
from synthetic_run import CLASSES, NOTE, VERDICT, edit_record, trained_run

from hyperparameters import InputError
from utils.corpora.manifest import Manifest, Utterance
from utils.files import PROJECT
from utils.report.page import report_page
from utils.report.recordings import recordings_of
from utils.report.render import metrics_of, render
from utils.runs.records import load_run

HOSTILE = '<script>alert("$body")</script>'


def page_of(folder: Path, manifest: Manifest | None = None) -> Reader:
    """The page of a run folder; nothing is drawn or written."""
    recordings = recordings_of(manifest) if manifest else {}
    run = load_run(folder)
    return Reader(report_page(run, metrics_of(run, recordings), recordings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete run of four folds."""
    return trained_run(tmp_path / "result" / "run")


@pytest.fixture
def manifest(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """The recordings of the run, of 0.1 to 0.58 s, in a folder of an awkward name."""
    utterances = []
    for record in load_run(folder).records:
        rows = zip(record["test"], record["labels"], record["speakers"], strict=True)
        for name, label, speaker in rows:
            path = tmp_path / 'my "data" #1' / f"{name}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, tone(0.1 + 0.01 * len(utterances)), 16_000)
            utterances.append(
                Utterance(id=name, path=path, label=CLASSES[label], speaker=speaker)
            )
    monkeypatch.setattr(Manifest, "digest", "d")  # that of the invented run
    return Manifest(corpus="DEMO", classes=CLASSES, utterances=tuple(utterances))


def test_a_page_says_what_the_report_says(folder: Path, manifest: Manifest) -> None:
    page = Reader(render(folder, manifest).page.read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.texts).split())
    for part in (
        f"Light-SERNet on DEMO, protocol published {VERDICT} {NOTE}",
        "Scores in %, pooled over 48 test rows",
        "a random class has UA and WA 33.33; always boredom",
        "Confusion matrix: true classes in rows",
        "By class, in %",
        "By speaker, in %",
        "0.10-0.22 s 12",
        "Exported models, in %",
        "Learning curves",
        "Leak audit fold test speakers shared 0 12 4",
        "Command train.py -dn DEMO",
        "epochs 5",
    ):
        assert part in text
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "a"} & set(names)
    [picture] = page.sources("img")
    kind, data = picture.split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    chance = {"class": "mark chance", "style": "left:33.33%"}
    assert page.tags.count(("i", chance)) == 4 + 3 + 4 + 4  # rows with bars


def test_players_link_the_recordings_relatively(
    folder: Path, manifest: Manifest
) -> None:
    sources = page_of(folder, manifest).sources("audio")
    rows = load_run(folder).rows()
    wrong = rows.take(rows.true != rows.predicted)
    assert len(sources) == min(12, len(wrong)) + 6
    for source in sources:
        assert source.startswith("../../my%20%22data%22%20%231/")
        assert (folder / urllib.parse.unquote(source)).is_file()
    listed = [Path(source).stem for source in sources[:12]]
    assert set(listed) <= set(wrong.utterance_ids)


def test_without_recordings_the_page_says_how_to_get_players(folder: Path) -> None:
    page = page_of(folder)
    assert page.sources("audio") == []
    assert any("--data_dir FOLDER" in text for text in page.texts)
    assert "per_duration" not in metrics_of(load_run(folder))["keras"]


def test_another_corpus_is_refused(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manifest, "digest", "other")
    with pytest.raises(InputError, match="another version of DEMO"):
        render(folder, manifest)


@pytest.mark.parametrize(
    "changes",
    [{"labels": [0] * 12}, {"speakers": ["s01"] * 12}, {"test": list("abcdefghijkl")}],
)
def test_classes_and_speakers_are_those_of_the_corpus(
    folder: Path, manifest: Manifest, changes: dict[str, Any]
) -> None:
    """Else a changed record would be scored by its own word."""
    edit_record(folder, 0, **changes)
    with pytest.raises(InputError, match=r"fold 0: utterance .* than in DEMO: the rec"):
        render(folder, manifest)


def test_texts_of_a_run_are_no_markup(tmp_path: Path) -> None:
    folder = trained_run(
        tmp_path,
        classes=[HOSTILE, "a&b", "$title"],
        commit=HOSTILE,
        extra={"audit": {"verdict": HOSTILE, "lines": [HOSTILE]}},
    )
    edit_record(folder, 0, speakers=[HOSTILE] * 12)
    page = page_of(folder)
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.texts.count(HOSTILE) >= 6  # verdict, audit, commit, matrix, tables
    assert {"a&b", "$title"} <= set(page.texts)


@pytest.mark.parametrize(
    ("protocol", "folds_done", "first", "absent"),
    [
        ("all", (0,), "No score, by design", "Confusion matrix"),
        ("published", (0, 2), "PARTIAL RUN: 2 of 4 folds", "no score"),
    ],
)
def test_pages_of_runs_that_lack_something(
    tmp_path: Path, protocol: str, folds_done: tuple[int, ...], first: str, absent: str
) -> None:
    texts = page_of(trained_run(tmp_path, protocol=protocol, folds_done=folds_done))
    text = " ".join(texts.texts)
    assert first in text
    assert absent not in text


def test_pages_of_real_runs_are_small() -> None:
    pages = list((PROJECT / "reproduction").glob("EMO-DB_*/report.html"))
    assert pages
    assert max(path.stat().st_size for path in pages) < 3_000_000


def test_a_browser_shows_it_without_complaint(folder: Path, manifest: Manifest) -> None:
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs the program chromium")
    run, recordings = load_run(folder), recordings_of(manifest)
    path = folder / "report.html"
    path.write_text(report_page(run, metrics_of(run, recordings), recordings))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")
    done = subprocess.run(
        [chromium, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert "<h2>Leak audit</h2>" in done.stdout
