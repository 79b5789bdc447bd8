"""Answers and refusals of single recordings, and several threads."""

import threading
import time

import numpy as np
import pytest
from small_models import RATE_HZ, babble, classify_json, error_of, write

from utils.inference.classify import classify_centre, ordered_map

pytest_plugins = ["inference_fixtures"]


def test_a_long_file_gets_the_same_centre(plain, tmp_path):
    """Longer than what is kept in memory: the second pass finds the same segment."""
    samples = babble(125.37)
    whole = write(tmp_path / "long.wav", samples)
    start = (len(samples) - RATE_HZ) // 2
    centre = write(tmp_path / "centre.wav", samples[start : start + RATE_HZ])
    np.testing.assert_array_equal(
        classify_centre(whole, "a", plain).probabilities,
        classify_centre(centre, "b", plain).probabilities,
    )


def test_threads_give_the_answers_of_one(models_dir, tmp_path, capsys):
    for number in range(12):
        write(tmp_path / f"{number}.wav", babble(0.7 + number / 10, number))
    one = classify_json(capsys, "-fn", tmp_path, "--jobs", "1")
    four = classify_json(capsys, "-fn", tmp_path, "--jobs", "4")
    assert one == four
    assert len(one) == 12


def test_ordered_map_reads_no_further_than_it_must():
    running, taken = threading.active_count(), []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = ordered_map(lambda n: (time.sleep(0.001), n)[1], items(), 2)
    assert next(results) == 0
    assert len(taken) <= 5
    assert list(results) == list(range(1, 100))
    assert threading.active_count() == running


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([0.5], "must last at least 64 ms, got 0.0625 ms"),
        ([0.5] * 1023, "must last at least 64 ms, got 63.9 ms"),
        ([0.0] * 2000, "is silent throughout"),
        ([0.5] * 2000, "is silent throughout"),  # an offset, not sound
        ([0.5] * 2000 + [0.0] * 40_000 + [0.5] * 2000, "its centre 1 s are silent"),
        ([0.5] * 2000 + [0.1] * 40_000 + [0.5] * 2000, "its centre 1 s are silent"),
        ([0.5] * 2000 + [float("nan")], "holds NaN or infinite samples"),
        ([], "contains no samples"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    models_dir, tmp_path, capsys, samples, message
):
    path = write(tmp_path / "a.wav", np.array(samples), "FLOAT")
    assert error_of(capsys, "-fn", path).startswith(f"{path}: {message}")
