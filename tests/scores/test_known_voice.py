"""What recordings of a voice are worth, on invented answers counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import edit_record, one_hot, write_run

from hyperparameters import RECIPES, InputError, from_flat, recipe_of, to_flat
from reproduction.recipes import KNOWN, UNKNOWN, recipe_tables
from utils.files import PROJECT
from utils.model_files.new_voice import new_voice_scores
from utils.report.render import render
from utils.runs.records import load_run
from utils.scores.known_voice import known_voice_rows, known_voice_table, main

# of each speaker: true classes 0, 1, 2; the network alone says 0 to all
ROWS = [[(f"{s}{n}", s, n, 0) for n in range(3)] for s in ("anna", "ben")]
RIGHT = [one_hot(n) for n in range(3)]
WRONG = [one_hot((n + 1) % 3) for n in range(3)]
KNOWN_VOICE = {
    "all": {"keras": RIGHT, "functionals": RIGHT},
    # the second of two draws used the first utterance
    "draws": {"1": {"keras": [[0, 1, 0], [-1, 1, 2]]}},
}
FUNCTIONALS = {"none": WRONG}
PUBLISHED = "reproduction/*/folds/fold_00.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folds of `new_voice`, one speaker each."""
    settings = to_flat(
        from_flat({"protocol": "speaker", **RECIPES["new_voice"].values})
    )
    return write_run(
        tmp_path / "run",
        ROWS,
        settings=settings,
        known_voice=KNOWN_VOICE,
        functionals=FUNCTIONALS,
    )


def test_scores_by_number_of_recordings(folder: Path) -> None:
    rows = known_voice_rows(load_run(folder))
    found = {
        (row[0], row[1]): tuple(float(cell.split()[0]) for cell in row[2:4]) + row[4:]
        for row in rows
    }
    third = pytest.approx(100 / 3, abs=0.01)
    assert found["none", "network"] == (third, third, 6)
    assert found["none", "functionals"] == (0.0, 0.0, 6)
    # 6 rows of the first draw, 4 of the second; class 2 is right in half of them
    expected = (pytest.approx(250 / 3, abs=0.01), 80.0, 10)
    assert found["1", "network"] == expected
    assert found["all", "network"] == (100.0, 100.0, 6)
    assert found["all", "mean of both"] == (100.0, 100.0, 6)


def test_the_report_never_mixes_what_was_known(folder: Path) -> None:
    rendered = render(folder)
    unknown, known = rendered.report.read_text().split("Recordings of the test voice")
    assert "Nothing known of the voice" in unknown
    assert "100.00" not in unknown.split("Nothing known")[1]
    assert "used unlabelled recordings of the test speaker" in " ".join(known.split())
    [line] = [
        row for row in known.splitlines() if row.split()[:2] == ["all", "network"]
    ]
    assert "100.00" in line
    assert rendered.page.read_text().count("test voice set the scale") == 1
    audit = {"audit": {"verdict": "speaker-independent"}}
    (folder / "metrics.json").write_text(json.dumps(rendered.metrics | audit))
    scores = new_voice_scores(folder)["right"]
    assert scores["network"] == {"none": 0.3333, "1": 0.8}
    assert scores["mean of both"] == {"none": 0.3333}  # of equal classes, the first


def test_tables_never_mix_what_was_known(folder: Path) -> None:
    run = load_run(folder)
    assert recipe_of(run.settings) == "new_voice"
    text = recipe_tables([run])
    unknown, known = text.split(f"**{KNOWN}**")
    assert f"**{UNKNOWN}**" in unknown
    assert "100.00" not in unknown
    assert "| `new_voice` | 42 | all | network | 100.00" in known
    assert recipe_tables([]) == ""


