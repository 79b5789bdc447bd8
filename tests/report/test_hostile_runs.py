"""Run folders with random damage: a report, or one line that says what is wrong."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import trained_run

from hyperparameters import InputError
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


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=pytest.mark.proof)])
def test_a_damaged_run_has_a_report_or_is_refused(tmp_path: Path, count: int) -> None:
    folder, draw = trained_run(tmp_path, folds_done=(0, 1)), random.Random(0)
    paths = (folder / "config.json", folder / "folds" / "fold_00.json")
    whole = {path: path.read_text() for path in paths}
    reports = 0
    for _ in range(count):
        path = draw.choice(paths)
        path.write_text(json.dumps(damage(json.loads(whole[path]), draw)))
        refusal = ""
        try:
            run = load_run(folder)
        except InputError as error:
            refusal = str(error)
        if refusal:
            assert refusal.startswith(str(folder))
        else:
            metrics = metrics_of(run)
            json.dumps(metrics, allow_nan=False)
            texts = (report_text(run, metrics), report_page(run, metrics))
            "".join([*texts, headline(metrics), to_text(compare([run]))]).encode()
            reports += 1
        path.write_text(whole[path])
    assert count / 20 < reports < count / 2
