"""Another value of each setting, within its limits."""

from typing import Any

from hyperparameters import Settings, to_flat

PUBLISHED = to_flat(Settings())
OTHER: dict[str, Any] = {
    "dataset_name": "EMO-DB",
    "audio_type": "impro",
    "segment_mode": 0,
    "protocol": "speaker",
    "select": "last",
    "input_type": "spectrogram",
    "window": "hamming",
    "path_kernels": "9x1,1x11,3x3",
    "loss_name": "focal",
    "mixed_precision": True,
    "duration_s": 2.25,
    "fft_size": 2048,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "weight_average": 0.99,
    "teacher": "functionals",
    "start_from": "0123456789abcdef",
    "frozen_stages": 1,
    "feature_scaling": "corpus",
    "speeds": "0.84,1.19",
    "rooms": 4,
    "shift_frames": 12,
    "masks": 2,
}


def other_value(name: str) -> Any:
    """A value that is allowed and not the published one."""
    if name in OTHER:
        return OTHER[name]
    value = PUBLISHED[name]
    return value - 1 if isinstance(value, int) else 0.75 * value
