"""Damaged and hostile model files: one line each, in bounded time and memory."""

import functools
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from damage import damaged, put_odd_value
from fuzzing import fuzz, line_of
from small_models import CLASSES, babble, error_of, small_model, write
from toy_tflite import toy_model

from hyperparameters import FrontEnd, InputError
from utils.files import PROJECT
from utils.model_files import trial
from utils.model_files.metadata import METADATA_NAME, read_metadata
from utils.model_files.tflite import load_model

FRONT_END = FrontEnd(duration_s=0.1)  # 3 frames
SHAPE = (1, *FRONT_END.input_shape)
FUSED = PROJECT / "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_fuse_int8.tflite"
LABELS = ",".join(CLASSES)


def changed(change: Callable[[schema.ModelT], object]) -> bytes:
    """A small model with a changed flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(small_model(SHAPE, CLASSES))
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def ends_with(operator: int | None) -> bytes:
    """The small model with another last operator, or with none."""

    def change(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        if operator is None:
            graph.outputs = [graph.operators.pop().inputs[0]]
            return
        code = model.operatorCodes[1]
        code.builtinCode = code.deprecatedBuiltinCode = operator
        code.version = 1
        graph.operators[1].builtinOptions = None
        graph.operators[1].builtinOptionsType = 0

    return changed(change)


def leave_open(*signature: int) -> Callable[[schema.ModelT], None]:
    """Sizes of the input that are known only when the model runs: -1."""

    def change(model: schema.ModelT) -> None:
        tensor = model.subgraphs[0].tensors[0]
        tensor.shapeSignature = list(signature)

    return change


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize("name", ["m.tflite", "m.keras"])
def test_a_pointer_of_git_lfs_is_named(tmp_path, capsys, name):
    clip, path = write(tmp_path / "a.wav", babble(1.0)), tmp_path / name
    path.write_bytes(LFS)
    pointer = "is a git-lfs pointer; type `git lfs pull` there"
    message = error_of(capsys, "-fn", clip, "--model", path)
    assert message == f"{path}: {pointer}"
    if name == "m.keras":  # is named before Keras is imported
        return
    path.write_bytes(LFS + bytes(2000))  # only begins like one
    assert pointer not in error_of(capsys, "-fn", clip, "--model", path)


OPEN = {(1, -1, 40, 1): False, (-1, -1, 40, 1): False, (1, 3, -1, 1): False}
OPEN |= {(-1, 3, 40, 1): True, (1, 3, 40, 1): True}


@pytest.mark.parametrize(("signature", "is_used"), OPEN.items())
def test_a_model_of_unknown_length_is_refused(tmp_path, signature, is_used):
    path = tmp_path / "m.tflite"
    path.write_bytes(changed(leave_open(*signature)))
    if is_used:
        assert load_model(path, LABELS).input_shape == SHAPE
        return
    with pytest.raises(InputError, match="leaves a size open"):
        load_model(path, LABELS)


@pytest.mark.parametrize(
    "operator",
    [
        None,
        schema.BuiltinOperator.LOG_SOFTMAX,
        schema.BuiltinOperator.LOGISTIC,
        schema.BuiltinOperator.RELU,
        schema.BuiltinOperator.TANH,
    ],
)
def test_outputs_that_are_no_probabilities_are_refused(tmp_path, operator):
    path = tmp_path / "m.tflite"
    path.write_bytes(ends_with(operator))
    model = load_model(path, LABELS)
    batch = np.random.RandomState(0).normal(0, 3, SHAPE).astype(np.float32)
    with pytest.raises(InputError, match=r"m\.tflite: returns \[.*with a softmax"):
        model.predict(batch)


def huge(model: schema.ModelT) -> None:
    """Tensors of 4 GB between input and output."""
    graph = model.subgraphs[0]
    for name in (0, 2, 3):
        graph.tensors[name].shape = [2**20, 2**10]


def gigabyte(model: schema.ModelT) -> None:
    """A file of 2 kB whose only operator needs 1 GB."""
    graph, code = model.subgraphs[0], schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    cast = schema.OperatorT()
    cast.inputs, cast.outputs = [0], [3]
    graph.tensors[0].type = schema.TensorType.INT8
    for number in (0, 3):
        graph.tensors[number].shape = [1, 2**28]
    model.operatorCodes, graph.operators = [code], [cast]


def one_op_of(code: int) -> Callable[[schema.ModelT], None]:
    def change(model: schema.ModelT) -> None:
        model.operatorCodes[0].builtinCode = code

    return change


def not_utf_8(model: schema.ModelT) -> None:
    """Names of tensors that are no text."""
    for tensor in model.subgraphs[0].tensors:
        tensor.name = "NAME"


BAD = {  # the interpreter itself refuses all but the one that kills it
    "huge tensors": changed(huge),
    "a gigabyte": changed(gigabyte),
    "an operator that does not exist": changed(one_op_of(100_000)),
    "an input from nowhere": changed(
        lambda m: setattr(m.subgraphs[0], "inputs", [10_000])
    ),
    "an operator on nothing": changed(
        lambda m: setattr(m.subgraphs[0].operators[0], "inputs", [7777, 1, -1])
    ),
    "negative sizes": changed(
        lambda m: setattr(m.subgraphs[0].tensors[2], "shape", [-5, -7])
    ),
    "no graph": changed(lambda m: setattr(m, "subgraphs", [])),
    "no buffers": changed(lambda m: setattr(m, "buffers", [])),
    "names that are no UTF-8": changed(not_utf_8).replace(b"NAME", b"\xff\xfe\xfd\xfc"),
    "a crash": toy_model(SHAPE, 3)[:18] + b"\0" + toy_model(SHAPE, 3)[19:],
    "a table beyond the end": b"\xff\xff\xff\x7fTFL3" + bytes(64),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_hostile_model_is_one_line(tmp_path, kind):
    path = tmp_path / "m.tflite"
    path.write_bytes(BAD[kind])
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load_model(path, LABELS)
    assert str(caught.value).startswith(f"{path}: ")
    assert ("it ends the interpreter" in str(caught.value)) == (kind == "a crash")
    assert str(caught.value).isprintable()
    assert time.process_time() - started < 1.0


def special(kind: str, path: Path) -> None:
    """A path that must not be read to its end."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 50 * 2**30)  # sparse


