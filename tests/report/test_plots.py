"""Figures: what they show, the files they make, the same bytes twice."""

import resource
from pathlib import Path

import matplotlib.font_manager
import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from trained_run import CLASSES, NOTE, VERDICT, make_run

import utils.report.plots.__main__ as command
from hyperparameters import FrontEnd, InputError
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
from utils.report.plots.run import draw_run, run_figures
from utils.report.plots.style import save, styled
from utils.runs.records import load_run
from utils.scores.metrics import summary

COUNTS = [[3, 1, 0], [0, 0, 0], [2, 2, 4]]
STEM = "DEMO_3.0s_Segmented_cross_entropy"


def texts_of(figure: Figure) -> list[str]:
    """Every text in a figure's axes, titles and labels included."""
    figure.draw_without_rendering()
    found = [text for axes in figure.axes for text in axes.findobj(_is_text)]
    return [text.get_text() for text in [*found, *figure.texts] if text.get_text()]


def _is_text(artist: object) -> bool:
    return isinstance(artist, matplotlib.text.Text)


def test_confusion_cells_hold_counts() -> None:
    figure = confusion_figure(COUNTS, CLASSES, is_normalised=False)
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == ["3", "1", "0", "0", "0", "0", "2", "2", "4"]


def test_normalised_cells_hold_shares_and_counts() -> None:
    figure = confusion_figure(COUNTS, CLASSES, is_normalised=True)
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells[:2] == ["0.750\n(3)", "0.250\n(1)"]
    assert cells[3:6] == ["0", "0", "0"]  # a class that was not tested
    assert "anxiety fear (0)" in texts_of(figure)


def test_confusion_matrices_stand_side_by_side() -> None:
    panels = [
        ConfusionPanel("theirs", CLASSES, COUNTS),
        ConfusionPanel("ours", CLASSES[:2], [[1, 0], [0, 1]]),
        ConfusionPanel("ours again", CLASSES, COUNTS),
    ]
    figure = confusions_figure(panels)
    assert [axes.get_title("left") for axes in figure.axes] == [
        panel.title for panel in panels
    ]
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
    rows = [("anger", 12, (0.75, 0.5, 0.875)), ("boredom", 4, (0.25, 0.0, 0.5))]
    figure = recall_figure([RecallPanel("Recall", "speaker", rows)])
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert lines == [[0.5, 0.875], [0.75], [0.0, 0.5], [0.25]]
    assert "anger (12)" in texts_of(figure)


