"""Classify recordings with a trained Light-SERNet: files, folders or a microphone."""

if __name__ == "__main__":  # Ctrl-C and missing packages end without a traceback
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from utils.cli import INFERENCE_REQUIREMENTS, name_missing_packages

    name_missing_packages(INFERENCE_REQUIREMENTS)

import argparse
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from threadpoolctl import threadpool_limits

from hyperparameters import AUDIO_TYPES, INPUT_TYPES, LOSS_NAMES, InputError
from utils.audio.windows import HOP_S, Sliding
from utils.cli import Parser, find_spelled, one_line, printable, run_main, terminal_bar
from utils.inference.answers import as_csv, as_json, as_text, many_as_text
from utils.inference.classify import (
    Answer,
    ModelPerThread,
    Refusal,
    classify_centre,
    classify_windows,
    ordered_map,
)
from utils.inference.recording_stats import RecordingStats
from utils.inference.sources import Source, open_sources
from utils.model_files import catalog
from utils.model_files.tflite import Classifier, load_model, with_linear
from utils.processes import capture_stderr, usable_cores

EXIT_SOME_REFUSED = 1
NOT_FOUND = f"no such file, here or in {catalog.MODELS_DIR.name}/"
PLOT_FORMATS = ("png", "pdf", "svg")
EXAMPLES = """examples:
  inference_single_file.py clip.wav                 or a name in inference_tests/
  inference_single_file.py recordings/ --csv        a folder and its subfolders
  inference_single_file.py talk.mp3 --windows --plot talk.png
  inference_single_file.py --mic                    live, until Ctrl-C
  inference_single_file.py --calibrate anna/ --voice anna.json
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = Parser(
        description="Recognise emotions in recordings: any audio or video file.",
        epilog=EXAMPLES,
        usage="%(prog)s (FILE ... | --mic | --calibrate FILE ...) [options]",
    )
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    add = parser.add_argument_group("recordings").add_argument
    add(
        *("-fn", "--file_name"),
        nargs="+",
        metavar="FILE",
        help="files, folders, @list.txt, - (standard input); -fn is optional",
    )
    add("--mic", action="store_true", help="listen to the microphone")
    add("--device", help="which microphone: its number or part of its name")
    add(
        "--calibrate",
        nargs="+",
        metavar="FILE",
        help="learn a voice from these, write it to --voice",
    )
    add(
        "--voice",
        type=Path,
        metavar="FILE",
        help="the voice to classify, .json; with --mic a new one is learnt",
    )
    add = parser.add_argument_group(
        "model (default: from inference_tests/)"
    ).add_argument
    add("--model", metavar="FILE", help=".tflite or .keras file, or a run folder")
    add(
        "--functionals",
        metavar="NPZ",
        help="linear model whose answer counts half; none: the network alone",
    )
    add("--labels", metavar="NAMES", help="class names, if the model has none")
    add("-id", "--input_durations", type=float, metavar="S", help="segment length in s")
    for short, name, choices, what in (
        ("-at", "audio_type", AUDIO_TYPES, "part of the corpus it was trained on"),
        ("-ln", "loss_name", LOSS_NAMES, "loss it was trained with"),
        ("-it", "input_type", INPUT_TYPES, "its input"),
    ):
        allowed, metavar = ", ".join(choices), name.split("_")[0].upper()
        add(
            *(short, f"--{name}"),
            choices=choices,
            metavar=metavar,
            help=f"{what}: {allowed}",
        )
    add = parser.add_argument_group("long recordings").add_argument
    add("--windows", action="store_true", help="classify all of it: a timeline")
    add(
        "--length", type=float, metavar="S", help="window length in s [model's segment]"
    )
    hop_help = f"step between windows in s [{HOP_S:g}, or the length if shorter]"
    add("--hop", type=float, metavar="S", help=hop_help)
    add(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the timeline: png, pdf or svg; a folder for several files",
    )
    group = parser.add_argument_group("output")
    formats = group.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="one JSON object")
    formats.add_argument(
        "--csv", action="store_true", help="one row per file or window"
    )
    group.add_argument("--jobs", type=int, metavar="N", help="threads [all cores]")
    arguments = parser.parse_args(argv)
    if arguments.files:
        arguments.file_name = [*arguments.files, *(arguments.file_name or ())]
    _check_combination(arguments)
    return arguments


def _check_combination(arguments: argparse.Namespace) -> None:
    """Raise InputError for options that exclude each other."""
    sources = (arguments.file_name, arguments.calibrate, arguments.mic or None)
    if sum(source is not None for source in sources) != 1:
        raise InputError("give recordings: files, --mic or --calibrate, one of them")
    if arguments.calibrate and arguments.voice is None:
        raise InputError("--calibrate writes a voice: name its file with --voice FILE")
    recordings = (*(arguments.file_name or ()), *(arguments.calibrate or ()))
    if "" in (*recordings, arguments.model):
        raise InputError("-fn, --calibrate and --model need a name, got an empty one")
    names = ("windows", "length", "hop", "plot", "json", "csv", "jobs")
    given = {name: getattr(arguments, name) for name in names}
    unused = [name for name, v in given.items() if v is not None and v is not False]
    if arguments.calibrate and unused:
        raise InputError(f"--calibrate classifies nothing: omit --{unused[0]}")
    if arguments.mic and arguments.jobs is not None:
        raise InputError("--mic classifies one window at a time: omit --jobs")
    if arguments.mic and (arguments.json or arguments.csv or arguments.plot):
        raise InputError("--mic prints live: omit --json, --csv and --plot")
    if arguments.device and not arguments.mic:
        raise InputError("--device chooses the microphone: use it with --mic")
    for name in ("length", "hop", "plot"):
        is_timeline = arguments.windows or arguments.mic
        if getattr(arguments, name) is not None and not is_timeline:
            raise InputError(f"--{name} belongs to a timeline: add --windows")
    plot, suffixes = arguments.plot, ("", *PLOT_FORMATS)
    if plot and plot.suffix[1:].lower() not in suffixes and not plot.is_dir():
        raise InputError(
            f"--plot must end in .png, .pdf or .svg, or be a folder, got {plot}"
        )
    if arguments.jobs is not None and arguments.jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {arguments.jobs}")
    if arguments.labels is not None and arguments.model is None:
        raise InputError("--labels names the classes of a model: use it with --model")


def model_path(arguments: argparse.Namespace) -> Path:
    """The model file that the options choose.

    Raises:
        InputError: No model fits, or the options contradict each other.
    """
    options = {
        "duration_s": arguments.input_durations,
        "audio_type": arguments.audio_type,
        "loss_name": arguments.loss_name,
        "input_type": arguments.input_type,
    }
    wanted = {key: value for key, value in options.items() if value is not None}
    if arguments.model is None:
        return catalog.choose(catalog.MODELS_DIR, wanted)
    if wanted:
        raise InputError("-id, -at, -ln and -it choose a model: omit them with --model")
    path = find_spelled(Path(), arguments.model)
    if path.is_dir():
        return catalog.model_of_run(path)
    beside = catalog.MODELS_DIR / path
    return beside if not path.exists() and beside.is_file() else path


def linear_path(arguments: argparse.Namespace, model: Path) -> Path | None:
    """The linear model that answers beside the network; None if none does."""
    if arguments.functionals is not None:
        is_none = arguments.functionals == "none"
        return None if is_none else find_spelled(Path(), arguments.functionals)
    if arguments.model is not None:
        return None
    return catalog.functionals_of(catalog.MODELS_DIR, model)


def model_loader(
    path: Path, labels: str | None, functionals: Path | None = None
) -> Callable[[], Classifier]:
    """A function that loads the model; all threads share one Keras model."""
    if functionals is not None:
        load = model_loader(path, labels)
        return lambda: with_linear(load(), functionals)
    if path.suffix == ".keras":
        from utils.model_files.keras_model import load_keras_model

        return functools.cache(lambda: load_keras_model(path, labels))
    return lambda: load_model(path, labels)


def calibrate(arguments: argparse.Namespace, load: Callable[[], Classifier]) -> int:
    """Learn a voice and write its file."""
    from utils.inference.voice import learn_voice
    from utils.model_files.voice_file import check_target, save_voice

    warn = functools.partial(print, file=sys.stderr)
    check_target(arguments.voice)
    with open_sources(arguments.calibrate, catalog.MODELS_DIR, warn) as sources:
        for source in sources:
            if not os.path.exists(source.path):
                raise InputError(f"--calibrate {source.name}: {NOT_FOUND}")
        with capture_stderr():
            model = load()
        voice = learn_voice([(s.path, s.name) for s in sources], model, warn)
    save_voice(arguments.voice, voice)
    print(
        f"{printable(arguments.voice)}: {voice.speech_s:.1f} s of speech in "
        f"{voice.moments.recordings} recordings or parts"
    )
    return 0


def calibrated_loader(load: Callable[[], Classifier], path: Path | None) -> Any:
    """A function that loads the model, calibrated to the voice of a file."""
    if path is None:
        return load
    from utils.inference.voice import check_speech
    from utils.model_files.voice_file import calibrated_by, load_voice, with_voice

    with capture_stderr():
        model = load()
    voice = load_voice(path, model)
    try:
        check_speech(voice, calibrated_by(model))
    except InputError as error:
        raise InputError(
            f"--voice {printable(path)}: was not learnt from speech of one person; "
            "make it again with --calibrate"
        ) from error
    return lambda: with_voice(load(), voice)


def check_voice(answer: Answer, path: Path, model: Classifier) -> Answer:
    """Add a note if the recording is not of the voice that the model expects."""
    from utils.inference.voice import add_notes

    return add_notes(answer, path, model)


def classify_all(
    sources: Sequence[Source],
    models: ModelPerThread,
    sliding: Sliding | None,
    jobs: int,
) -> list[Answer | Refusal]:
    """Classify recordings in order; a bad one does not stop the others.

    Args:
        sources: The recordings.
        models: The model.
        sliding: Window and hop of timelines; None for centre segments.
        jobs: Number of threads, over files or over the windows of a timeline.
    """

    is_known = models.get().voice is not None

    def classify(source: Source) -> Answer | Refusal:
        path, name = source.path, source.name
        if not os.path.exists(path):
            return Refusal(name=name, reason=NOT_FOUND)
        try:
            if sliding is None:
                answer = classify_centre(path, name, models)
            else:
                answer = classify_windows(
                    path, name, models, sliding=sliding, jobs=jobs
                )
            return check_voice(answer, path, models.get()) if is_known else answer
        except (InputError, OSError) as error:
            reason = one_line(error).removeprefix(f"{printable(path)}: ")
            return Refusal(name=name, reason=reason.removeprefix(f"{name}: "))

    results: Iterable[Answer | Refusal] = map(classify, sources)
    if sliding is None:
        results = ordered_map(classify, sources, min(jobs, len(sources)))
    if len(sources) > 1 and sys.stderr.isatty():
        from tqdm import tqdm

        results = tqdm(results, total=len(sources), unit="file")
    return list(results)


def report(
    results: Sequence[Answer | Refusal],
    arguments: argparse.Namespace,
    model_name: str,
    classes: Sequence[str],
    expected: str,
) -> int:
    """Print the answers to stdout and the refusals to stderr.

    Args:
        results: In the order of the sources.
        arguments: The command line.
        model_name: File name of the model.
        classes: Class names.
        expected: How often answers are right; empty if unknown.

    Returns:
        The exit status: 1 if some recordings were refused.

    Raises:
        InputError: The only recording was refused.
    """
    refusals = [result for result in results if isinstance(result, Refusal)]
    if len(results) == 1 and refusals:
        raise InputError(f"{refusals[0].name}: {refusals[0].reason}")
    if arguments.json:
        print(as_json(results, classes, model_name))
    elif arguments.csv:
        print(as_csv(results, classes, timelines=arguments.windows), end="")
    elif len(results) == 1 and isinstance(results[0], Answer):
        print("\n".join(as_text(results[0], classes)))
    else:
        print("\n".join(many_as_text(results, classes)))
    is_answered = len(refusals) < len(results)
    if expected and is_answered and not (arguments.json or arguments.csv):
        print(f"  {expected}")
    for refusal in refusals:
        print(f"{refusal.name}: {refusal.reason}", file=sys.stderr)
    return EXIT_SOME_REFUSED if refusals else 0


def listen(
    models: ModelPerThread, sliding: Sliding, device: str | None, new_voice: Path | None
) -> int:
    """Classify what the microphone records until Ctrl-C.

    Args:
        models: The model.
        sliding: Window and hop.
        device: Which microphone; None is the system's choice.
        new_voice: Receives the voice that speaks; None does not learn it.
    """
    from utils.inference.microphone import Screen, live, microphone_blocks
    from utils.inference.voice import LiveVoice
    from utils.model_files.voice_file import check_target, save_voice

    least_s = RecordingStats(models.front_end.sample_rate_hz).telling_s
    if sliding.length < least_s * models.front_end.sample_rate_hz:
        raise InputError(
            f"--mic needs a --length of at least {least_s:.2g} s: less does not tell "
            "speech from noise"
        )
    if new_voice is not None:
        check_target(new_voice)
        if not new_voice.absolute().parent.is_dir():
            raise InputError(f"--voice {printable(new_voice)}: there is no such folder")
    model = models.get()
    learnt = None if new_voice is None else LiveVoice(model)

    def keep_voice(file: TextIO) -> None:
        voice = learnt and learnt.finish()
        if voice and new_voice:
            save_voice(new_voice, voice)
            line = f"{printable(new_voice)}: {voice.speech_s:.1f} s of speech"
            print(line, file=file)

    stream = microphone_blocks(models.front_end.sample_rate_hz, device)
    try:
        live(stream, model, sliding, Screen().show, learnt)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    except BaseException:  # microphone or reader is gone; what was learnt is not
        try:
            keep_voice(sys.stderr)
        except (InputError, OSError) as error:
            print(f"the voice was not kept: {one_line(error)}", file=sys.stderr)
        raise
    keep_voice(sys.stdout)
    return 0


def expected_line(model: Classifier) -> str:
    """How often the model's answers are right; empty if it does not say."""
    scores = (getattr(model, "metadata", None) or {}).get("new_voice")
    if scores is None:
        return ""
    from utils.model_files.new_voice import expectation

    recordings = 0 if model.voice is None else model.voice.recordings
    return expectation(
        scores, recordings=recordings, has_linear=model.linear is not None
    )


