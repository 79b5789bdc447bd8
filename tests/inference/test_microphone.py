"""Live answers: the stream, the screen, and no microphone."""

import io
import sys
from types import ModuleType

import numpy as np
import pytest
from small_models import CLASSES, RATE_HZ, babble, error_of

from hyperparameters import InputError
from utils.audio.decode import blocks
from utils.audio.windows import Sliding
from utils.inference import microphone
from utils.inference.answers import class_of
from utils.inference.classify import classify_windows
from utils.inference.microphone import Screen, live, microphone_blocks
from utils.inference.timeline import clock

pytest_plugins = ["inference_fixtures"]


def test_a_stream_is_classified_like_a_timeline(plain, talk):
    """The blocks come from a file instead of the microphone."""
    sliding = Sliding(length=RATE_HZ, hop=RATE_HZ)
    stream = np.concatenate(list(blocks(talk, RATE_HZ)))
    shown: list[list[str]] = []
    tenths = np.array_split(stream, 105)
    live(iter(tenths), plain.get(), sliding, shown.append)
    timeline = classify_windows(talk, "talk", plain, sliding=sliding, jobs=1)
    assert len(shown) == len(timeline.spans)
    for lines, span in zip(shown, timeline.spans, strict=True):
        name = class_of(span.probabilities, CLASSES) if span.is_speech else "no speech"
        assert lines[0] == f"{clock(span.end_s)}  {name}"
        assert len(lines) == 1 + len(CLASSES)


@pytest.mark.parametrize("offset", [0.0, 0.002, -0.5])
def test_a_quiet_room_is_no_speech(plain, offset):
    """The offset of a sound card is no sound."""
    shown: list[list[str]] = []
    room = babble(2.0) * 1e-3 + offset
    live([room], plain.get(), Sliding(length=RATE_HZ, hop=RATE_HZ), shown.append)
    assert [lines[0].split(None, 1)[1] for lines in shown] == ["no speech"] * 2


def test_the_screen_replaces_what_it_showed():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, file = Terminal(), io.StringIO()
    for target in (terminal, file):
        screen = Screen(target)
        screen.show(["one", "a"])
        screen.show(["two", "b"])
    assert terminal.getvalue() == "\x1b[2Kone\n\x1b[2Ka\n\x1b[2A\x1b[2Ktwo\n\x1b[2Kb\n"
    assert file.getvalue() == "one\ntwo\n"


def test_without_sounddevice_the_error_tells_the_remedy(
    models_dir, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as not installed
    assert "pip install sounddevice" in error_of(capsys, "--mic")


def device(start):
    """Replaces `sounddevice`: its input can be opened; `start` decides what follows."""
    module = ModuleType("sounddevice")
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.closed = []

    class InputStream:
        def __init__(self, *, callback, blocksize, **_):
            self.start = lambda: start(module, callback, blocksize)

        def close(self):
            module.closed.append(self)

    module.InputStream = InputStream
    return module


def test_an_input_that_does_not_start_is_refused(models_dir, monkeypatch, capsys):
    def busy(module, *_):
        raise module.PortAudioError("Error starting stream:\n Device unavailable")

    monkeypatch.setitem(sys.modules, "sounddevice", device(busy))
    message = error_of(capsys, "--mic")
    assert message.startswith("--mic: no input to record from at 16000 Hz (Error start")


def test_an_unplugged_microphone_is_refused(monkeypatch):
    def two_blocks(_, callback, size):
        for _ in range(2):
            callback(np.zeros((size, 1), np.float32))

    module = device(two_blocks)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(microphone, "GONE_S", 0.05)
    received = []
    with pytest.raises(InputError, match=r"--mic: no sound has come for 0\.05 s"):
        received.extend(len(block) for block in microphone_blocks(RATE_HZ, None))
    assert received == [RATE_HZ // 10] * 2
    assert len(module.closed) == 1


def test_without_a_microphone_the_line_says_so(models_dir, capsys):
    try:
        import sounddevice
    except (ImportError, OSError):
        pytest.skip("sounddevice or PortAudio is not installed")
    if any(device["max_input_channels"] for device in sounddevice.query_devices()):
        pytest.skip("this machine has a microphone")
    assert error_of(capsys, "--mic").startswith("--mic: no input to record from")
