"""The front-end in C against `utils.audio`, on this machine and on an emulated ARM."""

import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import (
    BOARD,
    C_SOURCES,
    QUANTISATION,
    Samples,
    arm_compiler,
    assert_near,
    build,
    emulator,
    expected_rows,
    read_recordings,
    run_driver,
    speech_like,
    tool,
)

from hyperparameters import FrontEnd, InputError
from utils.audio.scale import Scale
from utils.audio.wav import PCM16_SCALE
from utils.audio.windows import (
    LEVELS_KEPT,
    ROOM_DB,
    Sliding,
    is_speech,
    level_db,
    slide,
)
from utils.export.c_front_end import write_front_end
from utils.export.firmware import object_bytes

FRONT_END = FrontEnd()
SHORT = FrontEnd(duration_s=0.2, frame_length_samples=200, hop_samples=96, fft_size=256)
NO_RECOVERY = "-fno-sanitize-recover=all"
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", NO_RECOVERY)
COMPILERS = ("gcc", "clang")


@pytest.fixture
def emo_db_recordings(emo_db_dir: Path) -> list[Samples]:
    """100 recordings of EMO-DB, spread over its speakers."""
    return read_recordings(sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::5][:100])


@pytest.mark.parametrize("name", COMPILERS)
def test_rows_of_real_speech(
    name: str, tmp_path: Path, emo_db_recordings: list[Samples]
) -> None:
    program = build(tmp_path, FRONT_END, [tool(name), "-O2"])
    got = run_driver([program], tmp_path, FRONT_END, emo_db_recordings)
    expected = expected_rows(FRONT_END, emo_db_recordings)
    assert got.flags.all()
    assert expected.std() > 20  # otherwise equality would mean little
    assert_near(got.rows, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_type": "spectrogram"},
        {"input_type": "mel_spectrogram", "num_mel_bins": 40},
        {"num_mel_bins": 30, "num_mfcc": 13, "mfcc_limit": 3.0},
        {"window": "hamming", "frame_length_samples": 255, "hop_samples": 77},
        {"fft_size": 1024, "normalise_percentile": 97.3},
        {"duration_s": 0.0125, "normalise_percentile": 100.0},  # a single frame
        {"frame_length_samples": 3, "fft_size": 4, "num_mel_bins": 2, "num_mfcc": 2},
    ],
)
def test_other_settings_and_lengths(changes: dict[str, object], tmp_path: Path) -> None:
    front_end = dataclasses.replace(SHORT, **changes)
    program = build(tmp_path, front_end, [tool("gcc"), "-O1"])
    lengths = (2, 3, 199, 3199, 3200, 3205, 13_000)
    recordings = [speech_like(20_000)[7_000:][:length] for length in lengths]
    clicks = np.zeros(2_000, np.int16)  # too few for a level above 0
    clicks[[950, 1_000]] = 5, -7
    recordings.append(clicks)
    got = run_driver([program], tmp_path, front_end, recordings)
    assert got.flags.all()
    assert_near(got.rows, expected_rows(front_end, recordings))


@pytest.mark.parametrize("input_type", ["mfcc", "mel_spectrogram"])
@pytest.mark.parametrize("flags", [[], ["-DOTHER_VOICE"]], ids=["typical", "other"])
def test_features_scaled_to_a_voice(
    input_type: str, flags: list[str], tmp_path: Path
) -> None:
    front_end = dataclasses.replace(SHORT, input_type=input_type)
    index = np.arange(float(front_end.num_features))
    written, other = (
        Scale(-index / 9, 2.0 + index / 9),
        Scale(index, np.full_like(index, 5.0)),
    )
    program = build(tmp_path, front_end, [tool("gcc"), *flags], scale=written)
    recordings = [speech_like(length) for length in (900, 3200, 5001)]
    got = run_driver([program], tmp_path, front_end, recordings)
    expected = expected_rows(front_end, recordings, other if flags else written)
    assert expected.std() > 20
    assert_near(got.rows, expected)