def answer_files(
    arguments: argparse.Namespace,
    models: ModelPerThread,
    sliding: Sliding | None,
    model_name: str,
) -> int:
    """Classify the recordings that `-fn` names; then draw timelines for `--plot`.

    Args:
        arguments: The command line.
        models: The model.
        sliding: Window and hop of timelines; None for centre segments.
        model_name: File name of the model.

    Returns:
        The exit status.

    Raises:
        OSError: A picture cannot be drawn; the answers are printed by then.
    """
    warn = functools.partial(print, file=sys.stderr)
    with open_sources(arguments.file_name, catalog.MODELS_DIR, warn) as sources:
        pictures: Sequence[Path] = ()
        if arguments.plot:  # may be refused: before the long work
            from utils.report.plots.timeline_files import draw_timelines, picture_paths

            pictures = picture_paths(sources, arguments.plot)
        jobs = arguments.jobs or usable_cores()
        results = classify_all(sources, models, sliding, jobs)
        expected = "" if sliding else expected_line(models.get())
        status = report(results, arguments, model_name, models.classes, expected)
        if not pictures or not any(isinstance(result, Answer) for result in results):
            return status
        sys.stdout.flush()
        draw_timelines(
            results,
            sources,
            pictures,
            classes=models.classes,
            rate_hz=models.front_end.sample_rate_hz,
            progress=lambda items: terminal_bar(items, unit="picture"),
        )
    is_text = not (arguments.json or arguments.csv)
    line = f"  picture: {printable(arguments.plot)}"
    print(line, file=sys.stdout if is_text else sys.stderr)
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, classify, and print the answers."""
    arguments = parse_args(argv)
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # for terminals without block characters
        sys.stdout.reconfigure(errors="backslashreplace")
    path = model_path(arguments)
    load = model_loader(path, arguments.labels, linear_path(arguments, path))
    if arguments.calibrate:
        return calibrate(arguments, load)
    voice, new_voice = arguments.voice, None
    if voice is not None and arguments.mic and not voice.exists():
        voice, new_voice = None, voice
    models = ModelPerThread(calibrated_loader(load, voice))
    sliding = None
    if arguments.windows or arguments.mic:
        sliding = Sliding.build(
            models.front_end, length_s=arguments.length, hop_s=arguments.hop
        )
    # our threads suffice; those of the matrix library would spin while they wait
    with threadpool_limits(1):
        if arguments.mic and sliding:
            return listen(models, sliding, arguments.device, new_voice)
        return answer_files(arguments, models, sliding, path.name)


if __name__ == "__main__":
    sys.exit(run_main(main))
