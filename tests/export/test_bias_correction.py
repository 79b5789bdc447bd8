import keras
import numpy as np
import pytest
import test_export
from toy_tflite import toy_model

from utils.export import convert as export
from utils.export.bias_correction import correct_bias, logits
from utils.model_files.tflite import PRECISIONS


@pytest.fixture(scope="module")
def converted() -> dict[str, bytes]:
    """float32, and int8 as the converter leaves it."""
    network = test_export.build_network()
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(export, "PRECISIONS", ("float32", "int8"))
        patched.setattr(export, "correct_bias", lambda int8, *_: int8)
        return export.convert(network, test_export.speechlike_features(16))


def test_logits_are_those_before_softmax(converted: dict[str, bytes]) -> None:
    network: keras.Model = test_export.build_network()
    features = test_export.speechlike_features(3, seed=4)
    found = logits(converted["float32"], features)
    expected = np.log(network.predict(features, verbose=0))
    centred = [
        values - values.mean(axis=1, keepdims=True) for values in (found, expected)
    ]
    np.testing.assert_allclose(*centred, atol=1e-3)


def test_mean_error_is_gone_and_unseen_errors_shrink(
    converted: dict[str, bytes],
) -> None:
    seen = test_export.speechlike_features(16)
    unseen = test_export.speechlike_features(24, seed=8)
    corrected = correct_bias(converted["int8"], converted["float32"], seen)

    def errors(int8: bytes, features: np.ndarray) -> np.ndarray:
        return logits(int8, features) - logits(converted["float32"], features)

    before = np.abs(errors(converted["int8"], seen).mean(axis=0))
    after = np.abs(errors(corrected, seen).mean(axis=0))
    assert before.max() > 0.02  # otherwise there would be nothing to correct
    assert after.max() < 0.5 * before.max()
    rms = [
        np.sqrt(np.mean(errors(int8, unseen) ** 2))
        for int8 in (converted["int8"], corrected)
    ]
    assert rms[1] < rms[0]


def test_only_the_last_bias_changes(converted: dict[str, bytes]) -> None:
    seen = test_export.speechlike_features(4)
    corrected = correct_bias(converted["int8"], converted["float32"], seen)
    both = (np.frombuffer(m, np.uint8) for m in (converted["int8"], corrected))
    before, after = both
    changed = np.flatnonzero(before != after)
    assert len(before) == len(after)
    assert 0 < len(changed) <= 4 * len(test_export.CLASSES)
    assert np.ptp(changed) < 4 * len(test_export.CLASSES)


def test_export_corrects_int8() -> None:
    assert "int8" in PRECISIONS
    assert export.correct_bias is correct_bias


def test_network_without_bias_is_left_alone() -> None:
    without = toy_model((1, 8), 3, is_int8=True)
    inputs = np.ones((1, 8), np.float32)
    assert correct_bias(without, toy_model((1, 8), 3), inputs) == without


def test_network_that_ends_otherwise_is_refused(converted: dict[str, bytes]) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(toy_model((1, 8), 3), 0)
    model.subgraphs[0].operators.reverse()
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(ValueError, match="must end in a fully connected layer"):
        logits(bytes(builder.Output()), np.zeros((1, 8), np.float32))