def test_files_hold_no_date_and_are_the_same_twice(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        figure = confusion_figure(COUNTS, CLASSES, is_normalised=True)
        save(figure, tmp_path / folder / "matrix", ("pdf", "png", "svg"))
    for suffix in ("pdf", "png", "svg"):
        first = (tmp_path / "one" / f"matrix.{suffix}").read_bytes()
        assert first == (tmp_path / "two" / f"matrix.{suffix}").read_bytes()
        assert b"CreationDate" not in first
        assert b"<dc:date>" not in first


def test_the_users_own_matplotlibrc_changes_nothing(tmp_path: Path) -> None:
    save(confusion_figure(COUNTS, CLASSES, is_normalised=False), tmp_path / "a")
    with matplotlib.rc_context({"font.family": "serif", "savefig.transparent": True}):
        save(confusion_figure(COUNTS, CLASSES, is_normalised=False), tmp_path / "b")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_font_comes_with_matplotlib() -> None:
    with styled():
        path = matplotlib.font_manager.findfont(
            matplotlib.font_manager.FontProperties(), fallback_to_default=False
        )
        bold = matplotlib.font_manager.findfont(
            matplotlib.font_manager.FontProperties(weight="bold"),
            fallback_to_default=False,
        )
    assert "DejaVuSans" in path
    assert "DejaVuSans-Bold" in bold


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "matrix.png").write_text("old")
    figure = confusion_figure(COUNTS, CLASSES, is_normalised=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(figure, tmp_path / "matrix", ("png",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.png"]
    assert (tmp_path / "matrix.png").read_text() == "old"


def test_a_run_gets_every_figure_in_both_formats(tmp_path: Path) -> None:
    written = draw_run(make_run(tmp_path))
    names = (
        "LearningCurves",
        "Recall",
        "TestAccuracyByEpoch",
        "TotalConfusionMatrix",
        "TotalConfusionMatrixNormalized",
    )
    expected = {f"{STEM}_{name}.{end}" for name in names for end in ("pdf", "png")}
    assert {path.name for path in written} == expected
    assert {path.name for path in tmp_path.iterdir()} == {
        *expected,
        "config.json",
        "folds",
    }


def test_figures_say_what_was_run_and_what_is_missing(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, folds_done=(0, 2)))
    for figure in run_figures(run, summary(run)).values():
        heading = figure.get_suptitle().replace("\n", " ")
        assert "DEMO" in heading
        assert "protocol published" in heading
        assert "PARTIAL: 2 of 4 folds" in heading
        assert VERDICT in heading
        assert NOTE in heading


def test_without_test_set_there_are_learning_curves_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path, protocol="all", chosen_on="none", folds_done=(0,))
    names = {path.name for path in draw_run(folder)}
    assert names == {f"{STEM}_LearningCurves.pdf", f"{STEM}_LearningCurves.png"}


def test_no_test_curve_where_validation_chose_and_none_was_recorded(
    tmp_path: Path,
) -> None:
    run = load_run(make_run(tmp_path, chosen_on="validation"))
    assert "TestAccuracyByEpoch" not in run_figures(run, summary(run))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a run folder"):
        command.main(["--run", str(tmp_path)])


def test_the_whole_clip_or_the_networks_segment(long_wav: Path) -> None:
    segment, front_end = read_clip(long_wav, FrontEnd())
    assert front_end.duration_samples == len(segment) == 9 * 16_000
    segment, front_end = read_clip(long_wav, FrontEnd(), whole=False)
    assert front_end.duration_samples == len(segment) == 48_000


def test_a_whole_hour_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    noise = np.random.RandomState(0).randint(-99, 99, 16_000 * 121, np.int16)
    soundfile.write(path, noise, 16_000)
    with pytest.raises(InputError, match=r"121 s do not fit .*; give -id 3"):
        read_clip(path, FrontEnd())
    segment, _ = read_clip(path, FrontEnd(), whole=False)
    assert len(segment) == 48_000


def test_a_clip_shorter_than_a_frame_is_padded(short_wav: Path) -> None:
    segment, front_end = read_clip(short_wav, FrontEnd())
    assert len(segment) == front_end.frame_length_samples


def test_the_clips_panels_are_the_networks_inputs(tone_wav: Path) -> None:
    segment, front_end = read_clip(tone_wav, FrontEnd())
    figure = clip_figure(segment, front_end, "tone.wav")
    spectrogram, mel, mfcc = (axes.collections[0] for axes in figure.axes[1:4])
    expected = compute_features(segment, front_end)[..., 0].T
    np.testing.assert_array_equal(mfcc.get_array(), expected)
    times_s = mfcc.get_coordinates()[0, :, 0]  # the frames' edges
    assert times_s[0] == pytest.approx(0.032 - 0.008)  # centred on the first frame
    assert times_s[-1] == pytest.approx(times_s[0] + front_end.num_frames * 0.016)
    for panel in (spectrogram, mel):  # the 440 Hz tone is loudest at 440 Hz
        loudest = panel.get_array().mean(axis=1).argmax()
        edges_hz = panel.get_coordinates()[[loudest, loudest + 1], 0, 1]
        assert edges_hz[0] - 16 < 440 < edges_hz[1] + 16


def test_clip_command_names_its_files(
    wav_44khz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--clip", str(wav_44khz), "--output_dir", str(tmp_path)]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["44khz_inputs.pdf", "44khz_inputs.png"]
    assert all(path.stat().st_size > 5_000 for path in paths)


def test_a_silent_clip_is_refused(silence_wav: Path) -> None:
    with pytest.raises(InputError, match="silent"):
        read_clip(silence_wav, FrontEnd())
