"""A recording as the network sees it: waveform, spectrogram, mel spectrogram, MFCC."""

import dataclasses
from pathlib import Path
from typing import Any

import librosa
import librosa.display
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperparameters import FrontEnd, InputError
from utils.audio.features import FloatArray, compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_any
from utils.pictures import BLUE, new_figure, styled

RANGE_DB = 80.0  # below the loudest bin; quieter bins have the darkest colour
LONGEST_PICTURE_S = 120
MFCC_COLOUR_PERCENTILE = 98.0  # the zeroth is ten times the others: it saturates


def read_clip(
    path: Path, duration_s: float | None = None
) -> tuple[FloatArray, FrontEnd]:
    """Read a recording and prepare it as in training.

    Args:
        path: Audio or video file of any rate and number of channels.
        duration_s: Length of the segment that the network gets; None: the whole
            recording.

    Returns:
        (duration_samples,) float32 within ±1, and a front-end with that duration.

    Raises:
        InputError: The file cannot be read, is silent, or is too long to draw whole.
    """
    front_end = FrontEnd()
    rate_hz = front_end.sample_rate_hz
    samples = read_any(path, rate_hz)
    if duration_s is None:
        if len(samples) > LONGEST_PICTURE_S * rate_hz:
            raise InputError(
                f"{path}: {len(samples) / rate_hz:.0f} s do not fit in one picture, at "
                f"most {LONGEST_PICTURE_S} s; give -id 3 to draw what the network gets"
            )
        length = max(len(samples), front_end.frame_length_samples)
        # half a sample more, because converting back to samples rounds down
        duration_s = (length + 0.5) / rate_hz
    front_end = dataclasses.replace(front_end, duration_s=duration_s)
    return from_pcm16(prepare(samples, front_end))[0], front_end


@styled()
def clip_figure(segment: FloatArray, front_end: FrontEnd, title: str = "") -> Figure:
    """Draw waveform, spectrogram, mel spectrogram and MFCC over one time axis.

    Args:
        segment: (duration_samples,), within ±1, as from `read_clip`.
        front_end: Of the network; its input type has no effect.
        title: Heading, such as the file's name.

    Returns:
        A figure of four panels (Figure 2 of G. Panici's course report, 2022).
    """
    figure, axes = new_figure(8.0, 9.0, nrows=4, sharex=True)
    _draw_waveform(axes[0], segment, front_end.sample_rate_hz)
    _draw_spectrogram(axes[1], segment, front_end)
    _draw_mel(axes[2], segment, front_end)
    _draw_mfcc(axes[3], segment, front_end)
    axes[0].set_xlim(0.0, front_end.duration_samples / front_end.sample_rate_hz)
    axes[3].set_xlabel("time, s")
    figure.align_ylabels(axes)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=12)
    return figure


def _draw_waveform(axes: Axes, segment: FloatArray, rate_hz: int) -> None:
    axes.plot(np.arange(len(segment)) / rate_hz, segment, color=BLUE, linewidth=0.4)
    axes.set(title="Waveform, normalised", ylabel="amplitude", ylim=(-1.05, 1.05))


def _draw_spectrogram(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "spectrogram")
    decibels = librosa.amplitude_to_db(values, ref=np.max, top_db=RANGE_DB)
    _show(axes, decibels, front_end, label="dB re peak", y_axis="linear", cmap="magma")
    axes.set(title="Spectrogram", ylabel="frequency, Hz")


def _draw_mel(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "mel_spectrogram")
    low_hz, high_hz = front_end.mel_low_hz, front_end.mel_high_hz
    edges = front_end.num_mel_bins + 2  # each band is a triangle over three of them
    edges_hz = librosa.mel_frequencies(edges, fmin=low_hz, fmax=high_hz, htk=True)
    look: dict[str, Any] = {"y_axis": "mel", "y_coords": edges_hz[1:-1]}
    _show(axes, values, front_end, label="ln(mel + 1e-6)", cmap="magma", **look)
    axes.set(title="Mel spectrogram", ylabel="frequency, Hz")


def _draw_mfcc(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "mfcc")
    limit = np.percentile(np.abs(values[1:]), MFCC_COLOUR_PERCENTILE)
    look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    _show(axes, values, front_end, label="value", extend="both", **look)
    axes.set(title="MFCC", ylabel="coefficient", yticks=range(0, len(values), 10))


def _input_of(segment: FloatArray, front_end: FrontEnd, input_type: str) -> FloatArray:
    """The network's input of one type, (features, frames)."""
    front_end = dataclasses.replace(front_end, input_type=input_type)
    return compute_features(segment, front_end)[..., 0].T


def _show(
    axes: Axes,
    values: FloatArray,
    front_end: FrontEnd,
    *,
    label: str,
    extend: str = "neither",
    **look: Any,
) -> None:
    """Draw (features, frames) with each frame at its centre, and a colour bar."""
    centre_s = front_end.frame_length_samples / 2 / front_end.sample_rate_hz
    hop_s = front_end.hop_samples / front_end.sample_rate_hz
    mesh = librosa.display.specshow(
        values,
        x_coords=centre_s + hop_s * np.arange(values.shape[1]),
        x_axis="s",
        sr=front_end.sample_rate_hz,
        ax=axes,
        **look,
    )
    axes.grid(visible=False)
    axes.set_xlabel("")  # the lowest panel names the axis for all
    axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.01, aspect=12, extend=extend)
