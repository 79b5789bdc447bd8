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

import inference_single_file
from utils.audio.decode import blocks
from utils.audio.windows import Sliding
from utils.inference.classify import Answer, Span, classify_centre, classify_windows
from utils.inference.timeline import stretches, time_by_class

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


def test_short_windows_leave_no_gaps(models_dir, talk, capsys):
    [answer] = classify_json(capsys, "-fn", talk, "--windows", "--length", "0.25")
    starts = [window["start_s"] for window in answer["windows"]]
    np.testing.assert_allclose(starts, np.arange(0, 10.5, 0.25))


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
    picture = tmp_path / "talk.PNG"
    words = (talk, "--windows", "--hop", "2", "--plot", picture)
    heading, *text = classify(capsys, *words).splitlines()
    assert heading == f"{talk}, 0:10.5"
    assert "  0:03.5 - 0:09.4  no speech" in text  # three windows in one line
    summary = text[text.index("  0:03.5 - 0:09.4  no speech") + 2 :]
    assert summary[0].startswith(f"{talk}: ")
    assert summary[-2] == "  mean of the windows with speech, 3 of 6"
    assert summary[-1] == f"  picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    output = classify(capsys, *words, "--csv")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert [float(row["start_s"]) for row in rows] == [0, 2, 4, 6, 8, 10]
    assert rows[2]["class"] == "no speech"
    assert rows[2]["anger"] == ""
    assert sum(float(rows[0][name]) for name in CLASSES) == pytest.approx(1.0, abs=1e-5)
    assert {row["notes"] for row in rows} == {""}


def test_notes_stand_beside_each_window_in_csv(models_dir, tmp_path, capsys):
    path = write(tmp_path / "short.wav", babble(0.1))
    output = classify(capsys, path, "--windows", "--csv")
    [row] = csv.DictReader(io.StringIO(output))
    assert "s of speech: the answer is unreliable" in row["notes"]


def test_a_table_has_the_same_columns_if_all_are_refused(
    models_dir, talk, tmp_path, capsys
):
    first = classify(capsys, talk, "--windows", "--csv").splitlines()[0]
    missing = [str(tmp_path / name) for name in ("a.wav", "b.wav")]
    assert inference_single_file.main([*missing, "--windows", "--csv"]) == 1
    assert capsys.readouterr().out.splitlines() == [first]


