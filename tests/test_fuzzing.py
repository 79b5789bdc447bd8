"""The harness of the fuzzing tests finds every kind of fault, and goes on after it."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from fuzzing import MOST_BYTES, fuzz


def try_faults(folder: Path, number: int) -> str:
    """One fault of each kind, among inputs without fault."""
    assert list(folder.iterdir()) == []
    if number == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif number == 3:
        raise ZeroDivisionError
    elif number == 5:
        started = time.process_time()
        while time.process_time() < started + 2.1:
            pass
    elif number == 7:
        assert bytearray(MOST_BYTES + 2**26)
    elif number == 9:
        return "FAULT: a part"
    return "even" if number % 2 == 0 else "odd"


def try_nothing(_: Path, number: int) -> str:
    """Inputs without fault, one of which is noisy."""
    if number == 5:
        print("noise", file=sys.stderr)
    return "even" if number % 2 == 0 else "odd"


def test_every_fault_is_listed_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        fuzz(try_faults, 12, tmp_path)
    lines = str(caught.value).splitlines()
    assert "5 of 12:" in lines
    kinds = ("ended with status -11", "traceback", "slow", "memory", "a part")
    for number, kind in zip((1, 3, 5, 7, 9), kinds, strict=True):
        assert any(line.startswith(f"{number}: FAULT: {kind}") for line in lines)


def test_outcomes_are_counted(tmp_path: Path) -> None:
    assert fuzz(try_nothing, 7, tmp_path) == {"even": 4, "odd": 3}
    with pytest.raises(AssertionError, match="wrote to stderr noise"):
        fuzz(try_nothing, 7, tmp_path / "0", is_silent=True)
