"""Microphones: live classification here, and recording in a Colab notebook."""

import base64
import binascii
import contextlib
import queue
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.windows import LEVELS_KEPT, ROOM_DB, Sliding, slide
from utils.files import write_atomic
from utils.inference.answers import bars, class_of
from utils.inference.classify import Span, classify_window, mark_speech
from utils.inference.timeline import NO_SPEECH, clock
from utils.inference.voice import LiveVoice
from utils.model_files.tflite import Classifier
from utils.model_files.voice_file import with_voice

FloatArray = npt.NDArray[np.floating]

BLOCK_S = 0.1
MAX_WAITING_S = 30.0  # longer: the machine is too slow for the hop
GONE_S = 5.0  # wireless microphones, too, send a block within this time
# Records for `%d` ms and returns a data URL; the browser asks for permission.
RECORD_JAVASCRIPT = """(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, %d));
  recorder.stop();
  await stopped;
  stream.getTracks().forEach((track) => track.stop());
  return await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onloadend = () => resolve(reader.result);
    reader.readAsDataURL(new Blob(parts));
  });
})()"""


def microphone_blocks(sample_rate_hz: int, device: str | None) -> Iterator[FloatArray]:
    """Record until the caller stops.

    Args:
        sample_rate_hz: Sample rate of the result.
        device: Number or part of the name of the input; None for the system's default.

    Yields:
        (samples,), float64, a tenth of a second each.

    Raises:
        InputError: `sounddevice` is not installed, the input cannot be opened or stops
            delivering, or the caller falls 30 s behind.
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
                    f"--mic: the answers are {MAX_WAITING_S:g} s behind; use a longer "
                    "--hop"
                )
            try:
                block = waiting.get(timeout=GONE_S)
            except queue.Empty as error:
                raise InputError(
                    f"--mic: no sound has come for {GONE_S:g} s; is the microphone "
                    "still connected?"
                ) from error
            yield block


def live(
    blocks: Iterable[FloatArray],
    model: Classifier,
    sliding: Sliding,
    show: Callable[[list[str]], None],
    learnt: LiveVoice | None = None,
) -> None:
    """Classify a stream as it arrives.

    Args:
        blocks: Consecutive samples at the model's rate, (samples,) each.
        model: Takes features or audio.
        sliding: Window and hop.
        show: Called with the lines of each window as soon as it is complete.
        learnt: Learns the voice that speaks; the model follows it. None does not.
    """
    spans: list[Span] = []
    for window in slide(blocks, sliding):
        spans.append(classify_window(model, window))
        del spans[:-LEVELS_KEPT]
        span = mark_speech(spans)[-1]
        has_speech = span.is_speech and span.level_db > ROOM_DB
        shares = span.probabilities if has_speech else np.zeros(len(model.classes))
        name = class_of(shares, model.classes) if has_speech else NO_SPEECH
        told = f"{clock(span.end_s)}  {name}"
        if learnt is not None:
            if has_speech and learnt.hear(window) and learnt.voice is not None:
                model = with_voice(model, learnt.voice)
            told += f"  ({learnt.progress})"
        show([told, *bars(shares, model.classes)])


class Screen:
    """Shows lines in place of the previous ones; in a file, appends instead."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self._height = 0

    def show(self, lines: list[str]) -> None:
        """Replace the lines shown before; on a file, append the first one."""
        if not self._file.isatty():
            print(lines[0], file=self._file, flush=True)
            return
        up = f"\x1b[{self._height}A" if self._height else ""
        text = "".join(f"\x1b[2K{line}\n" for line in lines)
        print(up + text, end="", file=self._file, flush=True)
        self._height = len(lines)


def record(path: Path | str, duration_s: float) -> Path:
    """Record from the browser's microphone, in a Colab notebook.

    Args:
        path: File to write; the browser chooses the format, usually WebM.
        duration_s: Length of the recording in seconds.

    Returns:
        `path`.

    Raises:
        InputError: This is not Colab, or nothing was recorded.
    """
    try:
        from google.colab import output
    except ImportError as error:
        raise InputError(
            "recording in the browser works on Colab only; elsewhere use "
            "`inference_single_file.py --mic`"
        ) from error
    url = output.eval_js(RECORD_JAVASCRIPT % round(1000 * duration_s))
    return save_data_url(url, Path(path))


def save_data_url(url: str, path: Path) -> Path:
    """Write the content of a base64 data URL to a file.

    Raises:
        InputError: The content is empty or damaged.
    """
    try:
        content = base64.b64decode(url.partition("base64,")[2], validate=True)
    except binascii.Error as error:
        raise InputError(f"{path}: the recording arrived damaged ({error})") from error
    if not content:
        raise InputError(f"{path}: nothing was recorded; allow the microphone")
    write_atomic(path, content)
    return path
