"""Settings: published values, limits, and their way through flat dictionaries."""

import math
from typing import Any

import numpy as np
import pytest
from settings_values import other_value

from hyperparameters import (
    Data,
    FrontEnd,
    InputError,
    Network,
    Settings,
    Training,
    from_flat,
    groups_of,
    non_default,
    to_flat,
)

FLAT = to_flat(Settings())


def test_the_rate_is_the_published_closed_form() -> None:
    for epoch in range(300):
        published = 1e-4 * math.exp(-0.15 * max(0, epoch // 20 - 2))
        assert Training().learning_rate_at(epoch) == published
    assert Training().learning_rate_at(59) == 1e-4
    assert Training().learning_rate_at(80) == 1e-4 * math.exp(-0.15 * 2)


def test_the_rate_falls_first_at_the_start_whatever_the_interval() -> None:
    training = Training(decay_start_epoch=70, decay_every_epochs=20, decay_rate=1.0)
    rates = [training.learning_rate_at(epoch) for epoch in (60, 69, 70, 89, 90)]
    drops = [round(-math.log(rate / 1e-4)) for rate in rates]
    assert drops == [0, 0, 1, 1, 2]
    assert Training(decay_start_epoch=0).learning_rate_at(0) < 1e-4


@pytest.mark.parametrize(
    ("duration_s", "frames"), [(3.0, 184), (7.0, 434), (2.25, 137), (0.064, 1)]
)
def test_frames_are_whole(duration_s: float, frames: int) -> None:
    front_end = FrontEnd(duration_s=duration_s)
    assert front_end.num_frames == frames
    last = (frames - 1) * 256 + 1024
    assert last <= front_end.duration_samples < last + 256


@pytest.mark.parametrize(
    ("input_type", "features"),
    [("mfcc", 40), ("spectrogram", 513), ("mel_spectrogram", 128)],
)
def test_the_shape_of_each_input(input_type: str, features: int) -> None:
    assert FrontEnd(input_type=input_type).input_shape == (184, features, 1)


@pytest.mark.parametrize("name", FLAT)
def test_every_setting_travels_flat_and_back(name: str) -> None:
    value = other_value(name)
    settings = from_flat({name: value})
    assert non_default(settings) == {name: value}
    assert from_flat(to_flat(settings)) == settings


def test_numbers_given_otherwise_are_the_same_setting() -> None:
    """The run hash is made from JSON, which distinguishes 7 from 7.0."""
    settings = from_flat({"duration_s": 7, "epochs": np.int64(5)})
    assert repr(to_flat(settings)["duration_s"]) == "7.0"
    assert type(settings.training.epochs) is int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration_s": 0.0}, r"^-id/--input_durations must be above 0, got 0.0$"),
        ({"duration_s": -3.0}, r"--input_durations must be above 0, got -3.0"),
        ({"duration_s": math.nan}, "must be a finite number, got nan"),
        ({"duration_s": 10**400}, "must be a finite number, got 1000"),
        ({"duration_s": math.inf}, "must be a finite number, got inf"),
        ({"duration_s": "long"}, "must be a finite number, got 'long'"),
        ({"duration_s": 1e9}, "must be at most 3600.0"),
        ({"duration_s": 0.01}, r"at least one frame, 0.064 s, got 0.01"),
        ({"sample_rate_hz": 10**9}, "--sample_rate_hz must be at most 192000"),
        ({"frame_length_samples": 10**9}, "_samples must be at most 65536"),
        ({"hop_samples": 10**30}, "--hop_samples must be at most 65536"),
        ({"fft_size": 10**9}, "--fft_size must be at most 65536, got 1000000000"),
        ({"num_mel_bins": 10**8}, "--num_mel_bins must be at most 4096"),
        ({"num_mfcc": 10**8}, "--num_mfcc must be at most 4096"),
        ({"epochs": 2.5}, "--epochs must be a whole number, got 2.5"),
        ({"epochs": True}, "--epochs must be a whole number, got True"),
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"num_folds": 10**18}, "--num_folds must be at most 10000, got 10000"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"seed": 2**31}, "--seed must be at most 2147483647"),
        ({"mixed_precision": 1}, "--mixed_precision must be true or false, got 1"),
        ({"dataset_name": 7}, "-dn/--dataset_name must be text, got 7"),
        ({"input_type": "wav"}, "-it/--input_type must be one of mfcc, spectrogram"),
        ({"segment_mode": 3}, "--segment_mode must be one of 0, 1, 2, got 3"),
        ({"test_share": 1.0}, "--test_share must be at most 0.9"),
        ({"fft_size": 512}, "--fft_size must be at least --frame_length_samples"),
        (
            {"mel_high_hz": 9000.0},
            "must be in rising order and at most 8000 Hz, got 80 and 9000",
        ),
        ({"mel_low_hz": 7600.0}, "must be in rising order"),
        ({"num_mfcc": 129}, r"--num_mfcc must be at most --num_mel_bins \(128\)"),
        ({"path_kernels": "11,9"}, "must be a list such as 11x1,1x9,3x3, got '11,9'"),
        ({"path_kernels": ""}, "must be a list such as"),
        ({"path_kernels": "0x1"}, "must be a list such as"),
        ({"epoch": 3, "lr": 1}, "no such setting: epoch, lr"),
    ],
)
def test_values_outside_their_limits(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_flat(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("group", [Data(), FrontEnd(), Network(), Training()])
def test_a_group_alone_has_the_published_values(group: object) -> None:
    assert group in groups_of(Settings()).values()


def test_a_group_alone_is_checked_too() -> None:
    with pytest.raises(InputError, match="--num_folds must be at least 2"):
        Data(num_folds=1)


def test_kernels() -> None:
    assert Network().kernels == ((11, 1), (1, 9), (3, 3))
    assert Network(path_kernels="9x1, 1x11").kernels == ((9, 1), (1, 11))
