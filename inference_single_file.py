"""Classify recordings with a trained Light-SERNet: files, folders, a microphone."""

import argparse
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from hyperparameters import AUDIO_TYPES, INPUT_TYPES, LOSS_NAMES, InputError
from utils.audio.decode import blocks
from utils.audio.windows import Sliding
from utils.cli import Parser, one_line, printable, run_main
from utils.inference.answers import as_csv, as_json, as_text, many_as_text
from utils.inference.classify import (
    Answer,
    ModelPerThread,
    Refusal,
    classify_centre,
    classify_windows,
    ordered_map,
)
from utils.inference.sources import Source, open_sources
from utils.model_files import catalog as card
from utils.model_files.tflite import Classifier, load_model
from utils.processes import usable_cores

EXIT_SOME_REFUSED = 1
NOT_FOUND = f"no such file, nor one of that name in {card.MODELS_DIR.name}/"
HOP_S = 1.0
PLOT_FORMATS = ("png", "pdf", "svg")
EXAMPLES = """examples:
  inference_single_file.py -fn clip.wav             or a name in inference_tests/
  inference_single_file.py -fn recordings/ --csv    a folder, to any depth
  inference_single_file.py -fn talk.mp3 --windows --plot talk.png
  inference_single_file.py --mic                    live, until Ctrl-C
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options, those of the original among them."""
    parser = Parser(
        description="Tell the emotion in recordings; any audio or video.",
        epilog=EXAMPLES,
        usage="%(prog)s (-fn FILE [FILE ...] | --mic) [options]",
    )
    group = parser.add_argument_group("recordings")
    group.add_argument(
        *("-fn", "--file_name"),
        nargs="+",
        metavar="FILE",
        help="files, folders, @list.txt, or - for standard input",
    )
    group.add_argument("--mic", action="store_true", help="listen to the microphone")
    group.add_argument("--device", help="the microphone: number or part of its name")
    group = parser.add_argument_group("model (without --model: from inference_tests/)")
    group.add_argument("--model", metavar="FILE", help=".tflite or .keras file")
    group.add_argument(
        "--labels", metavar="NAMES", help="its classes, where it does not name them"
    )
    group.add_argument(
        "-id", "--input_durations", type=float, metavar="S", help="segment, s"
    )
    group.add_argument(
        "-at",
        "--audio_type",
        choices=AUDIO_TYPES,
        metavar="PART",
        help=f"trained on: {_any_of(AUDIO_TYPES)}",
    )
    group.add_argument(
        "-ln",
        "--loss_name",
        choices=LOSS_NAMES,
        metavar="LOSS",
        help=f"trained with: {_any_of(LOSS_NAMES)}",
    )
    group.add_argument(
        "-it",
        "--input_type",
        choices=INPUT_TYPES,
        metavar="INPUT",
        help=f"its input: {_any_of(INPUT_TYPES)}",
    )
    group = parser.add_argument_group("long recordings")
    group.add_argument(
        "--windows", action="store_true", help="slide over all of it: a timeline"
    )
    group.add_argument(
        "--length", type=float, metavar="S", help="window, s [the model's segment]"
    )
    group.add_argument(
        "--hop", type=float, metavar="S", help=f"between windows, s [{HOP_S:g}]"
    )
    group.add_argument("--plot", type=Path, metavar="FILE", help="png, pdf or svg")
    group = parser.add_argument_group("output")
    formats = group.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="one JSON object")
    formats.add_argument("--csv", action="store_true", help="a row a file or window")
    group.add_argument(
        "--jobs", type=int, metavar="N", help="threads [one a processor]"
    )
    arguments = parser.parse_args(argv)
    _check_together(arguments)
    return arguments


def _any_of(names: Sequence[str]) -> str:
    return ", ".join(names)


def _check_together(arguments: argparse.Namespace) -> None:
    """Refuse options that have no meaning together."""
    if (arguments.file_name is not None) == arguments.mic:
        raise InputError("give recordings with -fn, or --mic: one of the two")
    if "" in (*(arguments.file_name or ()), arguments.model):
        raise InputError("-fn and --model need a name, got an empty one")
    if arguments.mic and arguments.jobs is not None:
        raise InputError("--mic answers one window at a time: leave out --jobs")
    if arguments.mic and (arguments.json or arguments.csv or arguments.plot):
        raise InputError(
            "--mic shows its answers live: leave out --json, --csv, --plot"
        )
    if arguments.device and not arguments.mic:
        raise InputError("--device chooses the microphone: give it with --mic")
    if not (arguments.windows or arguments.mic):
        for name in ("length", "hop", "plot"):
            if getattr(arguments, name) is not None:
                raise InputError(f"--{name} belongs to a timeline: add --windows")
    if arguments.plot and arguments.plot.suffix[1:] not in PLOT_FORMATS:
        raise InputError(f"--plot must end in .png, .pdf or .svg, got {arguments.plot}")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {arguments.jobs}")
    if arguments.labels is not None and arguments.model is None:
        raise InputError("--labels names the classes of a model: give it with --model")


