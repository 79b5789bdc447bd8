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
from utils.model_files.class_names import parse_labels
from utils.model_files.metadata import attach_metadata
from utils.model_files.tflite import load_model, model_inputs, predict_utterance

FRONT_END = FrontEnd(duration_s=0.1)  # 3 frames
FEATURES_SHAPE = (1, *FRONT_END.input_shape)
AUDIO_SHAPE = (1, FRONT_END.duration_samples)
CLASSES = ["joy", "grief", "calm"]
RANDOM = np.random.RandomState(2)
BATCH = RANDOM.normal(0, 3, (20, *FEATURES_SHAPE[1:])).astype(np.float32)
WEIGHTS = toy_weights(BATCH[0].size, 3) * WEIGHT_SCALE


def described(model, kind="features", classes=CLASSES):
    """The model with metadata."""
    front_end = dataclasses.asdict(FRONT_END)
    metadata = {"format": 1, "classes": classes, "front_end": front_end, "input": kind}
    return attach_metadata(model, metadata)


def write(folder, shape, is_int8=False):
    """A toy model with metadata."""
    model = toy_model(shape, len(CLASSES), is_int8=is_int8)
    path = folder / "m.tflite"
    path.write_bytes(described(model, "audio" if len(shape) == 2 else "features"))
    return path


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_float_model_predicts_its_formula(tmp_path):
    model = load_model(write(tmp_path, FEATURES_SHAPE))
    found = model.predict(BATCH)
    expected = softmax(BATCH.reshape(20, -1) @ WEIGHTS.T)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.classes == tuple(CLASSES)
    assert model.front_end == FRONT_END
    assert not model.takes_audio
    with pytest.raises(ValueError, match="batch must be"):
        model.predict(np.zeros((1, 4, 40, 1), np.float32))
    with pytest.raises(InputError, match="returns NaN"):
        model.predict(BATCH * np.float32(np.nan))


def test_int8_model_rounds_and_clips_its_input(tmp_path):
    model = load_model(write(tmp_path, FEATURES_SHAPE, is_int8=True))
    batch = BATCH.copy()
    batch[0, 0, 0, 0] = 1e6  # must clip to 127, not wrap around
    steps = np.clip(np.rint(batch / INPUT_SCALE) + INPUT_ZERO_POINT, -128, 127)
    logits = ((steps - INPUT_ZERO_POINT) * INPUT_SCALE).reshape(20, -1) @ WEIGHTS.T
    logits = np.clip(np.rint(logits / LOGIT_SCALE), -128, 127) * LOGIT_SCALE
    found = model.predict(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits), atol=1.5 / 256 + LOGIT_SCALE / 4)
    np.testing.assert_allclose(found * 256, np.rint(found * 256), atol=1e-4)


def test_inputs_are_prepared_features_or_padded_samples(tmp_path):
    samples = RANDOM.uniform(-0.3, 0.3, 1001)
    features = compute_features(from_pcm16(prepare(samples, FRONT_END)), FRONT_END)
    model = load_model(write(tmp_path, FEATURES_SHAPE))
    np.testing.assert_array_equal(model_inputs(model, samples), features)
    model = load_model(write(tmp_path, AUDIO_SHAPE))
    assert model.takes_audio
    padded = np.pad(samples.astype(np.float32), (299, 300))
    np.testing.assert_array_equal(model_inputs(model, samples), [padded])
    # three segments: the mean of their probabilities
    inputs = model_inputs(model, np.tile(samples, 5), mode=0)
    assert (inputs.shape, inputs.dtype) == ((3, *AUDIO_SHAPE[1:]), np.float32)
    found = predict_utterance(model, np.tile(samples, 5), mode=0)
    np.testing.assert_array_equal(found, model.predict(inputs).mean(axis=0))


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


