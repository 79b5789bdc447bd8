"""Pictures: what they show, the files they make, the same bytes twice."""

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
from utils.report.plots.clip import clip_figure, read_clip
from utils.report.plots.results import (
    ConfusionPanel,
    RecallPanel,
    accuracy_by_epoch_figure,
    confusion_figure,
    confusions_figure,
    curves_figure,
    recall_figure,
)
from utils.report.plots.run import draw_run, run_pictures
from utils.report.plots.style import save
from utils.runs.records import load_run
from utils.scores.metrics import summary

CLASSES = ("boredom", "anxiety_fear", "anger")
COUNTS = [[3, 1, 0], [0, 0, 0], [2, 2, 4]]
STEM = "DEMO_3.0s_Segmented_cross_entropy"


def texts_of(figure: Figure) -> list[str]:
    """Every text in a figure's axes, titles and labels included."""
    figure.draw_without_rendering()
    found = [text for axes in figure.axes for text in axes.findobj(Text)]
    return [text.get_text() for text in [*found, *figure.texts] if text.get_text()]


@pytest.mark.parametrize(
    ("is_normalised", "cells"),
    [
        (False, ["3", "1", "0", "0", "0", "0", "2", "2", "4"]),
        # the second class was not tested
        (True, ["0.750\n(3)", "0.250\n(1)", "0", "0", "0", "0", "0.250\n(2)"]),
    ],
)
def test_confusion_cells(is_normalised: bool, cells: list[str]) -> None:
    figure = confusion_figure(COUNTS, CLASSES, is_normalised=is_normalised)
    found = [text.get_text() for text in figure.axes[0].texts]
    assert found[: len(cells)] == cells
    assert "anxiety fear (0)" in texts_of(figure)


def test_confusion_matrices_stand_side_by_side() -> None:
    panels = [
        ConfusionPanel("published", CLASSES, COUNTS),
        ConfusionPanel("ours", CLASSES[:2], [[1, 0], [0, 1]]),
        ConfusionPanel("ours again", CLASSES, COUNTS),
    ]
    figure = confusions_figure(panels)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [panel.title for panel in panels]
    assert [len(axes.texts) for axes in figure.axes] == [9, 4, 9]


def test_a_name_with_dollars_is_no_formula() -> None:
    figure = confusion_figure(COUNTS, ("a$b", "c$", "_"), is_normalised=False)
    assert "a$b (4)" in texts_of(figure)


def test_curves_show_the_median_and_the_kept_epochs() -> None:
    histories = {
        fold: {"loss": [1.0, 0.5], "accuracy": accuracy, "learning_rate": [1e-4, 1e-4]}
        for fold, accuracy in enumerate(([0.1, 0.2], [0.3, 0.8], [0.5, 0.9]))
    }
    figure = curves_figure(histories, {0: 1, 1: 0, 2: 1}, chosen_on="none")
    panel = figure.axes[1]
    assert panel.lines[-1].get_ydata() == pytest.approx([0.3, 0.8])
    points = panel.collections[0].get_offsets()
    np.testing.assert_allclose(points, [[1, 0.2], [0, 0.3], [1, 0.9]])


def test_curves_of_one_epoch_are_dots_on_whole_numbers() -> None:
    history = {"loss": [1.0], "accuracy": [0.5], "learning_rate": [1e-4]}
    figure = curves_figure({0: history}, {0: 0}, chosen_on="none")
    figure.draw_without_rendering()
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert [tick for tick in figure.axes[0].get_xticks() if abs(tick) < 0.5] == [0]


def test_accuracy_by_epoch_states_the_optimism() -> None:
    curves = {0: [0.5, 0.9, 0.7], 1: [0.5, 0.6, 0.6]}
    figure = accuracy_by_epoch_figure(curves, {0: 1, 1: 2}, chosen_on="test")
    assert "Best minus last epoch: 10.0 points on average" in texts_of(figure)


