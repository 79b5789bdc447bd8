"""The folder for a device: it compiles, its functions answer, its figures are true."""

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from c_programs import (
    C_SOURCES,
    QUANTISATION,
    WARNINGS,
    build,
    read_recordings,
    run_driver,
    run_on,
    speech_like,
    tool,
)

from hyperparameters import FrontEnd
from utils.audio.wav import write_wav
from utils.export.firmware import CModel, object_bytes, write_firmware
from utils.export.tiling import tile
from utils.files import PROJECT
from utils.model_files.metadata import without_metadata

SHIPPED = PROJECT / "inference_tests"
INT8 = SHIPPED / "EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
STAND_IN = C_SOURCES / "firmware_project"  # in place of TensorFlow Lite Micro
LARGEST_RAM_BYTES, LARGEST_FLASH_BYTES = 2**18, 640 * 2**10
CLASSES = ("joy", 'qu"ote', "what??/", *"abcd")
FRONT_END = FrontEnd()


@pytest.fixture(scope="module")
def model() -> CModel:
    """The shipped int8 network in tiles, with other class names."""
    return CModel(
        content=tile(without_metadata(INT8.read_bytes())),
        classes=CLASSES,
        front_end=FRONT_END,
        input_quantisation=QUANTISATION,
        output_quantisation=(1 / 256, -128),
        arena_bytes=119_728,  # tests/export/test_microcontroller.py measures it
        comparison="Compared.",
    )


