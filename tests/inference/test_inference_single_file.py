"""The inference command: any recording, with a clear refusal of unusable ones."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_models import (
    CLASSES,
    RATE_HZ,
    babble,
    classify,
    classify_json,
    error_of,
    small_model,
    write,
)

import inference_single_file
from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_wav
from utils.model_files.tflite import load_model, predict_utterance

pytest_plugins = ["inference_fixtures"]

SCRIPT = Path(inference_single_file.__file__)
HEAVY = (
    *("tensorflow", "keras", "librosa", "sklearn", "scipy", "matplotlib", "tqdm"),
    *("soxr", "imageio_ffmpeg", "pandas", "numba"),
)


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.7])
def test_the_answer_is_that_of_training(models_dir, tmp_path, capsys, seconds):
    """The same segment, features and model as training and its predictions."""
    path = write(tmp_path / "a.wav", babble(seconds))
    model = load_model(models_dir / "plain.tflite")
    segments = from_pcm16(prepare(read_wav(path, RATE_HZ), model.front_end))
    [expected] = model.predict(compute_features(segments, model.front_end))
    [answer] = classify_json(capsys, "-fn", path)
    assert list(answer["probabilities"]) == list(CLASSES)
    np.testing.assert_array_equal(list(answer["probabilities"].values()), expected)
    assert answer["class"] == CLASSES[int(expected.argmax())]
    assert expected.min() > 0.001  # nothing saturated: equality means something


def test_text_gives_the_class_then_bars(models_dir, tmp_path, capsys):
    path = write(tmp_path / "a.wav", babble(1.0))
    [answer] = classify_json(capsys, "-fn", path)
    first, *rows = classify(capsys, "-fn", path).splitlines()
    assert first == f"{path}: {answer['class']}"
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    for row, (name, share) in zip(rows, ranked, strict=True):
        assert row.split()[:2] == [name, f"{share:.1%}"]
        assert row.count("█") == int(round(share * 24 * 8) / 8)


def test_lossless_copies_get_identical_probabilities(models_dir, tmp_path, capsys):
    mono = babble(1.3)
    stereo = np.repeat(mono[:, None], 2, axis=1)
    copies = [
        write(tmp_path / f"{subtype}_{stored.ndim}{suffix}", stored, subtype)
        for suffix, subtypes in [
            (".wav", ("PCM_16", "PCM_24", "PCM_32", "FLOAT")),
            (".flac", ("PCM_16",)),
        ]
        for subtype in subtypes
        for stored in (mono, stereo)
    ]
    answers = classify_json(capsys, "-fn", *copies)
    assert len(answers) == 10
    for answer in answers:
        assert answer["probabilities"] == answers[0]["probabilities"]


def test_a_name_in_the_models_folder_is_found(models_dir, capsys):
    write(models_dir / "clip.wav", babble(1.0))
    [answer] = classify_json(capsys, "-fn", "clip.wav")
    assert answer["file"] == str(models_dir / "clip.wav")


def test_a_note_tells_that_much_was_left_out(models_dir, tmp_path, capsys):
    short, long = (write(tmp_path / f"{s}.wav", babble(s)) for s in (1.9, 2.1))
    assert "note:" not in classify(capsys, "-fn", short)
    text = classify(capsys, "-fn", long)
    assert "note: only the centre 1 s of 2.1 s were classified; --windows" in text


def test_a_note_tells_of_an_empty_upper_band(models_dir, tmp_path, capsys):
    spectrum = np.fft.rfft(babble(1.0))
    spectrum[4000:] = 0.0
    narrow = write(tmp_path / "narrow.wav", np.fft.irfft(spectrum), "FLOAT")
    text = classify(capsys, "-fn", narrow)
    assert "note: sound reaches only 4.1 kHz, but the model expects 7.5 kHz" in text
    assert "unreliable" in text
    wide = write(tmp_path / "wide.wav", babble(1.0))
    assert "note:" not in classify(capsys, "-fn", wide)


def test_audio_in_and_bare_models_answer_too(models_dir, tmp_path, capsys):
    path = write(tmp_path / "a.wav", babble(1.4))
    [fused] = classify_json(capsys, "-fn", path, "--model", "fuse.tflite")
    assert fused["class"] in CLASSES
    shape = (1, *FrontEnd(duration_s=1.0).input_shape)
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(small_model(shape, CLASSES))
    assert "give them with --labels" in error_of(capsys, "-fn", path, "--model", bare)
    [named] = classify_json(capsys, "-fn", path, "--model", bare, "--labels", "x,y,z")
    [plain] = classify_json(capsys, "-fn", path)
    assert list(named["probabilities"].items()) == list(
        zip("xyz", plain["probabilities"].values(), strict=True)
    )


def test_a_bad_file_among_many_does_not_stop_the_rest(models_dir, tmp_path, capsys):
    good = [write(tmp_path / f"{n}.wav", babble(1.0, n)) for n in range(5)]
    bad = tmp_path / "bad\n.wav"
    bad.write_text("no audio")
    words = ["-fn", *map(str, good[:2]), str(bad), str(tmp_path / "gone"), *good[2:]]
    assert inference_single_file.main([str(word) for word in words]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[-1] for line in lines[:5]] == list(map(str, good))
    assert lines[-1].startswith("5 classified: ")
    assert lines[-1].endswith("; 2 refused")
    first, second = captured.err.splitlines()
    assert first.startswith(f"{tmp_path}/bad\\n.wav: cannot be read as audio")
    assert second.startswith(f"{tmp_path}/gone: no such file, here or in")


def test_csv_has_one_row_per_file(models_dir, tmp_path, capsys):
    path = write(tmp_path / 'anger_a,"b".wav', babble(1.0))
    [row] = csv.DictReader(io.StringIO(classify(capsys, "-fn", path, "--csv")))
    [answer] = classify_json(capsys, "-fn", path)
    assert row["file"] == str(path)
    assert row["class"] == answer["class"]
    assert row["correct_class"] == "anger"
    assert {name: float(row[name]) for name in CLASSES} == answer["probabilities"]
    assert float(row["duration_s"]) == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give recordings with -fn, or --mic"),
        (["-fn", "x", "--mic"], "give recordings with -fn, or --mic"),
        (["--mic", "--json"], "--mic prints live"),
        (["--mic", "--jobs", "2"], "--mic classifies one window at a time"),
        (["-fn", ""], "need a name"),
        (["-fn", "x", "--device", "1"], "--device chooses the microphone"),
        (["-fn", "x", "--hop", "1"], "--hop belongs to a timeline"),
        (["-fn", "x", "--length", "1"], "--length belongs to a timeline"),
        (["-fn", "x", "--plot", "a.png"], "--plot belongs to a timeline"),
        (["-fn", "x", "--windows", "--plot", "a.txt"], "--plot must end in .png"),
        (["-fn", "x", "y", "--windows", "--plot", "a.png"], "--plot draws one"),
        (["-fn", "x", "--windows", "--length", "2"], "--length must be above 0"),
        (["-fn", "x", "--windows", "--hop", "0"], "--hop must be above 0"),
        (["-fn", "x", "--jobs", "0"], "--jobs must be at least 1"),
        (["-fn", "x", "--labels", "a,b"], "--labels names the classes of a model"),
        (["-fn", "x", "--model", "y", "-it", "mfcc"], "omit them with --model"),
        (["-fn", "x", "--model", "y"], "y: No such file"),
        (["-fn", "x"], "x: no such file"),
        (["-fn", "a\nb"], "a\\nb: no such file"),
    ],
)
def test_mistakes_are_one_line(models_dir, capsys, words, message):
    assert message in error_of(capsys, *words)


@pytest.mark.parametrize("name", ["it's.wav", 'a "b".wav', "new\nline.wav", "ü€😀.wav"])
def test_odd_names_are_answered(models_dir, tmp_path, capsys, name):
    path = write(tmp_path / "a.wav", babble(1.0)).rename(tmp_path / name)
    text = classify(capsys, "-fn", path)
    assert text.startswith(str(path).replace("\n", "\\n") + ": ")


def run_script(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def test_a_16_khz_wav_imports_nothing_heavy(models_dir, tmp_path):
    path = write(tmp_path / "a.wav", babble(1.0))
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sorted(sys.modules))"
    )
    model = models_dir / "plain.tflite"
    result = run_script("-c", code, SCRIPT, "-fn", path, "--model", model)
    first, *_, modules = result.stdout.decode().splitlines()
    assert first.startswith(f"{path}: ")
    assert result.stderr == b""
    loaded = {name.split(".")[0] for name in modules.split()}
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_script_reads_standard_input_and_ends_with_a_status(models_dir, tmp_path):
    """From another folder, through a pipe, with a good and a bad recording."""
    path = write(tmp_path / "a.wav", babble(1.0))
    words = (SCRIPT, "--model", models_dir / "plain.tflite", "-fn", "-")
    good = run_script(*words, input=path.read_bytes(), cwd=tmp_path)
    assert good.returncode == 0
    assert good.stdout.startswith(b"stdin: ")
    assert good.stderr == b""
    bad = run_script(*words, input=b"no audio", cwd=tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == b""
    assert bad.stderr.startswith(b"inference_single_file.py: error: stdin: cannot be")
    assert bad.stderr.count(b"\n") == 1


def test_ctrl_c_ends_a_timeline_at_once(models_dir, tmp_path):
    """The current window is finished, not the recording, which takes minutes."""
    path = write(tmp_path / "long.wav", np.tile(babble(10.0), 60))
    words = ["--model", models_dir / "plain.tflite", "-fn", "-", "--windows"]
    with subprocess.Popen(
        [sys.executable, *map(str, (SCRIPT, *words, "--hop", "0.01"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell that starts the tests in the background makes them ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            process.stdin.write(path.read_bytes())  # returns when the script reads
            process.stdin.close()
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            process.stdin = None
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert (output, errors) == (b"", b"inference_single_file.py: stopped\n")


def test_help_fits_a_screen():
    result = run_script(SCRIPT, "--help", env={**os.environ, "COLUMNS": "100"})
    lines = result.stdout.decode().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "examples:" in lines


def test_real_files_get_the_class_of_the_training_path(emo_db_dir, models_dir, capsys):
    """The strict WAV reader and this command agree, and no note is false."""
    paths = sorted((emo_db_dir / "EMO-DB" / "wav").glob("*.wav"))[::18]
    model = load_model(models_dir / "plain.tflite")
    answers = classify_json(capsys, "-fn", *paths)
    assert len(answers) == len(paths) >= 20
    for path, answer in zip(paths, answers, strict=True):
        expected = predict_utterance(model, read_wav(path, RATE_HZ))
        assert answer["class"] == CLASSES[int(expected.argmax())]
        assert not any("unreliable" in note for note in answer["notes"])
