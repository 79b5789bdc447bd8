"""MPEG audio and program streams (MP3, MP2, MPG): whether the last part is whole."""

from typing import BinaryIO

# By generation (MPEG-1, MPEG-2) and layer
BIT_RATES_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = (44_100, 48_000, 32_000)
TAGS = (b"TAG", b"APE", b"LYR", b"ID3")  # may follow the last frame


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def frame_bytes(head: bytes) -> int:
    """Length of the MPEG audio frame with this header (ISO 11172-3); 0 if it is none.

    Args:
        head: The first four bytes.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate == 3 or not 0 < bit_rate < 15:
        return 0
    generation = 1 if version == 3 else 2
    kbps = BIT_RATES_KBPS[generation, layer][bit_rate - 1]
    rate_hz = RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kbps // rate_hz + padding) * 4
    samples_per_bit = 72_000 if layer == 3 and generation == 2 else 144_000
    return samples_per_bit * kbps // rate_hz + padding


def is_audio_truncated(file: BinaryIO, size: int) -> bool:
    """Whether an MP3 or MP2 lacks frames that its index (Xing, Info, VBRI) states.

    A file whose last frame is incomplete is truncated, too. Damage between frames is
    not looked for, because the decoder reports it.
    """
    position = 0
    while (head := _read(file, position, 10))[:3] == b"ID3" and len(head) == 10:
        tag = sum(byte << 7 * (3 - place) for place, byte in enumerate(head[6:]))
        position += 10 + tag + (10 if head[5] & 0x10 else 0)
    first = _read(file, position, 64)
    count = 0
    while length := frame_bytes(_read(file, position, 4)):
        position += length
        count += 1
    if position > size:
        return True
    is_end = position + 4 > size or _read(file, position, 3) in TAGS
    return is_end and 0 < count < _frames_promised(first)


def _frames_promised(first: bytes) -> int:
    """The number of frames that the first frame of an MP3 states; 0 if it does not."""
    for name in (b"Xing", b"Info"):
        place = first.find(name)
        if place > 0 and len(first) >= place + 12 and first[place + 7] & 1:
            return int.from_bytes(first[place + 8 : place + 12], "big")
    return int.from_bytes(first[50:54], "big") if first[36:40] == b"VBRI" else 0


def is_stream_truncated(file: BinaryIO, size: int) -> bool:
    """Whether the last packet of an MPEG program stream (MPG, VOB) is incomplete."""
    position = 0
    while position < size:
        head = _read(file, position, 14)
        if head[:3] != b"\0\0\1"[: len(head)]:  # padding, or damage that ffmpeg finds
            return False
        kind = head[3] if len(head) > 3 else 0xBA
        if kind == 0xB9:  # the end
            position += 4
        elif kind == 0xBA:
            is_mpeg2 = len(head) > 4 and head[4] >> 6 == 1
            stuffing = head[13] & 7 if len(head) == 14 else 0
            position += 14 + stuffing if is_mpeg2 else 12
        else:
            position += 6 + int.from_bytes(head[4:6], "big")
    return position > size
