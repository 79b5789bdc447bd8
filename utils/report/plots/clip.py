"""A clip as the network sees it: waveform, spectrogram, mel spectrogram, MFCC."""

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperparameters import FrontEnd, InputError
from utils.audio.features import FloatArray, compute_features, hz_to_mel
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_any
from utils.report.plots.style import BLUE, new_figure, styled

QUIETEST_DB = -80.0  # under the loudest bin; what is quieter is drawn as this
LONGEST_PICTURE_S = 120
SMALLEST = 1e-6  # keeps a division defined
TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 7000)
MFCC_COLOUR_PERCENTILE = 98.0  # the zeroth is ten times the others: it saturates


def read_clip(
    path: Path, front_end: FrontEnd, whole: bool = True
) -> tuple[FloatArray, FrontEnd]:
    """A clip, prepared as in training, and the front-end of its length.

    Args:
        path: Audio or video file, whatever its rate and channels.
        front_end: Rate, normalisation and, unless `whole`, the segment's length.
        whole: The whole clip; otherwise the segment that the network hears.

    Returns:
        (duration_samples,) float32 within ±1, and a front-end with that duration.

    Raises:
        InputError: The file cannot be read, is silent, or too long to be drawn whole.
    """
    rate_hz = front_end.sample_rate_hz
    samples = read_any(path, rate_hz)
    if whole:
        if len(samples) > LONGEST_PICTURE_S * rate_hz:
            raise InputError(
                f"{path}: {len(samples) / rate_hz:.0f} s are too many for one picture, "
                f"at most {LONGEST_PICTURE_S} s; give -id 3 for what the network hears"
            )
        length = max(len(samples), front_end.frame_length_samples)
        # half a sample more, since the way back to samples cuts off
        duration_s = (length + 0.5) / rate_hz
        front_end = dataclasses.replace(front_end, duration_s=duration_s)
    return from_pcm16(prepare(samples, front_end))[0], front_end


@styled()
def clip_figure(segment: FloatArray, front_end: FrontEnd, title: str = "") -> Figure:
    """Waveform, spectrogram, mel spectrogram and MFCC over one time axis.

    Args:
        segment: (duration_samples,), within ±1, as from `read_clip`.
        front_end: Of the network that hears it; its input type plays no part.
        title: What the clip is.

    Returns:
        A figure of four panels (Figure 2 of G. Panici's course report, 2022).
    """
    figure, axes = new_figure(8.0, 9.0, nrows=4, sharex=True)
    _draw_waveform(axes[0], segment, front_end)
    _draw_spectrogram(axes[1], segment, front_end)
    _draw_mel(axes[2], segment, front_end)
    _draw_mfcc(axes[3], segment, front_end)
    axes[0].set_xlim(0.0, front_end.duration_samples / front_end.sample_rate_hz)
    axes[3].set_xlabel("time, s")
    figure.align_ylabels(axes)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=12)
    return figure


def _draw_waveform(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    time_s = np.arange(len(segment)) / front_end.sample_rate_hz
    axes.plot(time_s, segment, color=BLUE, linewidth=0.4)
    axes.set(title="Waveform, normalised", ylabel="amplitude", ylim=(-1.05, 1.05))


def _draw_spectrogram(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "spectrogram")
    loudest = max(float(values.max()), SMALLEST)
    shares = np.maximum(values / loudest, 10.0 ** (QUIETEST_DB / 20.0))
    decibels = 20.0 * np.log10(shares)
    top_khz = front_end.sample_rate_hz / 2000.0
    _draw_image(axes, decibels, front_end, (0.0, top_khz), label="dB re peak")
    axes.set(title="Spectrogram", ylabel="frequency, kHz")


def _draw_mel(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "mel_spectrogram")
    bands = front_end.num_mel_bins
    _draw_image(axes, values, front_end, (-0.5, bands - 0.5), label="ln(mel + 1e-6)")
    low_mel, high_mel = (
        hz_to_mel(front_end.mel_low_hz),
        hz_to_mel(front_end.mel_high_hz),
    )
    shown_hz = [f for f in TICKS_HZ if front_end.mel_low_hz < f < front_end.mel_high_hz]
    positions = (hz_to_mel(np.array(shown_hz)) - low_mel) / (high_mel - low_mel)
    axes.set_yticks(positions * (bands + 1) - 1, [f"{f:,}" for f in shown_hz])
    axes.set(title="Mel spectrogram", ylabel="frequency, Hz")


def _draw_mfcc(axes: Axes, segment: FloatArray, front_end: FrontEnd) -> None:
    values = _input_of(segment, front_end, "mfcc")
    limit = np.percentile(np.abs(values[:, 1:]), MFCC_COLOUR_PERCENTILE)
    extent = (-0.5, front_end.num_mfcc - 0.5)
    _draw_image(
        axes,
        values,
        front_end,
        extent,
        label="value",
        limit=max(float(limit), SMALLEST),
    )
    axes.set(title="MFCC", ylabel="coefficient")


def _input_of(segment: FloatArray, front_end: FrontEnd, input_type: str) -> FloatArray:
    """The network's input of one type, (frames, features)."""
    front_end = dataclasses.replace(front_end, input_type=input_type)
    return compute_features(segment, front_end)[..., 0]


def _draw_image(
    axes: Axes,
    values: FloatArray,
    front_end: FrontEnd,
    y_range: tuple[float, float],
    *,
    label: str,
    limit: float | None = None,
) -> None:
    """(frames, features) with time to the right, each frame at its centre."""
    hop_s = front_end.hop_samples / front_end.sample_rate_hz
    centre_s = front_end.frame_length_samples / front_end.sample_rate_hz / 2
    start_s = centre_s - hop_s / 2
    image = axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma" if limit is None else "RdBu_r",
        vmin=None if limit is None else -limit,
        vmax=limit,
        extent=(start_s, start_s + len(values) * hop_s, *y_range),
    )
    axes.grid(visible=False)
    extend = "neither" if limit is None else "both"
    axes.figure.colorbar(
        image, ax=axes, label=label, pad=0.01, aspect=12, extend=extend
    )
