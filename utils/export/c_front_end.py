"""The front-end as C99, from 16-bit samples to the int8 rows of a network.

The C code in `templates/front_end/` computes in float32 what `utils.audio.prepare` and
`utils.audio.features` compute in float64; all numbers come from a model's settings.
"""

from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import FrontEnd, InputError
from utils.audio.features import dct_matrix, mel_matrix, window
from utils.audio.scale import Scale
from utils.audio.wav import PCM16_SCALE
from utils.audio.windows import (
    LEVELS_KEPT,
    ROOM_DB,
    SPEECH_LEVEL_PERCENTILE,
    SPEECH_RANGE_DB,
)
from utils.export.c_source import TEMPLATES, array, fill_templates, numbers

FRONT_END_TEMPLATES = TEMPLATES / "front_end"
FLOAT_BYTES, POINTER_BYTES, INDEX_BYTES, SAMPLE_BYTES = 4, 4, 2, 2
STREAM_FIELDS_BYTES = 24  # of an ls_stream besides its two arrays, on a 32-bit device
HISTOGRAM_BYTES = 4 * 256


def write_front_end(
    front_end: FrontEnd,
    input_quantisation: tuple[float, int],
    folder: Path,
    scale: Scale | None = None,
) -> list[Path]:
    """Write the C files of a front-end.

    Args:
        front_end: The model's settings.
        input_quantisation: Scale and zero point of the model's int8 input.
        folder: Receives the files; created if missing.
        scale: Standardises the features; None if the model's are not scaled.

    Returns:
        The files written, in alphabetical order.

    Raises:
        InputError: The FFT size is not a power of two.
        OSError: The files cannot be written.
    """
    values = front_end_values(front_end, input_quantisation, scale)
    return fill_templates(FRONT_END_TEMPLATES, values, folder)


def front_end_values(
    front_end: FrontEnd,
    input_quantisation: tuple[float, int],
    scale: Scale | None = None,
) -> dict[str, Any]:
    """The value of every placeholder of a front-end; arguments as above."""
    size = front_end.fft_size
    if size < 4 or size & (size - 1):
        raise InputError(
            f"the front-end in C needs an fft_size that is a power of two, at least 4, "
            f"got {size}; train with another --fft_size"
        )
    return {
        **_settings(front_end, input_quantisation),
        "is_scaled": int(scale is not None),
        "scratch_bytes": _scratch_bytes(front_end, is_scaled=scale is not None),
        **_tables(front_end, scale),
    }


def _settings(
    front_end: FrontEnd, input_quantisation: tuple[float, int]
) -> dict[str, Any]:
    """The text of the placeholders that stand for one number."""
    scale, zero_point = input_quantisation
    return {
        "sample_rate_hz": front_end.sample_rate_hz,
        "segment_samples": front_end.duration_samples,
        "frame_samples": front_end.frame_length_samples,
        "hop_samples": front_end.hop_samples,
        "fft_size": front_end.fft_size,
        "num_bins": front_end.num_bins,
        "num_mel_bands": front_end.num_mel_bins,
        "num_frames": front_end.num_frames,
        "num_features": front_end.num_features,
        "takes_spectrogram": int(front_end.input_type == "spectrogram"),
        "takes_mfcc": int(front_end.input_type == "mfcc"),
        "log_offset": np.float32(front_end.log_offset),
        "mfcc_limit": np.float32(front_end.mfcc_limit),
        "clipped_ppb": round((100.0 - front_end.normalise_percentile) * 1e7),
        "input_scale": np.float32(scale),
        "input_zero_point": zero_point,
        "levels_kept": LEVELS_KEPT,
        "stream_bytes": _stream_bytes(front_end),
        "room_db": f"{ROOM_DB:g}",
        "room_power": np.float32(10.0 ** (ROOM_DB / 10.0)),
        "speech_range_db": f"{SPEECH_RANGE_DB:g}",
        "speech_range": np.float32(10.0 ** (SPEECH_RANGE_DB / 10.0)),
        "speech_percentile": f"{SPEECH_LEVEL_PERCENTILE:g}",
        "window_name": front_end.window.capitalize(),
    }


