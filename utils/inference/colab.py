"""Recording in the browser, from a Colab notebook."""

import base64
import binascii
from pathlib import Path

from hyperparameters import InputError
from utils.files import write_atomic

# Records for `%d` ms and gives a data URL; the browser asks for the microphone.
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


def record(path: Path | str, duration_s: float) -> Path:
    """Record from the browser's microphone.

    Args:
        path: The file to write; the browser chooses the format (WebM, mostly).
        duration_s: Seconds.

    Returns:
        The path.

    Raises:
        InputError: Not on Colab, or nothing was recorded.
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
    """Write what a base64 data URL holds.

    Raises:
        InputError: It holds nothing.
    """
    try:
        content = base64.b64decode(url.partition("base64,")[2], validate=True)
    except binascii.Error as error:
        raise InputError(f"{path}: the recording arrived damaged ({error})") from error
    if not content:
        raise InputError(f"{path}: nothing was recorded; allow the microphone")
    write_atomic(path, content)
    return path