@pytest.fixture(scope="module")
def firmware(model: CModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    write_firmware(model, folder)
    return folder


@pytest.fixture(scope="module")
def programs(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a stand-in for TensorFlow Lite Micro, built by CMake.

    The stand-in's network returns the first seven values of the rows.
    """
    folder = tmp_path_factory.mktemp("build")
    flags = " ".join(WARNINGS)
    options = [f"-DFIRMWARE={firmware}"]
    options += [f"-DCMAKE_{name}_FLAGS={flags}" for name in ("C", "CXX")]
    tool("g++")
    cmake = [tool("cmake"), "-S", STAND_IN, "-B", folder, *options]
    subprocess.run(cmake, check=True, capture_output=True)
    done = subprocess.run(
        ["cmake", "--build", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("hop", [0, 16_000])
def test_functions_answer_for_the_rows(
    hop: int, programs: Path, tmp_path: Path
) -> None:
    """Hop 0: whole recordings; else a stream in blocks that fit nothing."""
    silence = np.zeros(70_000, np.int16)
    recordings = [speech_like(70_000), silence, speech_like(20_001, seed=1)]
    driver = build(tmp_path, FRONT_END, [tool("gcc"), "-O2"])
    found = run_driver([driver], tmp_path, FRONT_END, recordings, hop)
    expected = []
    for flag, rows in zip(*found, strict=True):
        values = rows.ravel()[: len(CLASSES)].astype(int)
        best = int(values.argmax()) if flag else -1
        expected.append(f"{best} {(values[best] + 128) / 256 if flag else 0.0:.4f}")
    shown = run_on([programs / "functions"], tmp_path, recordings, hop)
    assert shown.splitlines() == expected
    assert "-1 0.0000" in expected
    assert len(set(expected)) > 1


def test_program_classifies_wav_files(programs: Path, tmp_path: Path) -> None:
    program = programs / "firmware" / "light_sernet_wav"
    driver = build(tmp_path, FRONT_END, [tool("gcc"), "-O2"])
    path, rows = SHIPPED / "anger_emodb.wav", tmp_path / "rows.bin"
    done = subprocess.run([program, path, rows], capture_output=True, check=True)
    [expected] = run_driver([driver], tmp_path, FRONT_END, read_recordings([path])).rows
    assert rows.read_bytes() == expected.tobytes()
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == list(CLASSES)
    best = int(expected.ravel()[: len(CLASSES)].argmax())
    assert [i for i, line in enumerate(lines) if line.endswith(" *")] == [best]


def test_program_refuses_other_files(programs: Path, tmp_path: Path) -> None:
    samples = np.zeros((2_000, 2), np.int16)
    soundfile.write(tmp_path / "stereo.wav", samples, 16_000)
    soundfile.write(tmp_path / "rate.wav", samples[:, 0], 8_000)
    soundfile.write(tmp_path / "float.wav", samples[:, 0], 16_000, "FLOAT")
    whole = (SHIPPED / "anger_emodb.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-100])
    (tmp_path / "text.wav").write_text("no sound")
    for name in ("stereo", "rate", "float", "cut", "text", "missing"):
        path = tmp_path / f"{name}.wav"
        program = programs / "firmware" / "light_sernet_wav"
        done = subprocess.run([program, path], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, ""), name
        assert done.stderr.startswith(f"{path}: "), name
        assert done.stderr.count("\n") == 1


def test_front_end_builds_without_tensorflow_lite_micro(
    firmware: Path, tmp_path: Path
) -> None:
    cmake, build_folder = tool("cmake"), tmp_path / "build"
    for command in (["-S", firmware, "-B", build_folder], ["--build", build_folder]):
        subprocess.run([cmake, *command], check=True, capture_output=True)
    write_wav(tmp_path / "sound.wav", speech_like(9_000) / 32_768, 16_000)
    program = [build_folder / "light_sernet_wav", tmp_path / "sound.wav", "rows.bin"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b""
    assert (tmp_path / "rows.bin").stat().st_size == 184 * 40


DUMP = """
#include <stdio.h>
#include "light_sernet_model.h"
int main(void) {
  fwrite(light_sernet_model, 1, sizeof light_sernet_model, stdout);
  fputs(light_sernet_classes[1], stderr);
  return (unsigned long)light_sernet_model % 16 == 0 ? 0 : 1;
}
"""


def test_array_is_the_file_byte_for_byte(
    model: CModel, firmware: Path, tmp_path: Path
) -> None:
    (tmp_path / "main.c").write_text(DUMP)
    program = tmp_path / "program"
    flags = ["-std=c11", *WARNINGS, f"-I{firmware}", "-o", program]
    sources = [firmware / "light_sernet_model.c", tmp_path / "main.c"]
    subprocess.run([tool("gcc"), *flags, *sources], check=True)
    done = subprocess.run([program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b'qu"ote')
    assert done.stdout == model.content


def test_memory_on_a_cortex_m4(model: CModel, firmware: Path) -> None:
    """Sizes of the object files, without TensorFlow Lite Micro's own code."""
    tool("arm-none-eabi-gcc")
    flags = ["-std=c99", *WARNINGS]
    front_end = object_bytes(firmware / "light_sernet_front_end.c", *flags)
    network = object_bytes(firmware / "light_sernet_model.c", "-std=c11")
    flags = ["-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
    functions = object_bytes(firmware / "light_sernet.cc", *flags, f"-I{STAND_IN}")
    flash, ram = np.sum([front_end, network, functions], axis=0)
    stated = macros(firmware)
    assert front_end[1] == stated["LS_SCRATCH_BYTES"]
    assert 0 < front_end[0] - stated["LS_TABLE_BYTES"] < 4_096
    buffers = stated["LIGHT_SERNET_ARENA_BYTES"] + stated["LS_STREAM_BYTES"]
    assert 0 <= functions[1] - buffers < 256
    assert 0 < network[0] - stated["LIGHT_SERNET_MODEL_BYTES"] < 256
    assert ram <= LARGEST_RAM_BYTES
    assert flash <= LARGEST_FLASH_BYTES
    code = front_end[0] - stated["LS_TABLE_BYTES"]
    figures = (firmware / "README.md").read_text()
    ram_bytes = buffers + stated["LS_SCRATCH_BYTES"]
    for amount in (ram_bytes, len(model.content), stated["LS_TABLE_BYTES"], code):
        assert f" {amount:,} bytes" in figures.replace("**", " ")
    assert "| 160,662,720 multiply-accumulates |" in figures
    assert "\nCompared.\n" in figures


def macros(folder: Path) -> dict[str, int]:
    """The sizes that the headers state."""
    lines = [
        line.split()
        for path in folder.glob("*.h")
        for line in path.read_text().splitlines()
        if line.startswith("#define ") and "_BYTES " in line
    ]
    return {line[1]: int(line[2]) for line in lines if line[2].isdigit()}


@pytest.mark.parametrize("is_there", [False, True])
def test_readme_says_what_was_not_measured(
    is_there: bool, model: CModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cross-compiler, and with one that lacks the C library."""
    for name in ("gcc", "size") if is_there else ():
        compiler = tmp_path / f"arm-none-eabi-{name}"
        compiler.write_text("#!/bin/sh\necho 'no math.h' >&2\nexit 1\n")
        compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if is_there else str(tmp_path))
    write_firmware(model, tmp_path / "firmware")
    text = (tmp_path / "firmware" / "README.md").read_text()
    assert "| not measured | needs `arm-none-eabi-gcc` and" in text
    assert "overlapping" not in text
    other = dataclasses.replace(model, hears_overlapping=True)
    write_firmware(other, tmp_path / "firmware")
    assert "hears overlapping" in (tmp_path / "firmware" / "README.md").read_text()