def model_path(arguments: argparse.Namespace) -> Path:
    """The model that the options choose.

    Raises:
        InputError: None fits, or options that contradict.
    """
    given = {
        "duration_s": arguments.input_durations,
        "audio_type": arguments.audio_type,
        "loss_name": arguments.loss_name,
        "input_type": arguments.input_type,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    if arguments.model is None:
        return card.choose(card.MODELS_DIR, wanted)
    if wanted:
        raise InputError("-id -at -ln -it choose a model: leave them out with --model")
    path = Path(arguments.model)
    beside = card.MODELS_DIR / path
    return beside if not path.exists() and beside.is_file() else path


def model_loader(path: Path, labels: str | None) -> Callable[[], Classifier]:
    """What loads the model once a thread; a Keras model is shared by all."""
    if path.suffix == ".keras":
        from utils.model_files.keras_model import load_keras_model

        return functools.cache(lambda: load_keras_model(path, labels))
    return lambda: load_model(path, labels)


def classify_all(
    sources: Sequence[Source],
    models: ModelPerThread,
    sliding: Sliding | None,
    jobs: int,
) -> list[Answer | Refusal]:
    """Classify recordings, in order; a bad one does not stop the rest.

    Args:
        sources: The recordings.
        models: The model, once a thread.
        sliding: For timelines; None for centre segments.
        jobs: Threads: over the files, or over the windows of a timeline.
    """

    def classify(source: Source) -> Answer | Refusal:
        if not os.path.exists(source.path):
            return Refusal(name=source.name, reason=NOT_FOUND)
        try:
            if sliding is None:
                return classify_centre(source.path, source.name, models)
            return classify_windows(
                source.path, source.name, models, sliding=sliding, jobs=jobs
            )
        except (InputError, OSError) as error:
            reason = one_line(error).removeprefix(f"{printable(source.path)}: ")
            return Refusal(
                name=source.name, reason=reason.removeprefix(f"{source.name}: ")
            )

    results: Iterable[Answer | Refusal] = map(classify, sources)
    if sliding is None:
        results = ordered_map(classify, sources, min(jobs, len(sources)))
    return list(_progress(results, len(sources)))


def _progress(
    results: Iterable[Answer | Refusal], count: int
) -> Iterable[Answer | Refusal]:
    """A progress bar on stderr, where many files are done before somebody's eyes."""
    if count < 2 or not sys.stderr.isatty():
        return results
    from tqdm import tqdm

    bar: Iterable[Answer | Refusal] = tqdm(results, total=count, unit="file")
    return bar


def report(
    results: Sequence[Answer | Refusal],
    arguments: argparse.Namespace,
    model_name: str,
    classes: Sequence[str],
) -> int:
    """Print the answers, and the refusals on stderr.

    Returns:
        The exit status: 1 where some were refused.

    Raises:
        InputError: The only recording was refused.
    """
    refusals = [result for result in results if isinstance(result, Refusal)]
    if len(results) == 1 and refusals:
        raise InputError(f"{refusals[0].name}: {refusals[0].reason}")
    if arguments.json:
        print(as_json(results, classes, model_name))
    elif arguments.csv:
        print(as_csv(results, classes), end="")
    elif len(results) == 1 and isinstance(results[0], Answer):
        print("\n".join(as_text(results[0], classes)))
    else:
        print("\n".join(many_as_text(results, classes)))
    for refusal in refusals:
        print(f"{refusal.name}: {refusal.reason}", file=sys.stderr)
    return EXIT_SOME_REFUSED if refusals else 0


def plot(
    source: Source, result: Answer | Refusal, models: ModelPerThread, path: Path
) -> None:
    """Draw one recording's timeline."""
    if isinstance(result, Refusal):
        return
    from utils.report.plots.style import save
    from utils.report.plots.timeline import envelope, timeline_figure

    rate_hz = models.front_end.sample_rate_hz
    samples = round(result.duration_s * rate_hz)
    extremes = envelope(blocks(source.path, rate_hz), samples)
    figure = timeline_figure(result, models.classes, extremes)
    save(figure, path.with_suffix(""), [path.suffix[1:]])


def listen(models: ModelPerThread, sliding: Sliding, device: str | None) -> int:
    """Classify what the microphone hears until Ctrl-C."""
    from utils.inference.microphone import Screen, live, microphone_blocks

    stream = microphone_blocks(models.front_end.sample_rate_hz, device)
    try:
        live(stream, models.get(), sliding, Screen().show)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, classify, print; see the module."""
    arguments = parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without these letters
        sys.stdout.reconfigure(errors="backslashreplace")
    path = model_path(arguments)
    models = ModelPerThread(model_loader(path, arguments.labels))
    sliding = None
    if arguments.windows or arguments.mic:
        hop_s = HOP_S if arguments.hop is None else arguments.hop
        sliding = Sliding.build(
            models.front_end, length_s=arguments.length, hop_s=hop_s
        )
    # our threads are enough; those of the matrix library spin while they wait
    with threadpool_limits(1):
        if arguments.mic and sliding:
            return listen(models, sliding, arguments.device)
        results = classify_named(arguments, models, sliding)
    return report(results, arguments, path.name, models.classes)


def classify_named(
    arguments: argparse.Namespace, models: ModelPerThread, sliding: Sliding | None
) -> list[Answer | Refusal]:
    """Classify what `-fn` names, and draw the timeline where asked to."""
    jobs = arguments.jobs or usable_cores()
    with open_sources(arguments.file_name, card.MODELS_DIR) as sources:
        if arguments.plot and len(sources) > 1:
            raise InputError(f"--plot draws one recording, got {len(sources)}")
        results = classify_all(sources, models, sliding, jobs)
        if arguments.plot:
            plot(sources[0], results[0], models, arguments.plot)
    return results


if __name__ == "__main__":
    sys.exit(run_main(main))
