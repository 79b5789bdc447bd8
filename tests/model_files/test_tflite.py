"""Loading `.tflite` files, predicting with them, and refusing unusable ones."""

import dataclasses
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from toy_tflite import (
    INPUT_SCALE,
    INPUT_ZERO_POINT,
    LOGIT_SCALE,
    WEIGHT_SCALE,
    toy_model,
    toy_weights,
)

from hyperparameters import FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.files import PROJECT
from utils.model_files.metadata import attach_metadata, parse_labels
from utils.model_files.tflite import (
    load_model,
    model_inputs,
    predict_utterance,
)

FRONT_END = FrontEnd(duration_s=0.1)  # 3 frames
FEATURES_SHAPE = (1, *FRONT_END.input_shape)
AUDIO_SHAPE = (1, FRONT_END.duration_samples)
CLASSES = ["joy", "grief", "calm"]


def metadata(kind="features"):
    front_end = dataclasses.asdict(FRONT_END)
    return {"format": 1, "classes": CLASSES, "front_end": front_end, "input": kind}


def write(path, shape, is_int8=False):
    """A described toy model."""
    kind = "audio" if len(shape) == 2 else "features"
    model = toy_model(shape, len(CLASSES), is_int8=is_int8)
    path.write_bytes(attach_metadata(model, metadata(kind)))
    return path


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def random_batch(count, shape):
    values = np.random.RandomState(1).normal(0, 3, (count, *shape[1:]))
    return values.astype(np.float32)


def test_float_model_predicts_its_formula(tmp_path):
    model = load_model(write(tmp_path / "m.tflite", FEATURES_SHAPE))
    batch = random_batch(5, FEATURES_SHAPE)
    weights = toy_weights(batch[0].size, 3) * WEIGHT_SCALE
    expected = softmax(batch.reshape(5, -1) @ weights.T)
    found = model.predict(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.classes == tuple(CLASSES)
    assert model.front_end == FRONT_END
    assert not model.takes_audio


def test_int8_model_rounds_and_clips_its_input(tmp_path):
    model = load_model(write(tmp_path / "m.tflite", FEATURES_SHAPE, is_int8=True))
    batch = random_batch(20, FEATURES_SHAPE)
    batch[0, 0, 0, 0] = 1e6  # must clip to 127, not wrap around
    steps = np.clip(np.rint(batch / INPUT_SCALE) + INPUT_ZERO_POINT, -128, 127)
    real = (steps - INPUT_ZERO_POINT) * INPUT_SCALE
    logits = real.reshape(20, -1) @ (toy_weights(batch[0].size, 3) * WEIGHT_SCALE).T
    logits = np.clip(np.rint(logits / LOGIT_SCALE), -128, 127) * LOGIT_SCALE
    found = model.predict(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits), atol=1.5 / 256 + LOGIT_SCALE / 4)
    np.testing.assert_allclose(found * 256, np.rint(found * 256), atol=1e-4)


def test_other_shape_is_refused(tmp_path):
    model = load_model(write(tmp_path / "m.tflite", FEATURES_SHAPE))
    with pytest.raises(ValueError, match="batch must be"):
        model.predict(np.zeros((1, 4, 40, 1), np.float32))


@pytest.mark.parametrize("shape", [FEATURES_SHAPE, AUDIO_SHAPE])
def test_utterance_is_the_mean_over_its_segments(tmp_path, shape):
    model = load_model(write(tmp_path / "m.tflite", shape))
    samples = np.random.RandomState(2).uniform(-0.3, 0.3, 3 * 1600 + 5)
    inputs = model_inputs(model, samples, mode=0)
    assert inputs.shape == (3, *shape[1:])
    assert inputs.dtype == np.float32
    expected = model.predict(inputs).mean(axis=0)
    np.testing.assert_array_equal(predict_utterance(model, samples, 0), expected)


def test_features_model_gets_prepared_segments(tmp_path):
    model = load_model(write(tmp_path / "m.tflite", FEATURES_SHAPE))
    samples = np.random.RandomState(2).uniform(-0.3, 0.3, 1000)
    segments = prepare(samples, FRONT_END)
    expected = compute_features(from_pcm16(segments), FRONT_END)
    np.testing.assert_array_equal(model_inputs(model, samples), expected)


def test_audio_model_gets_samples_cut_and_padded_only(tmp_path):
    model = load_model(write(tmp_path / "m.tflite", AUDIO_SHAPE))
    assert model.takes_audio
    samples = np.random.RandomState(2).uniform(-0.3, 0.3, 1001)
    [given] = model_inputs(model, samples)
    np.testing.assert_array_equal(given[299:1300], samples.astype(np.float32))
    assert not given[:299].any()
    assert not given[1300:].any()


@pytest.mark.parametrize(
    ("shape", "expected", "takes_audio"),
    [
        ((1, 184, 40, 1), FrontEnd(), False),
        ((1, 434, 40, 1), FrontEnd(duration_s=7.0), False),
        ((1, 184, 128, 1), FrontEnd(input_type="mel_spectrogram"), False),
        ((1, 29, 513, 1), FrontEnd(input_type="spectrogram", duration_s=0.512), False),
        ((1, 48000), FrontEnd(), True),
    ],
)
def test_model_of_another_project_with_labels(tmp_path, shape, expected, takes_audio):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(toy_model(shape, 3))
    with pytest.raises(InputError, match=r"does not name its classes.*--labels"):
        load_model(path)
    model = load_model(path, "joy, grief,calm")
    assert model.classes == tuple(CLASSES)
    assert model.front_end == expected
    assert model.takes_audio is takes_audio
    assert model.metadata is None


