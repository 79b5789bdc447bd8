"""Noise, echoes and band of a room, measured in what it does to recordings."""

import numpy as np
import pytest
from scipy.signal import welch

from hyperparameters import Inputs
from utils.audio.copies import ORIGINAL, Copy, copies_of
from utils.audio.rooms import Room, coloured_noise, draw_room

RATE_HZ = 16_000


def random(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


def tone(seconds: float = 2.0, hz: float = 440.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


@pytest.mark.parametrize("noise_db", [0.0, 10.0, 30.0])
def test_noise_is_as_far_below_the_speech_as_the_room_says(noise_db: float) -> None:
    sound = np.concatenate([np.zeros(RATE_HZ), tone(), np.zeros(RATE_HZ)])
    noise = Room(noise_db).place(sound, RATE_HZ, random()) - sound
    power = np.mean(tone() ** 2) / np.mean(noise**2)
    assert 10 * np.log10(power) == pytest.approx(noise_db, abs=0.3)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_falls_by_three_decibels_per_octave_and_slope(slope: float) -> None:
    noise = coloured_noise(60 * RATE_HZ, slope, RATE_HZ, random())
    assert np.mean(noise**2) == pytest.approx(1.0)
    hz, power = welch(noise, RATE_HZ, nperseg=4096)
    kept = (hz > 100) & (hz < 7000)
    fall, _ = np.polyfit(np.log2(hz[kept]), 10 * np.log10(power[kept]), 1)
    assert fall == pytest.approx(-3.01 * slope, abs=0.1)


@pytest.mark.parametrize(("echo_s", "echo_db"), [(0.3, 6.0), (0.8, 0.0)])
def test_echoes_decay_in_the_time_that_the_room_says(
    echo_s: float, echo_db: float
) -> None:
    """By Schroeder's backward integration of the response to a click."""
    click = np.zeros(2 * RATE_HZ)
    click[0] = 1.0
    room = Room(300.0, echo_s=echo_s, echo_db=echo_db)
    response = room.place(click, RATE_HZ, random())
    assert response[0] == pytest.approx(1.0)
    assert np.abs(response[1:40]).max() < 1e-9
    energy = np.sum(response[40:] ** 2)
    assert 10 * np.log10(energy) == pytest.approx(-echo_db, abs=0.1)
    left_db = 10 * np.log10(np.cumsum(response[:39:-1] ** 2)[::-1] + 1e-30)
    start, end = (np.argmax(left_db < left_db[0] - drop) for drop in (5, 35))
    assert 2 * (end - start) / RATE_HZ == pytest.approx(echo_s, rel=0.1)


def test_a_device_removes_what_is_above_its_band() -> None:
    room = Room(0.0, slope=0.0, band_hz=3_400.0)
    heard = room.place(tone(10.0), RATE_HZ, random())
    hz, power = welch(heard, RATE_HZ, nperseg=1024)
    assert power[hz > 3_700].max() < 1e-6 * np.median(power[hz < 3_000])
    assert len(heard) == 10 * RATE_HZ


def test_a_room_belongs_to_a_copy_and_a_speaker() -> None:
    assert draw_room(1, "anna") == draw_room(1, "anna")
    assert len({draw_room(n, who) for n in range(1, 5) for who in "ab"}) == 8
    assert [draw_room(n, "a").echo_s > 0 for n in range(1, 5)] == [False, True] * 2
    narrow = [draw_room(n, "a").band_hz > 0 for n in range(1, 9)]
    assert narrow == [False, False, True, True] * 2
    rooms = [draw_room(4, str(n)) for n in range(200)]
    assert min(room.noise_db for room in rooms) < 8
    assert max(room.noise_db for room in rooms) > 42


def test_the_noise_of_a_recording_is_its_own_and_always_the_same() -> None:
    first, again, other = (
        Copy(room=2).play(tone(), RATE_HZ, name, "anna") for name in "aab"
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert first.shape == tone().shape
    assert ORIGINAL.play(tone(), RATE_HZ, "a", "anna").shape == tone().shape


def test_copies_are_speeds_then_rooms() -> None:
    found = copies_of(Inputs(speeds="0.8,1.25", rooms=2))
    assert found == (Copy(0.8), Copy(1.25), Copy(room=1), Copy(room=2))
    assert copies_of(Inputs()) == ()
