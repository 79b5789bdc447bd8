"""Run folders with random damage: a report, or one line that says what is wrong."""

import copy
import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged
from fuzzing import fuzz, line_of
from synthetic_run import one_hot, trained_run

from hyperparameters import InputError, from_flat, to_flat
from utils.report.page import report_page
from utils.report.render import headline, metrics_of
from utils.report.text import report_text
from utils.runs.records import load_run
from utils.scores.compare import compare, to_text

HOSTILE = [
    *(None, True, "", "1", "../x", "<b>", "\x00", "\u202e", "\ud800", "é" * 99),
    *(-1, 0, 1, 0.5, 10**30, 10**400, 1e308, -1e308, float("nan"), float("inf")),
    *([], {}, ["x"], {"a": 1}, [[1]], {"": []}),
]
SETTINGS = to_flat(
    from_flat({"epochs": 5, "feature_scaling": "voice", "teacher": "functionals"})
)
TABLE = [one_hot(number % 3) for number in range(12)]
KNOWN = {
    "functionals": {"none": TABLE},
    "known_voice": {
        "all": {"keras": TABLE, "functionals": TABLE},
        "draws": {"1": dict.fromkeys(("keras", "pair"), [[-1, *[0, 1] * 5, 2]] * 2)},
    },
}
MOST_ENTRIES = 3  # of a list, that are damaged


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys and indices that lead to every value of a JSON object."""
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content[:MOST_ENTRIES])
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damage(content: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy with one value replaced or removed; large lists are not preferred."""
    changed = copy.deepcopy(content)
    found = list(places(changed))
    short = [path for path in found if len(path) < 3]
    *path, last = draw.choice(draw.choice([found, short]))
    owner: Any = changed
    for key in path:
        owner = owner[key]
    if draw.random() < 0.15:
        del owner[last]
    else:
        owner[last] = draw.choice(HOSTILE)
    return changed


@functools.cache
def whole_run(folder: Path) -> tuple[Path, dict[Path, str]]:
    """A run folder, and the texts of its configuration and of a record."""
    run = trained_run(folder, folds_done=(0, 1), settings=SETTINGS, **KNOWN)
    paths = (run / "config.json", run / "folds" / "fold_00.json")
    return run, {path: path.read_text() for path in paths}


def try_damaged_run(folder: Path, number: int) -> str:
    """Report on a run with one odd value, or with damaged bytes, in a file."""
    run_folder, texts = whole_run(folder)
    draw = random.Random(number)
    path = draw.choice(list(texts))
    if number % 4:
        content = json.dumps(damage(json.loads(texts[path]), draw)).encode()
    else:
        content = damaged(texts[path].encode(), np.random.RandomState(number))
    path.write_bytes(content)
    try:
        run = load_run(run_folder)
    except InputError as error:
        return line_of(error, run_folder)
    finally:
        path.write_text(texts[path])
    metrics = metrics_of(run)
    json.dumps(metrics, allow_nan=False)
    texts_shown = (report_text(run, metrics), report_page(run, metrics))
    "".join([*texts_shown, headline(metrics), to_text(compare([run]))]).encode()
    return "reported"


@pytest.mark.parametrize("count", [100, pytest.param(2_000, marks=pytest.mark.proof)])
def test_a_damaged_run_has_a_report_or_is_refused(tmp_path: Path, count: int) -> None:
    found = fuzz(try_damaged_run, count, tmp_path)
    assert count / 20 < found["reported"] < count / 2