def _scratch_bytes(front_end: FrontEnd, *, is_scaled: bool) -> int:
    """Bytes of static memory on a 32-bit device."""
    is_mel = front_end.input_type != "spectrogram"
    values = 2 * front_end.fft_size + is_mel * front_end.num_mel_bins
    pointers = 2 * is_scaled
    return HISTOGRAM_BYTES + FLOAT_BYTES * values + POINTER_BYTES * pointers


def _stream_bytes(front_end: FrontEnd) -> int:
    """Bytes of an `ls_stream` on a 32-bit device."""
    ring = SAMPLE_BYTES * (front_end.duration_samples + front_end.duration_samples % 2)
    return ring + FLOAT_BYTES * LEVELS_KEPT + STREAM_FIELDS_BYTES


def _tables(front_end: FrontEnd, scale: Scale | None) -> dict[str, Any]:
    """The text of the arrays, and the bytes that they take."""
    size = front_end.fft_size
    turns = np.arange(size // 2) / size
    angles = 2.0 * np.pi * turns
    twiddles = np.stack([np.cos(angles), np.sin(angles)], axis=1).ravel()
    mel_text, mel_bytes = _mel_tables(front_end)
    dct_text, dct_bytes = _dct_table(front_end)
    scale_text, scale_bytes = _scale_tables(scale)
    frame_bytes = FLOAT_BYTES * front_end.frame_length_samples
    return {
        "window": numbers(window(front_end) / PCM16_SCALE, "f"),
        "twiddles": numbers(twiddles, "f"),
        "mel_tables": mel_text,
        "dct_table": dct_text,
        "scale_tables": scale_text,
        "table_bytes": frame_bytes
        + FLOAT_BYTES * size
        + mel_bytes
        + dct_bytes
        + scale_bytes,
    }


def _mel_tables(front_end: FrontEnd) -> tuple[str, int]:
    """First bin, number of bins and weights of each mel band; text and bytes."""
    if front_end.input_type == "spectrogram":
        return "", 0
    matrix = mel_matrix(front_end).T  # (bands, bins)
    counts = np.count_nonzero(matrix, axis=1)
    firsts = np.argmax(matrix > 0.0, axis=1)
    weights = matrix[matrix > 0.0]
    bands = "LS_NUM_MEL_BANDS"
    text = (
        "\n/* The bins of each mel band and, band after band, their weights. */\n"
        + array("uint16_t", f"ls_mel_first[{bands}]", numbers(firsts))
        + array("uint16_t", f"ls_mel_count[{bands}]", numbers(counts))
        + array("float", f"ls_mel_weights[{len(weights)}]", numbers(weights, "f"))
    )
    return text, 2 * INDEX_BYTES * len(matrix) + FLOAT_BYTES * len(weights)


def _dct_table(front_end: FrontEnd) -> tuple[str, int]:
    """The DCT, one coefficient's weights after another's; text and bytes."""
    if front_end.input_type != "mfcc":
        return "", 0
    matrix = dct_matrix(front_end).T
    name = "ls_dct[LS_NUM_FEATURES * LS_NUM_MEL_BANDS]"
    text = "\n/* LS_NUM_MEL_BANDS weights for each coefficient. */\n"
    return text + array("float", name, numbers(matrix, "f")), FLOAT_BYTES * matrix.size


def _scale_tables(scale: Scale | None) -> tuple[str, int]:
    """Mean and standard deviation of each feature; text and bytes."""
    if scale is None:
        return "", 0
    values = {"ls_means": scale.mean, "ls_deviations": scale.deviation}
    text = "\n/* The voice that ls_set_scale(NULL, NULL) chooses. */\n" + "".join(
        array("float", f"{name}[LS_NUM_FEATURES]", numbers(row, "f"))
        for name, row in values.items()
    )
    return text, 2 * FLOAT_BYTES * len(scale.mean)
