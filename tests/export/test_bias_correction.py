"""int8 logits agree with float32 on average after the correction."""

import numpy as np
import pytest
import test_export
from toy_tflite import toy_model

from utils.export import convert
from utils.export.bias_correction import correct_bias, logits
from utils.export.flatbuffer import pack, unpack


@pytest.fixture(scope="module")
def converted() -> dict[str, bytes]:
    """float32, and int8 without correction."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(convert, "PRECISIONS", ("float32", "int8"))
        patched.setattr(convert, "correct_bias", lambda int8, *_: int8)
        features = test_export.speechlike_features(16)
        return convert.convert(test_export.build_network(), features)


def test_logits_are_those_before_softmax(converted: dict[str, bytes]) -> None:
    features = test_export.speechlike_features(3, seed=4)
    found = logits(converted["float32"], features)
    expected = np.log(test_export.build_network().predict(features, verbose=0))
    centred = [v - v.mean(axis=1, keepdims=True) for v in (found, expected)]
    np.testing.assert_allclose(*centred, atol=1e-3)


def test_mean_error_goes_and_unseen_errors_shrink(converted: dict[str, bytes]) -> None:
    int8, float32 = converted["int8"], converted["float32"]
    seen = test_export.speechlike_features(16)
    unseen = test_export.speechlike_features(24, seed=8)
    corrected = correct_bias(int8, float32, seen)
    before, after = (
        np.abs((logits(m, seen) - logits(float32, seen)).mean(axis=0)).max()
        for m in (int8, corrected)
    )
    assert before > 0.02  # otherwise there would be nothing to correct
    assert after < 0.5 * before
    before, after = (
        np.mean((logits(m, unseen) - logits(float32, unseen)) ** 2)
        for m in (int8, corrected)
    )
    assert after < before
    old, new = (np.frombuffer(model, np.uint8) for model in (int8, corrected))
    changed = np.flatnonzero(old != new)
    assert len(old) == len(new)
    assert 0 < np.ptp(changed) < 4 * len(test_export.CLASSES)  # only the last bias


def test_export_corrects_int8() -> None:
    assert convert.correct_bias is correct_bias


def test_network_without_bias_does_not_change() -> None:
    without = toy_model((1, 8), 3, is_int8=True)
    inputs = np.ones((1, 8), np.float32)
    assert correct_bias(without, toy_model((1, 8), 3), inputs) == without


def test_network_that_ends_differently_is_refused() -> None:
    model = unpack(toy_model((1, 8), 3))
    model.subgraphs[0].operators.reverse()
    with pytest.raises(ValueError, match="must end in a fully connected layer"):
        logits(pack(model), np.zeros((1, 8), np.float32))