@pytest.mark.parametrize("suffix", [".tflite", ".keras"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "50 GB"])
def test_what_is_no_file_of_normal_size_is_never_opened(tmp_path, kind, suffix):
    from utils.model_files.keras_model import load_keras_model

    path = tmp_path / f"m{suffix}"
    special(kind, path)
    for read in (load_model, load_keras_model, read_metadata):
        with pytest.raises(InputError, match=r"not a regular file|at most"):
            read(path)


def test_a_crash_of_the_interpreter_is_one_line(tmp_path, monkeypatch):
    """In the child process; whatever ends it: a signal, memory or time."""
    path = tmp_path / "m.tflite"
    path.write_bytes(small_model(SHAPE, CLASSES))
    starts = []
    run = trial.subprocess.run

    def crash(command, **options):
        starts.append(command)
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        return run([command[0], "-c", code], **options)

    monkeypatch.setattr(trial, "_FAILURES", {})
    monkeypatch.setattr(trial.subprocess, "run", crash)
    for _ in range(2):
        with pytest.raises(InputError, match=r"m\.tflite: cannot be loaded \(it ends"):
            load_model(path, LABELS)
    assert len(starts) == 1  # once per content
    load_model(path, LABELS, is_trusted=True)
    load_model(FUSED)  # comes with the program: not tried
    assert len(starts) == 1


def fork_trial(content: bytes) -> str:
    """As `trial._failure`, in a forked child: a hundred times faster."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 2)
        os.write(writing, trial.run_once(content).encode()[:1000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        reason = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return reason if status == 0 else "it ends the interpreter"


def described(random: np.random.RandomState) -> bytes:
    """A ZIP of metadata with odd values in it, or damaged."""
    metadata = {
        "format": 1,
        "classes": list(CLASSES),
        "front_end": {
            "duration_s": 0.1,
            "input_type": "mfcc",
            "sample_rate_hz": 16_000,
        },
        "input": "features",
        "corpus": {"name": "TOY"},
    }
    for _ in range(random.randint(1, 3)):
        put_odd_value(metadata, random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(METADATA_NAME, json.dumps(metadata))
    content = buffer.getvalue()
    return damaged(content, random) if random.randint(2) else content


@functools.cache
def wholes() -> tuple[bytes, ...]:
    """Three small models; a large one of the program, which takes audio."""
    toys = [toy_model(SHAPE, len(CLASSES), is_int8=b) for b in (False, True)]
    return (*toys, small_model(SHAPE, CLASSES), FUSED.read_bytes())


def damaged_model(number: int) -> bytes:
    """A damaged model, or a whole model with damaged metadata."""
    random = np.random.RandomState(number)
    if number % 10 < 3:
        return wholes()[0] + described(random)
    return damaged(wholes()[3 if number % 10 == 9 else number % 3], random)


def try_damaged_model(folder: Path, number: int) -> str:
    """Load a damaged model and run it."""
    trial._failure = fork_trial
    path = folder / "m.tflite"
    path.write_bytes(damaged_model(number))
    try:
        model = load_model(path, LABELS)
        if model.input_shape == SHAPE:
            model.predict(np.ones(SHAPE, np.float32))
    except InputError as error:
        return line_of(error, path)
    return "answered"


@pytest.mark.parametrize("count", [60, pytest.param(6_000, marks=pytest.mark.proof)])
def test_damaged_models_answer_or_are_one_line(tmp_path, count):
    found = fuzz(try_damaged_model, count, tmp_path)
    assert count / 4 < found["refused"] < count
