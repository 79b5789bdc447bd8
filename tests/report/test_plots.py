"""Pictures: what they show, the files they make, the same bytes twice."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_run import NOTE, VERDICT, trained_run

import utils.report.plots.__main__ as command
from hyperparameters import InputError
from utils.audio.features import compute_features
from utils.pictures import save
from utils.report.plots.clip import clip_figure, read_clip
from utils.report.plots.results import (
    ConfusionPanel,
    RecallPanel,
    confusion_figure,
    curves_figure,
    recall_figure,
)
from utils.report.plots.run import run_pictures
from utils.runs.records import load_run
from utils.scores.metrics import summary

# the second class was not tested; a dollar sign in a name starts no formula
PANEL = ConfusionPanel(
    "Title", ("boredom", "anxiety_fear", "a$b$"), [[3, 1, 0], [0, 0, 0], [2, 2, 4]]
)
SMALL = ConfusionPanel("Small", PANEL.classes[:2], [[1, 0], [0, 1]])


def texts_of(figure: Figure) -> list[str]:
    """Every text in a figure's axes, titles and labels included."""
    figure.draw_without_rendering()
    found = [text for axes in figure.axes for text in axes.findobj(Text)]
    return [text.get_text() for text in [*found, *figure.texts] if text.get_text()]


@pytest.mark.parametrize(
    ("is_normalised", "cells"),
    [
        (False, ["3", "1", "0", "0", "0", "0", "2", "2", "4"]),
        (True, ["0.750\n(3)", "0.250\n(1)", "0", "0", "0", "0", "0.250\n(2)"]),
    ],
)
def test_confusion_matrices(is_normalised: bool, cells: list[str]) -> None:
    figure = confusion_figure([PANEL, SMALL, PANEL], is_normalised=is_normalised)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Title", "Small", "Title"]
    assert [len(axes.texts) for axes in figure.axes] == [9, 4, 9]
    assert [text.get_text() for text in figure.axes[0].texts][: len(cells)] == cells
    assert {"anxiety fear (0)", "a$b$ (8)"} <= set(texts_of(figure))


def test_curves_show_the_median_the_kept_epochs_and_the_test_set() -> None:
    rest = {"loss": [1.0, 0.5], "learning_rate": [1e-4, 1e-4]}
    accuracies = ([0.1, 0.2], [0.3, 0.8], [0.5, 0.9])
    histories = {
        fold: {**rest, "accuracy": curve, "test_accuracy": [0.4, 0.6]}
        for fold, curve in enumerate(accuracies)
    }
    figure = curves_figure(histories, {0: 1, 1: 0, 2: 1}, chosen_on="none")
    _, panel, _ = figure.axes
    medians = [line for line in panel.lines if "median" in str(line.get_label())]
    assert [list(line.get_ydata()) for line in medians] == [[0.3, 0.8], [0.4, 0.6]]
    points = panel.collections[0].get_offsets()
    np.testing.assert_allclose(points, [[1, 0.2], [0, 0.3], [1, 0.9]])


def test_curves_of_one_epoch_are_dots_on_whole_numbers() -> None:
    history = {"loss": [1.0], "accuracy": [0.5], "learning_rate": [1e-4]}
    figure = curves_figure({0: history}, {0: 0}, chosen_on="none")
    figure.draw_without_rendering()
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert [tick for tick in figure.axes[0].get_xticks() if abs(tick) < 0.5] == [0]


def test_no_panel_for_a_learning_rate_that_was_not_recorded() -> None:
    history = {"loss": [1.0, 0.9], "accuracy": [0.5, 0.6]}
    figure = curves_figure({0: history}, {0: 1}, chosen_on="none")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Loss", "Accuracy"]


def test_recall_draws_every_interval() -> None:
    rows = [
        ("anger", 12, {"value": 0.75, "low": 0.5, "high": 0.875}),
        ("boredom", 4, {"value": 0.25, "low": 0.0, "high": 0.5}),
    ]
    figure = recall_figure([RecallPanel("Recall", "speaker", rows)])
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert lines == [[0.5, 0.875], [0.75], [0.0, 0.5], [0.25]]
    assert "anger (12)" in texts_of(figure)