def test_labels_from_a_file_replace_the_stored_ones(tmp_path):
    path = write(tmp_path / "m.tflite", FEATURES_SHAPE)
    labels = tmp_path / "labels.txt"
    labels.write_text("Freude\nTrauer\n\n Ruhe \n", encoding="utf-8-sig")
    assert load_model(path, str(labels)).classes == ("Freude", "Trauer", "Ruhe")


def test_labels_may_not_reorder_the_stored_ones(tmp_path):
    path = write(tmp_path / "m.tflite", FEATURES_SHAPE)
    own = metadata()["classes"]
    assert load_model(path, ",".join(own)).classes == tuple(own)
    with pytest.raises(InputError, match="in another order than the model itself"):
        load_model(path, ",".join(reversed(own)))


@pytest.mark.parametrize("labels", ["absent.txt", "a,a", ",", "\0"])
def test_wrong_labels(labels):
    with pytest.raises(InputError, match="--labels"):
        parse_labels(labels)


def test_number_of_labels_must_be_that_of_outputs(tmp_path):
    path = write(tmp_path / "m.tflite", FEATURES_SHAPE)
    with pytest.raises(InputError, match="has 3 outputs, but 2 classes"):
        load_model(path, "joy,grief")


def test_input_must_be_what_the_front_end_makes(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(attach_metadata(toy_model((1, 9, 40, 1), 3), metadata()))
    with pytest.raises(InputError, match="its front-end gives"):
        load_model(path)


def test_shape_of_unknown_kind_is_refused(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(toy_model((1, 9, 41, 1), 3))
    with pytest.raises(InputError, match=r"must be \(1, samples\)"):
        load_model(path, "a,b,c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TensorFlow Lite model"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a TensorFlow Lite model"),
        (b"\x1c\0\0\0TFL3", "cannot be loaded"),
        (b"\x1c\0\0\0TFL3" + bytes(5000), "cannot be loaded"),
        (toy_model(FEATURES_SHAPE, 3)[:-100], "cannot be loaded"),
        (toy_model(FEATURES_SHAPE, 3)[:200], "cannot be loaded"),
    ],
)
def test_broken_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path, "a,b,c")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def changed_model(path, change):
    """A toy int8 model with something else in its flatbuffer."""
    content = toy_model(FEATURES_SHAPE, len(CLASSES), is_int8=True)
    model = schema.ModelT.InitFromPackedBuf(content)
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(attach_metadata(bytes(builder.Output()), metadata()))
    return path


def test_integers_without_a_scale_are_refused(tmp_path):
    """Such as models of other projects for 16-bit audio."""

    def only_cast(model):
        graph = model.subgraphs[0]
        for number in (graph.inputs[0], graph.outputs[0]):
            graph.tensors[number].shape = [1, len(CLASSES)]
            graph.tensors[number].quantization = None
        graph.tensors[graph.outputs[0]].type = schema.TensorType.FLOAT32
        code, cast = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
        cast.inputs, cast.outputs = list(graph.inputs), list(graph.outputs)
        model.operatorCodes, graph.operators = [code], [cast]

    path = changed_model(tmp_path / "m.tflite", only_cast)
    with pytest.raises(InputError, match=r"its int8 tensor .* has no quant"):
        load_model(path)


def test_an_answer_that_is_no_row_of_probabilities_is_refused(tmp_path):
    def answer_weights(model):
        graph = model.subgraphs[0]
        graph.outputs = [graph.operators[0].inputs[1]]

    path = changed_model(tmp_path / "m.tflite", answer_weights)
    with pytest.raises(
        InputError, match=r"must have output shape \(1, classes\), .* got \(3, "
    ):
        load_model(path)


def test_answers_that_are_no_numbers_are_refused(tmp_path):
    path = write(tmp_path / "m.tflite", FEATURES_SHAPE)
    batch = np.full(FEATURES_SHAPE, np.nan, np.float32)
    with pytest.raises(InputError, match="returns NaN"):
        load_model(path).predict(batch)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_model(tmp_path / "absent.tflite")


THREE_LINES = """
from utils.audio.wav import read_wav; from utils.model_files.tflite import *
model = load_model(Path(sys.argv[1]))
print(model.classes, predict_utterance(model, read_wav(Path(sys.argv[2]), 16000)))
"""
# What `pip install ai-edge-litert soundfile` brings, and the project itself
ALLOWED = {
    *("ai_edge_litert", "numpy", "soundfile", "_soundfile", "_soundfile_data"),
    *("backports", "cffi", "_cffi_backend", "flatbuffers", "ml_dtypes", "google"),
    *("pycparser", "tqdm", "typing_extensions", "utils", "hyperparameters"),
}


@pytest.mark.parametrize("shape", [FEATURES_SHAPE, AUDIO_SHAPE])
def test_litert_numpy_and_a_wav_reader_are_enough(tmp_path, tone_wav, shape):
    path = write(tmp_path / "m.tflite", shape)
    loaded = "print(*{n.partition('.')[0] for n in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys{THREE_LINES}{loaded}", path, tone_wav],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tuple(CLASSES)} [")
    # .pth files of other packages load theirs into every process
    bare = [sys.executable, "-c", f"import sys; {loaded}"]
    before = subprocess.run(bare, capture_output=True, text=True, check=True).stderr
    found = set(done.stderr.splitlines()[-1].split()) - set(before.split())
    assert not found - ALLOWED - sys.stdlib_module_names