@pytest.mark.parametrize("input_type", ["mfcc", "mel_spectrogram", "spectrogram"])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_static_memory_is_as_stated(
    input_type: str, is_scaled: bool, tmp_path: Path
) -> None:
    tool("arm-none-eabi-gcc")
    front_end = dataclasses.replace(SHORT, input_type=input_type)
    zeros = np.zeros(front_end.num_features)
    scale = Scale(zeros, zeros + 1.0) if is_scaled else None
    write_front_end(front_end, QUANTISATION, tmp_path, scale)
    _, ram_bytes = object_bytes(tmp_path / "light_sernet_front_end.c", "-std=c99")
    header = (tmp_path / "light_sernet_front_end.h").read_text()
    assert f"#define LS_SCRATCH_BYTES {ram_bytes}\n" in header


STREAMS = {  # samples of each push, samples from one window to the next
    "overlapping windows": (1_000, 800),
    "gaps between windows": (777, 5_001),
    "more than one window per push": (20_000, 1_600),
    "sample by sample": (1, 3_200),
    "more windows than levels kept": (20_000, 25),
}


@pytest.mark.parametrize(("block", "hop"), STREAMS.values(), ids=STREAMS)
def test_stream_has_the_windows_and_the_speech_of_the_command_line(
    block: int, hop: int, tmp_path: Path
) -> None:
    """The loud beginning sets the level until it is forgotten."""
    gains = np.repeat([3.0, 0.02, 0.001, 0.4, 0.0, 0.02, 0.05], 3_200)
    samples = speech_like(22_400, seed=2) * gains
    stream = samples.clip(-32768, 32767).astype(np.int16)
    blocks = [stream[start:][:block] for start in range(0, len(stream), block)]
    program = build(tmp_path, SHORT, [tool("gcc"), "-O1"])
    got = run_driver([program], tmp_path, SHORT, blocks, hop)
    windows, has_speech = command_line(SHORT, stream, hop)
    assert got.flags.tolist() == has_speech
    assert 0 < sum(has_speech) < len(has_speech)
    some = slice(None, None, 1 + len(windows) // 50)
    assert_near(got.rows[some], expected_rows(SHORT, windows[some]))
    shifted = (samples + 300).clip(-32768, 32767).astype(np.int16)  # an offset
    blocks = [shifted[start:][:block] for start in range(0, len(stream), block)]
    got = run_driver([program], tmp_path, SHORT, blocks, hop)
    assert got.flags.tolist() == command_line(SHORT, shifted, hop)[1]


def command_line(
    front_end: FrontEnd, stream: Samples, hop: int
) -> tuple[list[Samples], list[bool]]:
    """The whole windows of a stream, and whether `--mic` takes them for speech."""
    sliding = Sliding(length=front_end.duration_samples, hop=hop)
    found = [window.samples for window in slide([stream / PCM16_SCALE], sliding)]
    windows = [samples for samples in found if len(samples) == sliding.length]
    levels = [level_db(samples) for samples in windows]
    is_loud = [
        is_speech(levels[max(0, end - LEVELS_KEPT) : end])[-1]
        for end in range(1, len(levels) + 1)
    ]
    return (
        [(samples * PCM16_SCALE).astype(np.int16) for samples in windows],
        [bool(a and b > ROOM_DB) for a, b in zip(is_loud, levels, strict=True)],
    )


SECOND = np.ones(16_000, np.int16)
ODD = {  # 8 s, and whether they have sound
    "zeros": (np.tile(0 * SECOND, 8), False),
    "constant": (np.tile(1_000 * SECOND, 8), False),
    "constant at the lowest value": (np.tile(-32_768 * SECOND, 8), False),
    "full-scale square wave": (np.tile(np.repeat([32_767, -32_768], 50), 1_280), True),
    "a single click": (np.eye(1, 128_000, 56_000)[0] * -32_768, True),
    "the quietest noise": (np.arange(128_000) ** 2 // 7 % 2, True),
    "speech": (speech_like(128_000), True),
}


@pytest.mark.parametrize("name", COMPILERS)
def test_odd_inputs_have_defined_answers(name: str, tmp_path: Path) -> None:
    """With the address and undefined-behaviour sanitizers."""
    program = build(tmp_path, FRONT_END, [tool(name), *SANITIZERS])
    odd = {key: samples.astype(np.int16) for key, (samples, _) in ODD.items()}
    segments = [*odd.values(), np.empty(0, np.int16), np.array([-32_768], np.int16)]
    got = run_driver([program], tmp_path, FRONT_END, segments)
    has_sound = [flag for _, flag in ODD.values()]
    assert got.flags.tolist() == [*has_sound, False, False]
    assert_near(got.rows[-2], got.rows[0], 1.0)  # no samples are silence
    for key, samples in odd.items():
        stream = run_driver([program], tmp_path, FRONT_END, [samples], 16_000)
        expected = command_line(FRONT_END, samples, 16_000)[1]
        assert stream.flags.tolist() == expected, key
        if key == "zeros":
            assert_near(stream.rows, np.stack([got.rows[0]] * 6), 1.0)


def test_cmsis_dsp_may_compute_the_transform(tmp_path: Path) -> None:
    stand_in = ["-DLIGHT_SERNET_USE_CMSIS_DSP", f"-I{C_SOURCES / 'cmsis_stand_in'}"]
    program = build(tmp_path, SHORT, [tool("gcc"), *stand_in])
    samples = [speech_like(3_200)]
    got = run_driver([program], tmp_path, SHORT, samples)
    assert_near(got.rows, expected_rows(SHORT, samples))


def test_cortex_m4_computes_the_rows_of_this_machine(
    tmp_path: Path, emo_db_recordings: list[Samples]
) -> None:
    """Of ten recordings and of a stream of eight seconds."""
    blocks = [speech_like(8_000, seed) for seed in range(16)]
    found = []
    for name, flags, runner in (
        ("arm", arm_compiler(), emulator()),
        ("host", [tool("gcc"), "-O2"], []),
    ):
        folder = tmp_path / name
        command = [*runner, build(folder, FRONT_END, flags)]
        segments = run_driver(command, folder, FRONT_END, emo_db_recordings[::10])
        windows = run_driver(command, folder, FRONT_END, blocks, hop=16_000)
        assert segments.flags.all()
        assert windows.flags.tolist() == [True] * 6
        found.append(np.concatenate([segments.rows, windows.rows]))
    assert_near(*found)


def test_memory_and_instructions_on_a_cortex_m4(tmp_path: Path) -> None:
    """The macros state the sizes; the figures are those of docs/deployment.md."""
    main = str(BOARD / "instructions.c")
    program = build(tmp_path, FRONT_END, arm_compiler(), main)
    done = subprocess.run(
        [*emulator("-icount", "shift=0"), program],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    instructions, stream, stated_stream = map(int, done.stdout.split())
    assert stream == stated_stream == 98_424
    assert instructions < 42_000_000


@pytest.mark.proof
def test_fuzzing_finds_nothing(tmp_path: Path) -> None:
    """Ten minutes of libFuzzer on segments and streams of any content."""
    flags = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", NO_RECOVERY]
    tiny = dataclasses.replace(SHORT, duration_s=0.03)  # many runs per second
    program = build(tmp_path, tiny, [tool("clang"), *flags], "fuzz.c")
    seconds = os.environ.get("FUZZ_SECONDS", "600")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for hop in (1, 100, 600):
        start = np.array([hop, 1_000], "<u2").tobytes()
        (corpus / str(hop)).write_bytes(start + speech_like(1_500).tobytes())
    limits = [f"-max_total_time={seconds}", "-max_len=4000", "-timeout=10", corpus]
    done = subprocess.run(
        [program, *limits], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "DONE" in done.stderr


def test_fft_size_must_be_a_power_of_two(tmp_path: Path) -> None:
    front_end = dataclasses.replace(SHORT, fft_size=300)
    with pytest.raises(InputError, match=r"power of two, at least 4, got 300"):
        write_front_end(front_end, QUANTISATION, tmp_path)