def test_recall_draws_every_interval() -> None:
    rows = [
        ("anger", 12, {"value": 0.75, "low": 0.5, "high": 0.875}),
        ("boredom", 4, {"value": 0.25, "low": 0.0, "high": 0.5}),
    ]
    figure = recall_figure([RecallPanel("Recall", "speaker", rows)])
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert lines == [[0.5, 0.875], [0.75], [0.0, 0.5], [0.25]]
    assert "anger (12)" in texts_of(figure)


def test_files_depend_on_the_data_alone(tmp_path: Path) -> None:
    """Neither on the date nor on the user's matplotlibrc."""
    suffixes = ("pdf", "png", "svg")
    figure = confusion_figure(COUNTS, CLASSES, is_normalised=True)
    first = save(figure, tmp_path / "one", suffixes)
    with matplotlib.rc_context({"font.family": "serif", "savefig.transparent": True}):
        figure = confusion_figure(COUNTS, CLASSES, is_normalised=True)
        second = save(figure, tmp_path / "two", suffixes)
    for path, other in zip(first, second, strict=True):
        content = path.read_bytes()
        assert content == other.read_bytes()
        assert b"CreationDate" not in content
        assert b"<dc:date>" not in content


def test_a_run_gets_every_picture_in_both_formats(tmp_path: Path) -> None:
    written = draw_run(trained_run(tmp_path))
    names = (
        "LearningCurves",
        "Recall",
        "TestAccuracyByEpoch",
        "TotalConfusionMatrix",
        "TotalConfusionMatrixNormalized",
    )
    assert {path.name for path in written} == {
        f"{STEM}_{name}.{suffix}" for name in names for suffix in ("pdf", "png")
    }
    assert all(path.stat().st_size > 5_000 for path in written)


def test_every_picture_says_what_was_run(tmp_path: Path) -> None:
    run = load_run(trained_run(tmp_path, folds_done=(0, 1)))
    for figure in run_pictures(run, summary(run)).values():
        heading = " ".join(figure.get_suptitle().split())
        assert "protocol published, seed 42, PARTIAL: 2 of 4 folds" in heading
        assert VERDICT in heading
        assert NOTE in heading


@pytest.mark.parametrize(
    ("protocol", "chosen_on", "missing"),
    [
        ("all", "none", {"Recall", "TotalConfusionMatrix", "TestAccuracyByEpoch"}),
        # no test accuracy by epoch was recorded
        ("random", "validation", {"TestAccuracyByEpoch"}),
    ],
)
def test_pictures_without_data_are_left_out(
    tmp_path: Path, protocol: str, chosen_on: str, missing: set[str]
) -> None:
    folder = trained_run(
        tmp_path, protocol=protocol, chosen_on=chosen_on, folds_done=(0,)
    )
    run = load_run(folder)
    pictures = run_pictures(run, summary(run))
    assert "LearningCurves" in pictures
    assert not missing & set(pictures)


def test_the_whole_clip_or_the_networks_segment(long_wav: Path) -> None:
    segment, front_end = read_clip(long_wav)
    assert front_end.duration_samples == len(segment) == 9 * 16_000
    segment, front_end = read_clip(long_wav, 3.0)
    assert front_end.duration_samples == len(segment) == 48_000


def test_a_whole_hour_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    noise = np.random.RandomState(0).randint(-99, 99, 16_000 * 121, np.int16)
    soundfile.write(path, noise, 16_000)
    with pytest.raises(InputError, match=r"121 s do not fit .*; give -id 3"):
        read_clip(path)
    segment, _ = read_clip(path, 3.0)
    assert len(segment) == 48_000


def test_a_clip_shorter_than_a_frame_is_padded(short_wav: Path) -> None:
    segment, front_end = read_clip(short_wav)
    assert len(segment) == front_end.frame_length_samples


def test_a_silent_clip_is_refused(silence_wav: Path) -> None:
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


@pytest.mark.parametrize("options", [[], ["-id", "1.5"]])
def test_clip_command_names_its_files(
    wav_44khz: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    arguments = ["--clip", str(wav_44khz), "--output_dir", str(tmp_path), *options]
    assert command.main(arguments) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["44khz_inputs.pdf", "44khz_inputs.png"]
    assert all(path.stat().st_size > 5_000 for path in paths)