def test_a_name_too_long_for_the_disk_is_one_refusal(models_dir, talk, tmp_path):
    """Also when pictures of an earlier command are there."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "talk.png").write_bytes(b"")
    words = [str(talk), "b" * 300 + ".wav", "--windows", "--plot", str(folder)]
    assert inference_single_file.main(words) == 1
    assert (folder / "talk.png").stat().st_size > 0


@pytest.mark.parametrize("target", ["a.png", "folder"])
def test_a_picture_never_replaces_a_recording(models_dir, tmp_path, capsys, target):
    (tmp_path / "folder").mkdir()
    where = tmp_path if target == "a.png" else tmp_path / "folder"
    write(where / "a.wav", babble(2.0))
    path = (where / "a.wav").rename(where / "a.png")
    before = path.read_bytes()
    message = error_of(capsys, "-fn", path, "--windows", "--plot", tmp_path / target)
    assert "would replace a recording; name another file or folder" in message
    assert path.read_bytes() == before


def test_several_timelines_precede_the_table(models_dir, talk, tmp_path, capsys):
    short = write(tmp_path / "short.wav", babble(2.0))
    text = classify(capsys, talk, short, "--windows").splitlines()
    headings = [line for line in text if line.endswith((", 0:10.5", ", 0:02.0"))]
    assert headings == [f"{talk}, 0:10.5", f"{short}, 0:02.0"]
    assert text[1].startswith("  0:00.0 - ")
    assert text[-1].startswith("2 classified: ")
    rows = [line for line in text if line.endswith((str(talk), str(short)))]
    assert len(rows) == 2


def test_several_timelines_become_pictures_in_a_folder(
    models_dir, talk, tmp_path, capsys
):
    short = write(tmp_path / "short.wav", babble(2.0))
    (tmp_path / "more").mkdir()
    same = write(tmp_path / "more" / "SHORT.wav", babble(2.5))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    folder = tmp_path / "pictures"
    words = [str(path) for path in (talk, short, broken, same)]
    options = ["--windows", "--plot", str(folder), "--hop", "2"]
    assert inference_single_file.main([*words, *options]) == 1  # one was refused
    assert capsys.readouterr().out.splitlines()[-1] == f"  picture: {folder}"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["SHORT-2.png", "short.png", "talk.png"]
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_costs_no_answer(
    models_dir, talk, tmp_path, capsys
):
    folder = tmp_path / "pictures"
    (folder / "talk.png").mkdir(parents=True)
    options = ["--windows", "--plot", str(folder), "--csv"]
    with pytest.raises(OSError, match=r"talk\.png"):
        inference_single_file.main([str(talk), *options])
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) > 1


def span(start_s: float, length_s: float, best: int, share: float, *, speech=True):
    shares = np.full(3, (1 - share) / 2)
    shares[best] = share
    return Span(
        start_s=start_s,
        end_s=start_s + length_s,
        level_db=-20.0,
        probabilities=shares,
        is_speech=speech,
    )


def answer_of(spans: list[Span], duration_s: float) -> Answer:
    return Answer(
        name="x/talk.mp3",
        probabilities=np.array([0.2, 0.5, 0.3]),
        duration_s=duration_s,
        bandwidth_hz=None,
        spans=tuple(spans),
    )


def test_neighbours_of_one_class_are_merged_and_cover_the_recording():
    spans = [span(0, 3, 1, 0.5), span(1, 3, 1, 0.7), span(2, 3, 2, 0.9)]
    spans += [span(3, 3, 2, 0.9, speech=False), span(4, 2, 2, 0.6)]
    found = stretches(answer_of(spans, 6.0), CLASSES)
    assert found == [
        (0.0, 3.0, CLASSES[1], pytest.approx(0.6)),
        (3.0, 4.0, CLASSES[2], pytest.approx(0.9)),
        (4.0, 4.75, None, 0.0),
        (4.75, 6.0, CLASSES[2], pytest.approx(0.6)),
    ]
    times = {CLASSES[1]: 3.0, CLASSES[2]: 2.25}
    assert list(time_by_class(found).items()) == list(times.items())
    [only] = stretches(answer_of([span(0, 3, 0, 0.5)], 1.2), CLASSES)
    assert only == (0.0, 1.2, CLASSES[0], pytest.approx(0.5))


@pytest.mark.parametrize(
    ("duration_s", "last_tick"),
    [(90, "1:30"), (600, "10:00"), (7200, "2:00:00"), (200_000, "54:00:00")],
)
def test_a_long_recording_gets_a_heat_map_with_minutes(duration_s, last_tick):
    from utils.report.plots.timeline import MOST_COLUMNS, timeline_figure

    starts_s = np.arange(0, duration_s, max(1, duration_s // 3000))
    spans = [
        span(s, 3, int(9 * s / duration_s) % 3, 0.8, speech=s > duration_s / 2)
        for s in starts_s
    ]
    answer = answer_of(spans, duration_s)
    figure = timeline_figure(answer, CLASSES, np.zeros((10, 2)))
    figure.draw_without_rendering()
    top, ribbon, bottom = figure.axes[:3]
    assert top.get_title(loc="left") == "talk.mp3: anxiety fear"
    assert not bottom.lines
    [mesh] = bottom.collections
    shares = mesh.get_array()
    assert shares.shape == (3, min(len(spans), MOST_COLUMNS))
    assert shares.mask[:, 0].all()
    assert not shares.mask[:, -1].any()
    assert shares.max() == pytest.approx(0.8)
    names = [label.get_text() for label in bottom.get_yticklabels()]
    assert names == ["neutral", "anxiety fear", "anger"]
    shown = [label.get_text() for label in bottom.get_xticklabels()]
    assert last_tick in shown
    assert len(shown) <= 13
    assert set(ribbon.collections[0].get_array().ravel()) >= {0, 1}
    legend = [text.get_text() for text in top.get_legend().get_texts()]
    assert legend[-1] == "no speech"


def test_the_drawing_holds_waveform_classes_and_pauses(plain, talk):
    from utils.report.plots.timeline import envelope, timeline_figure

    sliding = Sliding.build(plain.front_end, length_s=None, hop_s=1.0)
    answer = classify_windows(talk, "talk", plain, sliding=sliding, jobs=1)
    samples, _ = soundfile.read(talk)
    extremes = envelope(blocks(talk, RATE_HZ), len(samples))
    assert extremes.shape == (2000, 2)
    assert extremes[:, 0].min() == samples.min()
    assert extremes[:, 1].max() == samples.max()
    top, ribbon, bottom = timeline_figure(answer, plain.classes, extremes).axes
    assert top.get_title(loc="left").startswith("talk: ")
    best = [s.is_speech * (1 + int(s.probabilities.argmax())) for s in answer.spans]
    assert ribbon.collections[0].get_array().ravel().tolist() == best
    assert [line.get_label() for line in bottom.lines] == list(CLASSES)
    drawn = np.array([line.get_ydata() for line in bottom.lines])
    assert np.isnan(drawn).all(axis=0).tolist() == [
        not s.is_speech for s in answer.spans
    ]
