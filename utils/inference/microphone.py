"""Live classification: blocks from the microphone, or from any stream."""

import contextlib
import queue
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.windows import Sliding, level_db, slide
from utils.inference.answers import NO_SPEECH, bars, class_of, clock
from utils.inference.classify import ScoredWindow, to_spans
from utils.model_files.tflite import Classifier, predict_utterance

FloatArray = npt.NDArray[np.floating]

BLOCK_S = 0.1
MAX_WAITING_S = 30.0  # then the machine is too slow for the hop
GONE_S = 5.0  # even a wireless microphone has sent a block by then
ROOM_DB = -60.0  # before anyone has spoken, the room must not set the speech level
LEVELS_KEPT = 600  # windows that set the speech level: the last ten minutes at 1 s


def microphone_blocks(sample_rate_hz: int, device: str | None) -> Iterator[FloatArray]:
    """Record until the caller stops.

    Args:
        sample_rate_hz: The rate wanted.
        device: Number or part of the name of the input; None is the system's default.

    Yields:
        (samples,), float64, a tenth of a second each.

    Raises:
        InputError: No `sounddevice` package, no such or no usable input, it has gone
            silent for good, or the caller has fallen half a minute behind.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the PortAudio library is missing
        raise InputError(
            f"--mic needs the sounddevice package and PortAudio ({error}); "
            "`pip install sounddevice`, on Linux also `apt install libportaudio2`"
        ) from error
    waiting: queue.Queue[FloatArray] = queue.Queue(int(MAX_WAITING_S / BLOCK_S))

    def keep(block: FloatArray, *_: object) -> None:
        if not waiting.full():
            waiting.put_nowait(block[:, 0].astype(np.float64))

    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate_hz,
            blocksize=int(BLOCK_S * sample_rate_hz),
            device=int(device) if device and device.isdecimal() else device,
            channels=1,
            dtype="float32",
            callback=keep,
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InputError(
            f"--mic: no input to record from at {sample_rate_hz} Hz "
            f"({' '.join(str(error).split())}); `python -m sounddevice` lists the "
            "devices, --device chooses one"
        ) from error
    with contextlib.closing(stream):
        while True:
            if waiting.full():
                raise InputError(
                    f"--mic: the answers are {MAX_WAITING_S:g} s behind; give a "
                    "longer --hop"
                )
            try:
                block = waiting.get(timeout=GONE_S)
            except queue.Empty as error:
                raise InputError(
                    f"--mic: no sound has come for {GONE_S:g} s; is the microphone "
                    "still there?"
                ) from error
            yield block


def live(
    blocks: Iterable[FloatArray],
    model: Classifier,
    sliding: Sliding,
    show: Callable[[list[str]], None],
) -> None:
    """Classify a stream while it runs.

    Args:
        blocks: Consecutive samples at the model's rate, (samples,) each.
        model: Takes features or audio.
        sliding: Window and hop.
        show: Called with the lines for each window as soon as it is complete.
    """
    asked: list[ScoredWindow] = []
    for window in slide(blocks, sliding):
        answer = predict_utterance(model, window.samples)
        end = window.start + len(window.samples)
        asked.append(ScoredWindow(window.start, end, level_db(window.samples), answer))
        del asked[:-LEVELS_KEPT]
        span = to_spans(asked, model.front_end.sample_rate_hz)[-1]
        has_speech = span.is_speech and span.level_db > ROOM_DB
        shares = answer if has_speech else np.zeros(len(model.classes))
        name = class_of(answer, model.classes) if has_speech else NO_SPEECH
        show([f"{clock(span.end_s)}  {name}", *bars(shares, model.classes)])


class Screen:
    """Shows lines in place of the last ones; on a file, one line after the other."""

    def __init__(self, file: TextIO = sys.stdout) -> None:
        """Show on `file`."""
        self._file = file
        self._height = 0

    def show(self, lines: list[str]) -> None:
        """Replace what was shown; where that cannot be, append the first line."""
        if not self._file.isatty():
            print(lines[0], file=self._file, flush=True)
            return
        up = f"\x1b[{self._height}A" if self._height else ""
        text = "".join(f"\x1b[2K{line}\n" for line in lines)
        print(up + text, end="", file=self._file, flush=True)
        self._height = len(lines)