def test_recall_of_91_speakers_is_readable() -> None:
    """As many as CREMA-D has: in columns, no label on another, no wall of paper."""
    score = {"value": 0.75, "low": 0.5, "high": 0.875}
    speakers = [(str(1001 + number), 82, score) for number in range(91)]
    classes = [(name, 1271, score) for name in ("anger", "disgust", "fear")]
    panels = [RecallPanel("Recall by class", "speaker", classes)]
    panels.append(RecallPanel("UA by speaker", "utterance", speakers))
    figure = recall_figure(panels)
    figure.draw_without_rendering()
    width_in, height_in = figure.get_size_inches()
    assert 0.5 < width_in / height_in < 2
    by_class, *columns = figure.axes
    shown = [label.get_text() for axes in columns for label in axes.get_yticklabels()]
    assert shown == [f"{name} (82)" for name, _, _ in speakers]
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        for upper, lower in itertools.pairwise(boxes):
            assert lower.y1 < upper.y0
    assert by_class.get_position().height < 0.25  # its three rows lie close together


def test_files_depend_on_the_data_alone(tmp_path: Path) -> None:
    """Neither on the date nor on the user's matplotlibrc."""
    suffixes = ("pdf", "png", "svg")
    first = save(confusion_figure([PANEL]), tmp_path / "one", suffixes)
    with matplotlib.rc_context({"font.family": "serif", "savefig.transparent": True}):
        second = save(confusion_figure([PANEL]), tmp_path / "two", suffixes)
    for path, other in zip(first, second, strict=True):
        content = path.read_bytes()
        assert content == other.read_bytes()
        assert b"CreationDate" not in content
        assert b"<dc:date>" not in content


MATRICES = {"TotalConfusionMatrix", "TotalConfusionMatrixNormalized"}


@pytest.mark.parametrize(
    ("protocol", "folds_done", "names"),
    [
        ("published", (0, 1), {"LearningCurves", "Recall", *MATRICES}),
        ("all", (0,), {"LearningCurves"}),  # tests no utterance
    ],
)
def test_pictures_say_what_was_run(
    tmp_path: Path, protocol: str, folds_done: tuple[int, ...], names: set[str]
) -> None:
    run = load_run(trained_run(tmp_path, protocol=protocol, folds_done=folds_done))
    pictures = run_pictures(run, summary(run))
    assert set(pictures) == names
    partial = "" if run.is_complete else ", PARTIAL: 2 of 4 folds"
    for figure in pictures.values():
        heading = " ".join(figure.get_suptitle().split())
        assert f"protocol {protocol}, seed 42{partial} {VERDICT} {NOTE}" in heading


def test_a_clip_is_read_whole_or_as_the_networks_segment(
    long_wav: Path, short_wav: Path, silence_wav: Path, tmp_path: Path
) -> None:
    hour = tmp_path / "hour.wav"
    noise = np.random.RandomState(0).randint(-99, 99, 16_000 * 121, np.int16)
    soundfile.write(hour, noise, 16_000)
    for path, duration_s, samples in (
        (long_wav, None, 9 * 16_000),
        (long_wav, 3.0, 48_000),
        (hour, 3.0, 48_000),
        (short_wav, None, 1024),  # padded to one frame
    ):
        segment, front_end = read_clip(path, duration_s)
        assert front_end.duration_samples == len(segment) == samples
    with pytest.raises(InputError, match=r"121 s do not fit .*; give -id 3"):
        read_clip(hour)
    with pytest.raises(InputError, match="silent"):
        read_clip(silence_wav)


def test_the_clips_panels_are_the_networks_inputs(tone_wav: Path) -> None:
    segment, front_end = read_clip(tone_wav)
    figure = clip_figure(segment, front_end, "tone.wav")
    spectrogram, mel, mfcc = (axes.collections[0] for axes in figure.axes[1:4])
    expected = compute_features(segment, front_end)[..., 0].T
    np.testing.assert_array_equal(mfcc.get_array(), expected)
    times_s = mfcc.get_coordinates()[0, :, 0]  # the edges of the frames
    assert times_s[0] == pytest.approx(0.032 - 0.008)  # centred on the first frame
    assert times_s[-1] == pytest.approx(times_s[0] + front_end.num_frames * 0.016)
    for panel in (spectrogram, mel):  # the 440 Hz tone is loudest at 440 Hz
        loudest = panel.get_array().mean(axis=1).argmax()
        low_hz, high_hz = panel.get_coordinates()[[loudest, loudest + 1], 0, 1]
        assert low_hz - 16 < 440 < high_hz + 16


def test_clip_command_names_its_files(
    wav_44khz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--clip", str(wav_44khz), "--output_dir", str(tmp_path), "-id", "1.5"]
    assert command.main(arguments) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["44khz_inputs.pdf", "44khz_inputs.png"]
    assert all(path.stat().st_size > 5_000 for path in paths)
