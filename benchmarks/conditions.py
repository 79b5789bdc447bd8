"""What another room or another format costs, out of fold.

    python -m benchmarks.conditions --run result/RUN [--files N]

The network of each fold, and the linear model beside it if there is one, classify
copies of the fold's test recordings, of whose voices they know nothing: placed in rooms
with noise and echoes, or stored in other formats. The rooms are computed as those of
`--rooms`, with other draws; they are no real rooms. Prints UA, and the share of copies
with a note that calls the answer unreliable.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score
from threadpoolctl import threadpool_limits

from benchmarks.encode import encode
from hyperparameters import InputError
from tflite_evaluate import run_reader
from utils import options
from utils.audio.rooms import Room, name_number
from utils.audio.wav import read_any, to_pcm16
from utils.cli import Parser, run_main, terminal_bar
from utils.inference.classify import ModelPerThread, classify_centre
from utils.model_files.linear import (
    LINEAR_SUFFIX,
    LinearModel,
    load_linear,
    recording_functionals,
)
from utils.runs.folder import fold_folder
from utils.runs.records import Run, load_run
from utils.scores.evaluation import fold_models
from utils.tables import markdown_table

MODEL = "float32"
HEADS = ("recording", "network", "linear model", "mean of both", "warned")
SYSTEMS = HEADS[1:4]
UNRELIABLE = "the answer is unreliable"
Probabilities = npt.NDArray[np.floating]


class Condition(NamedTuple):
    """How a recording is made and stored: room, suffix, and options of ffmpeg."""

    name: str
    suffix: str = ".wav"
    options: str = ""
    room: Room | None = None


ECHOES = Room(100.0, echo_s=0.3)
CONDITIONS = (
    Condition("as recorded"),
    Condition("noise 30 dB below the voice", room=Room(30.0)),
    Condition("noise 20 dB below", room=Room(20.0)),
    Condition("noise 10 dB below", room=Room(10.0)),
    Condition("echoes of 0.3 s", room=ECHOES),
    Condition("echoes of 0.6 s", room=replace(ECHOES, echo_s=0.6)),
    Condition("both: 20 dB, 0.4 s", room=Room(20.0, echo_s=0.4)),
    Condition("WAV, 44.1 kHz", ".wav", "-ar 44100"),
    Condition("WAV, 8-bit", ".wav", "-c:a pcm_u8"),
    Condition(
        "OGG Vorbis, 44.1 kHz, quality 3", ".ogg", "-c:a libvorbis -ar 44100 -q:a 3"
    ),
    Condition("Opus, 48 kHz, 32 kbit/s", ".opus", "-c:a libopus -ar 48000 -b:a 32k"),
    Condition("Opus, 48 kHz, 16 kbit/s", ".opus", "-c:a libopus -ar 48000 -b:a 16k"),
    Condition("AAC, 48 kHz, 64 kbit/s", ".m4a", "-c:a aac -ar 48000 -b:a 64k"),
    Condition("MP3, 44.1 kHz, 128 kbit/s", ".mp3", "-ar 44100 -b:a 128k"),
    Condition("MP3, 44.1 kHz, 64 kbit/s", ".mp3", "-ar 44100 -b:a 64k"),
    Condition("MP3, 16 kHz, 64 kbit/s", ".mp3", "-b:a 64k"),
    Condition("WAV, 12 kHz", ".wav", "-ar 12000"),
    Condition("WAV, 8 kHz, μ-law (telephone)", ".wav", "-ar 8000 -c:a pcm_mulaw"),
)


@dataclass
class Answers:
    """The answers for the copies under one condition.

    Attributes:
        labels: Class indices.
        found: By system, the predicted class of each recording.
        warned: Whether a note called the answer unreliable.
    """

    labels: list[int] = field(default_factory=list)
    found: dict[str, list[int]] = field(default_factory=dict)
    warned: list[bool] = field(default_factory=list)

    def row(self, name: str) -> list[str]:
        """A row of the table, under `HEADS`."""
        cells = [
            f"{100 * balanced_accuracy_score(self.labels, self.found[system]):.1f}"
            if system in self.found
            else "–"
            for system in SYSTEMS
        ]
        return [name, *cells, f"{np.mean(self.warned):.0%}"]


def classify_copies(
    run: Run,
    read: Callable[[str], npt.NDArray[np.floating]],
    chosen: Sequence[str],
    progress: Callable[[Iterable[Any]], Iterable[Any]],
) -> list[Answers]:
    """Classify copies of some test recordings, in the order of `CONDITIONS`.

    Raises:
        InputError: A fold lacks its float32 model file.
    """
    answers = [Answers() for _ in CONDITIONS]
    for record in progress(run.records):
        model = fold_models(run, record, [MODEL]).get(MODEL)
        if model is None:
            raise InputError(f"{run.folder}: fold {record['fold']} has no {MODEL} file")
        models = ModelPerThread(lambda model=model: model)
        folder = fold_folder(run.folder, record["fold"])
        [linear_path] = [*folder.glob(f"*{LINEAR_SUFFIX}")] or [None]
        linear = linear_path and load_linear(linear_path, model.classes)
        for name, label in zip(record["test"], record["labels"], strict=True):
            if name not in chosen:
                continue
            original = read(name)
            for condition, found in zip(CONDITIONS, answers, strict=True):
                samples = _recorded(original, condition.room, run, name)
                _classify_copy(condition, samples, models, linear, found)
                found.labels.append(label)
    return answers


def _recorded(
    samples: npt.NDArray[np.floating], room: Room | None, run: Run, name: str
) -> npt.NDArray[np.int16]:
    """A recording as made in a room, at half of full scale if there is one."""
    if room is not None:
        random = np.random.RandomState([name_number(name)])
        samples = room.place(samples, run.settings["sample_rate_hz"], random)
        samples = 0.5 * samples / np.abs(samples).max()
    return to_pcm16(samples)


def _classify_copy(
    condition: Condition,
    samples: npt.NDArray[np.int16],
    models: ModelPerThread,
    linear: LinearModel | None,
    answers: Answers,
) -> None:
    """Classify one copy with each system."""
    rate_hz = models.front_end.sample_rate_hz
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"copy{condition.suffix}"
        encode(path, samples, rate_hz, *condition.options.split())
        answer = classify_centre(path, condition.name, models)
        values: dict[str, Probabilities] = {"network": answer.probabilities}
        if linear is not None:
            row = recording_functionals(read_any(path, rate_hz), rate_hz)
            [values["linear model"]] = linear.predict(row[None])
            values["mean of both"] = np.mean([*values.values()], axis=0)
    for system, probabilities in values.items():
        answers.found.setdefault(system, []).append(int(probabilities.argmax()))
    answers.warned.append(any(UNRELIABLE in note for note in answer.notes))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = Parser(prog="python -m benchmarks.conditions", description=__doc__)
    parser.add_argument(
        "--run", type=Path, required=True, metavar="FOLDER", help="a run folder"
    )
    parser.add_argument(
        "--files", type=int, help="number of recordings, evenly spaced [all]"
    )
    options.add_data_paths(parser, derived="as in train.py; nothing is written to it")
    args = parser.parse_args(argv)
    if args.files is not None and args.files < 1:
        raise InputError(f"--files must be at least 1, got {args.files}")
    run = load_run(args.run)
    names = sorted(name for record in run.records for name in record["test"])
    count = min(args.files or len(names), len(names))
    chosen = [names[int(n)] for n in np.linspace(0, len(names) - 1, count)]
    with threadpool_limits(1):
        answers = classify_copies(
            run,
            run_reader(run, args),
            chosen,
            lambda items: terminal_bar(items, unit="fold"),
        )
    rows = [a.row(c.name) for c, a in zip(CONDITIONS, answers, strict=True)]
    print("\n".join(markdown_table(HEADS, rows)))
    print(f"\nUA in %, {count} recordings, {run.folder.resolve().name}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