def test_seeds_are_pooled_and_tested_against_other_systems(
    folder: Path, tmp_path: Path
) -> None:
    """Of three classes, the published run has one right; a seed has one or none."""
    settings = load_run(folder).settings
    other = write_run(
        tmp_path / "other",
        [[(name, s, n, (n + 1) % 3) for name, s, n, _ in rows] for rows in ROWS],
        settings={**settings, "seed": 43},
        known_voice=KNOWN_VOICE,
        functionals=FUNCTIONALS,
    )
    published = write_run(
        tmp_path / "published",
        ROWS,
        settings=to_flat(from_flat({"protocol": "speaker", "select": "last"})),
    )
    text = recipe_tables([load_run(path) for path in (folder, other, published)])
    [row] = [line for line in text.splitlines() if "| none | network |" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["`new_voice`", "42, 43", "none", "network"]
    assert cells[4].split()[0] == "16.67"
    assert cells[6] == "33.3, 0.0"
    assert cells[7].startswith("-16.7 (")
    assert cells[8].startswith("+16.7 (")
    [row] = [line for line in text.splitlines() if "| all | functionals |" in line]
    assert row.split("|")[-2].strip() == "–"
    assert text.count("reproduction/") == 2


def with_draws(*draws: Any, system: str = "keras") -> dict[str, Any]:
    """Changes of a record: other classes predicted with one known recording."""
    return {"known_voice": KNOWN_VOICE | {"draws": {"1": {system: list(draws)}}}}


def with_all(**tables: Any) -> dict[str, Any]:
    """Changes of a record: other probabilities with all recordings known."""
    return {"known_voice": KNOWN_VOICE | {"all": tables}}


DAMAGED = [
    (
        with_all(keras=RIGHT[:2]),
        r"'all', 'keras': probabilities must be 3 x 3 .* got 2",
    ),
    (with_all(int8=[[1, 0]] * 3), "'all', 'int8': probabilities must be 3 x 3"),
    (with_all(keras=[[1e308, 0, 0]] * 3), "'keras': probabilities must lie in 0..1"),
    (with_all(functionals=[[-1e300, 0, 0]] * 3), "probabilities must lie in 0..1"),
    (with_all(pair=RIGHT), "'all': must be of keras, int8, functionals, got 'pair'"),
    (with_all(keras="x"), "must be an object"),
    (with_draws([0, 1]), "'1', 'keras': must be lists of 3 classes"),
    (with_draws([0, 1, 2], [0]), "must be lists of 3 classes"),
    (with_draws(), "must be lists of 3 classes"),
    (with_draws([0, 1, 10**9]), "must be class indices below 3, or -1"),
    (with_draws([0, 1, 3]), "must be class indices below 3, or -1"),
    (with_draws([0, 1, -2]), "must be class indices below 3, or -1"),
    (with_draws([0, 1, 2], [-1] * 3), "must score an utterance in every draw"),
    (with_draws([0, 1, "x"]), "must be an object"),
    (with_draws([0, 1, 2], system="int8"), "must be of keras, functionals, pair, got"),
    ({"known_voice": {}}, "must hold 'all' and 'draws', got ''"),
    ({"known_voice": 7}, "must be an object"),
    ({"functionals": {"other": RIGHT}}, "'functionals' must hold 'none', got 'other'"),
    ({"functionals": {"none": [[0, 0, 1e308]] * 3}}, "'none': probabilities must lie"),
    (
        {"settings": {"teacher": "x"}},
        "settings: --teacher must be one of none, functionals",
    ),
    ({"functionals": {"none": RIGHT[:1]}}, "'none': probabilities must be 3 x 3"),
]


@pytest.mark.parametrize(("changes", "message"), DAMAGED)
def test_a_damaged_record_is_one_line(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_record(folder, 1, **changes)
    with pytest.raises(InputError, match=message) as error:
        load_run(folder)
    assert "fold_01.json: " in str(error.value)


@pytest.mark.parametrize("fold", [0, 1])
def test_int8_is_left_out_until_all_folds_are_exported(folder: Path, fold: int) -> None:
    before = known_voice_rows(load_run(folder))
    known = KNOWN_VOICE | {"all": {**KNOWN_VOICE["all"], "int8": RIGHT}}
    edit_record(folder, fold, known_voice=known)
    assert known_voice_rows(load_run(folder)) == before


def test_folds_of_different_systems_are_one_line(folder: Path) -> None:
    edit_record(folder, 1, **with_draws([0, 1, 2], system="pair"))
    with pytest.raises(InputError, match="is damaged; train these folds again"):
        known_voice_rows(load_run(folder))


ONLY_SCALED = {"feature_scaling": "voice"}
ONLY_TAUGHT = {"teacher": "functionals"}
OF_NETWORK = {
    "all": {"keras": RIGHT, "int8": RIGHT},
    "draws": {"1": {"keras": [[0, 1, -1]]}},
}


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"known_voice": OF_NETWORK}, "left out with --feature_scaling none"),
        (ONLY_TAUGHT, {"known_voice": OF_NETWORK}, "with --feature_scaling none"),
        (ONLY_SCALED, {"known_voice": OF_NETWORK}, None),
        (ONLY_SCALED, {"known_voice": KNOWN_VOICE}, "keras, int8, got 'functionals'"),
        (ONLY_SCALED, with_draws([0, 1, 2], system="pair"), "got 'functionals'"),
        ({}, {"functionals": FUNCTIONALS}, "left out with --teacher none"),
        (ONLY_SCALED, {"functionals": FUNCTIONALS}, "left out with --teacher none"),
        (ONLY_TAUGHT, {"functionals": FUNCTIONALS}, None),
    ],
)
def test_only_what_the_settings_make_is_scored(
    tmp_path: Path,
    settings: dict[str, Any],
    changes: dict[str, Any],
    message: str | None,
) -> None:
    folder = write_run(tmp_path / "run", ROWS, settings=settings, **changes)
    if message is None:
        assert len(known_voice_rows(load_run(folder))) > 1
        return
    with pytest.raises(InputError, match=message):
        load_run(folder)


def test_published_records_hold_what_is_checked() -> None:
    """The checks see real predictions with known voices, and pass them."""
    runs = [load_run(path.parent.parent) for path in PROJECT.glob(PUBLISHED)]
    held = [run for run in runs if "known_voice" in run.records[0]]
    assert held
    for run in held:
        assert {row[0] for row in known_voice_rows(run)} >= {"none", "1", "all"}


def test_a_run_without_known_voices_says_so(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", ROWS))
    with pytest.raises(InputError, match="train with --feature_scaling voice"):
        known_voice_table(run)
    assert recipe_of(run.settings) is None


def test_the_command_names_protocol_seed_and_epochs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(folder)])
    printed = capsys.readouterr().out
    assert "TEST, protocol speaker, seed 42, 40 epochs, 2 of 2 folds" in printed
    assert "use unlabelled recordings of the test speaker" in printed
