"""Timelines of long recordings: windows, speech and pauses, the drawing."""

import csv
import io

import numpy as np
import pytest
import soundfile
from small_models import (
    CLASSES,
    RATE_HZ,
    babble,
    classify,
    classify_json,
    error_of,
    write,
)

from utils.audio.decode import blocks
from utils.audio.windows import Sliding
from utils.inference.classify import classify_centre, classify_windows

pytest_plugins = ["inference_fixtures"]


def test_a_timeline_tells_speech_from_silence(models_dir, talk, capsys):
    [answer] = classify_json(capsys, "-fn", talk, "--windows")
    windows = answer["windows"]
    assert [window["start_s"] for window in windows] == list(range(11))
    assert windows[-1]["end_s"] == 10.5
    spoken = [window["class"] is not None for window in windows]
    assert spoken == [True] * 3 + [False] * 6 + [True] * 2
    assert windows[8]["level_db"] == -200.0
    shares = [list(w["probabilities"].values()) for w in windows if w["class"]]
    np.testing.assert_allclose(
        list(answer["probabilities"].values()), np.mean(shares, axis=0), atol=1e-6
    )


@pytest.mark.parametrize("offset", [0.002, -0.02, 0.4])
def test_an_offset_is_no_speech(plain, talk, offset):
    samples, _ = soundfile.read(talk)
    shifted = write(talk.with_name("shifted.wav"), samples + offset, "FLOAT")
    sliding = Sliding(length=RATE_HZ, hop=RATE_HZ)
    found = [
        [span.is_speech for span in answer.spans]
        for path in (talk, shifted)
        for answer in [classify_windows(path, "a", plain, sliding=sliding, jobs=1)]
    ]
    assert found[0] == found[1]


def test_each_window_is_classified_like_a_separate_file(plain, talk, tmp_path):
    sliding = Sliding(length=12_000, hop=8_000)  # shorter than the model's segment
    timeline = classify_windows(talk, "talk", plain, sliding=sliding, jobs=3)
    samples, _ = soundfile.read(talk)
    for span in timeline.spans[:4]:
        start, end = int(span.start_s * RATE_HZ), int(span.end_s * RATE_HZ)
        part = write(tmp_path / "part.wav", samples[start:end], "FLOAT")
        alone = classify_centre(part, "part", plain)
        np.testing.assert_array_equal(alone.probabilities, span.probabilities)


def test_sound_that_no_window_holds_is_refused(models_dir, tmp_path, capsys):
    samples = np.concatenate([np.zeros(2 * RATE_HZ), babble(1.0)])
    path = write(tmp_path / "late.wav", samples)
    message = error_of(capsys, "-fn", path, "--windows", "--hop", "4")
    assert "sound lies only between the windows; shorten --hop" in message


def test_a_timeline_as_text_csv_and_picture(models_dir, talk, tmp_path, capsys):
    text = classify(capsys, "-fn", talk, "--windows", "--hop", "2").splitlines()
    assert "  0:00:04.00  0:00:05.00  no speech" in text
    assert "  mean of the windows with speech, 3 of 6:" in text
    output = classify(
        capsys,
        "-fn",
        talk,
        "--windows",
        "--hop",
        "2",
        "--csv",
        "--plot",
        tmp_path / "talk.png",
    )
    assert (tmp_path / "talk.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert [float(row["start_s"]) for row in rows] == [0, 2, 4, 6, 8, 10]
    assert rows[2]["class"] == "no speech"
    assert rows[2]["anger"] == ""
    assert sum(float(rows[0][name]) for name in CLASSES) == pytest.approx(1.0, abs=1e-5)


def test_the_drawing_holds_waveform_classes_and_pauses(plain, talk):
    from utils.report.plots.timeline import envelope, timeline_figure

    sliding = Sliding.build(plain.front_end, length_s=None, hop_s=1.0)
    answer = classify_windows(talk, "talk", plain, sliding=sliding, jobs=1)
    samples, _ = soundfile.read(talk)
    extremes = envelope(blocks(talk, RATE_HZ), len(samples))
    assert extremes.shape == (2000, 2)
    assert extremes[:, 0].min() == samples.min()
    assert extremes[:, 1].max() == samples.max()
    top, bottom = timeline_figure(answer, plain.classes, extremes).axes
    assert top.get_title(loc="left") == "talk"
    assert [line.get_label() for line in bottom.lines] == list(CLASSES)
    drawn = np.array([line.get_ydata() for line in bottom.lines])
    assert np.isnan(drawn).all(axis=0).tolist() == [
        not s.is_speech for s in answer.spans
    ]