def test_labels_replace_the_stored_ones_but_do_not_reorder_them(tmp_path):
    path = write(tmp_path, FEATURES_SHAPE)
    labels = tmp_path / "labels.txt"
    labels.write_text("Freude\nTrauer\n\n Ruhe \n", encoding="utf-8-sig")
    assert load_model(path, str(labels)).classes == ("Freude", "Trauer", "Ruhe")
    assert load_model(path, ",".join(CLASSES)).classes == tuple(CLASSES)
    with pytest.raises(InputError, match="has 3 outputs, but 2 classes"):
        load_model(path, "joy,grief")
    for wrong in ("absent.txt", "a,a", "a,A", "é,e\u0301", "a,\x1b[2J", ",", "\0"):
        with pytest.raises(InputError, match="--labels"):
            parse_labels(wrong)
    assert parse_labels("e\u0301, b") == ("é", "b")


@pytest.mark.parametrize(
    ("labels", "is_right"),
    [
        ("joy,grief,calm", True),
        ("Happy,Trauer,CALM", True),  # other words at the same places
        ("yes,no,perhaps", True),
        ("calm,grief,joy", False),
        ("grief,joy,x", False),  # two changed places, and a word of one's own
        ("Calm,grief,Joy", False),
        ("calm,grief,happiness", False),  # and a synonym
        ("sad,happy,calm", False),
        ("x,y,joyful", False),
    ],
)
def test_labels_never_give_a_name_of_the_model_to_another_output(
    tmp_path, labels, is_right
):
    path = write(tmp_path, FEATURES_SHAPE)
    if is_right:
        assert load_model(path, labels).classes == tuple(labels.split(","))
        return
    with pytest.raises(InputError, match="in another order than the model itself"):
        load_model(path, labels)


@pytest.mark.parametrize(
    "word",
    [
        *("anxiety_fear", "Anxiety Fear", "anxiety-fear", "ANXIETY_FEAR ", "fear"),
        *("anxiety/fear", "Anxiety - Fear", "anxiety\u2010fear"),
        *("anxiety\u2013fear", "anxiety  fear", "Anxious"),
    ],
)
def test_a_class_of_two_words_is_known_in_every_spelling(tmp_path, word):
    classes = ["anxiety_fear", "neutral", "anger"]
    path = tmp_path / "m.tflite"
    path.write_bytes(described(toy_model(FEATURES_SHAPE, 3), classes=classes))
    assert load_model(path, f"{word},x,y").classes == (word.strip(), "x", "y")
    with pytest.raises(InputError, match=r"would name the output for neutral"):
        load_model(path, f"x,{word},y")


def changed_model(change):
    """A toy int8 model with a changed flatbuffer."""
    content = toy_model(FEATURES_SHAPE, len(CLASSES), is_int8=True)
    model = schema.ModelT.InitFromPackedBuf(content)
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return described(bytes(builder.Output()))


def only_cast(model):
    """int8 input without a scale, as in models of other projects for 16-bit audio."""
    graph = model.subgraphs[0]
    for number in (graph.inputs[0], graph.outputs[0]):
        graph.tensors[number].shape = [1, len(CLASSES)]
        graph.tensors[number].quantization = None
    graph.tensors[graph.outputs[0]].type = schema.TensorType.FLOAT32
    code, cast = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    cast.inputs, cast.outputs = list(graph.inputs), list(graph.outputs)
    model.operatorCodes, graph.operators = [code], [cast]


def return_weights(model):
    """The output is not one row of probabilities."""
    graph = model.subgraphs[0]
    graph.outputs = [graph.operators[0].inputs[1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TensorFlow Lite model"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a TensorFlow Lite model"),
        (b"\x1c\0\0\0TFL3", "cannot be loaded"),
        (b"\x1c\0\0\0TFL3" + bytes(5000), "cannot be loaded"),
        (toy_model(FEATURES_SHAPE, 3)[:-100], "cannot be loaded"),
        (toy_model(FEATURES_SHAPE, 3)[:200], "cannot be loaded"),
        (toy_model((1, 9, 41, 1), 3), r"must be \(1, samples\)"),
        (described(toy_model((1, 9, 40, 1), 3)), "its front-end gives"),
        (changed_model(only_cast), "its int8 tensor .* has no quantisation scale"),
        (changed_model(return_weights), r"output shape \(1, classes\), .* got \(3, "),
    ],
)
def test_unusable_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path, "a,b,c")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
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
    path = write(tmp_path, shape)
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
