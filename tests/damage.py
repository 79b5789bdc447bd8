"""Damage for structured fuzzing: odd numbers, odd values, cut and doubled parts."""

import copy
import struct
from typing import Any

import numpy as np

NUMBERS = (0, 1, 2, 0x7F, 0xFF, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8)


def damaged(content: bytes, random: np.random.RandomState) -> bytes:
    """A file with a few odd numbers, cut, or with a part twice."""
    kind, changed = random.randint(8), bytearray(content)
    if kind == 0:
        return content[: random.randint(len(content))]
    if kind == 1:
        start, length = random.randint(len(content)), random.randint(1, 400)
        return content[:start] + content[start : start + length] + content[start:]
    for _ in range(random.randint(1, 4)):
        if kind < 5:  # where the numbers of a flatbuffer and a ZIP are
            number = NUMBERS[random.randint(len(NUMBERS))]
            at = 4 * random.randint(len(content) // 4)
            changed[at : at + 4] = struct.pack("<I", number)
        else:
            changed[random.randint(len(changed))] = random.randint(256)
    return bytes(changed)


ODD = (None, True, -1, 10**400, 1e308, "", "x" * 5000, "\x1b[2J", [], {}, [[]], "NaN")


def put_odd_value(content: Any, random: np.random.RandomState) -> None:
    """Replace a value somewhere in a JSON object by an odd one."""
    place = content
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = keys[random.randint(len(keys))]
        is_deeper = isinstance(place[key], dict | list) and place[key]
        if not is_deeper or random.randint(6) == 0:
            place[key] = copy.deepcopy(ODD[random.randint(len(ODD))])
            return
        place = place[key]
