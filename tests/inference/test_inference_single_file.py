"""The inference command: any recording, with a clear refusal of unusable ones."""

import csv
import io
import re
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
    write_model,
)

import inference_single_file
from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.rooms import Room
from utils.audio.wav import read_wav
from utils.files import PROJECT
from utils.model_files.tflite import load_model, predict_utterance

pytest_plugins = ["inference_fixtures"]

SCRIPT = Path(inference_single_file.__file__)
HEAVY = (
    *("tensorflow", "keras", "librosa", "sklearn", "scipy", "matplotlib", "tqdm"),
    *("soxr", "imageio_ffmpeg", "pandas", "numba"),
)


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.7])
def test_the_answer_is_that_of_training(models_dir, tmp_path, capsys, seconds):
    """The same segment, features and model as training; text and CSV say the same."""
    path = write(tmp_path / 'anger_a,"b".wav', babble(seconds))
    model = load_model(models_dir / "plain.tflite")
    segments = from_pcm16(prepare(read_wav(path, RATE_HZ), model.front_end))
    [expected] = model.predict(compute_features(segments, model.front_end))
    [answer] = classify_json(capsys, "-fn", path)
    shares = answer["probabilities"]
    assert list(shares) == list(CLASSES)
    np.testing.assert_array_equal(list(shares.values()), expected)
    assert answer["class"] == CLASSES[int(expected.argmax())]
    assert expected.min() > 0.001  # nothing saturated: equality means something

    first, *rows = classify(capsys, "-fn", path).splitlines()
    assert first == f"{path}: {answer['class']}"
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    for row, (name, share) in zip(rows, ranked, strict=False):
        assert row.split()[:2] == [name, f"{share:.1%}"]
        assert row.count("█") == int(round(share * 24 * 8) / 8)
    assert rows[3] == '  file name says anger, origin a,"b"'

    [cells] = csv.DictReader(io.StringIO(classify(capsys, "-fn", path, "--csv")))
    expected_cells = (str(path), answer["class"], "anger", str(float(seconds)))
    names = ("file", "class", "correct_class", "duration_s")
    assert tuple(cells[name] for name in names) == expected_cells
    assert {name: float(cells[name]) for name in CLASSES} == shares


@pytest.mark.parametrize("takes_audio", [False, True])
def test_overlapping_segments_are_averaged(models_dir, tmp_path, capsys, takes_audio):
    """A 1-s model hears the centre 10/3 s: the mean over a window each sixth second."""
    path = tmp_path / "overlapping.tflite"
    front_end = FrontEnd(duration_s=1.0)
    write_model(path, front_end, takes_audio=takes_audio, segment_mode=2)
    samples = babble(4.0)
    clip = write(tmp_path / "a.wav", samples)
    heard = RATE_HZ * 10 // 3
    offsets = np.linspace(0, heard - RATE_HZ, 15).astype(int)
    starts = (len(samples) - heard) // 2 + offsets
    plain = load_model(models_dir / ("fuse.tflite" if takes_audio else "plain.tflite"))
    rows = [predict_utterance(plain, samples[s:][:RATE_HZ], 1) for s in starts]
    [answer] = classify_json(capsys, "-fn", clip, "--model", path)
    shares = list(answer["probabilities"].values())
    np.testing.assert_allclose(shares, np.mean(rows, axis=0), atol=1e-6)
    assert "only the centre 3.33 s were classified; 0.6 s of speech" in classify(
        capsys, "-fn", clip, "--model", path
    )
    [centre] = classify_json(capsys, "-fn", clip, "--model", plain.path)
    assert np.abs(np.subtract(list(centre["probabilities"].values()), shares)).max() > (
        0.001
    )


def test_lossless_copies_get_identical_probabilities(models_dir, tmp_path, capsys):
    mono = babble(1.3)
    kinds = [(".wav", kind) for kind in ("PCM_16", "PCM_24", "PCM_32", "FLOAT")]
    copies = [
        write(tmp_path / f"{kind}_{stored.ndim}{suffix}", stored, kind)
        for suffix, kind in [*kinds, (".flac", "PCM_16")]
        for stored in (mono, np.repeat(mono[:, None], 2, axis=1))
    ]
    answers = classify_json(capsys, "-fn", *copies)
    assert len(answers) == 10
    assert all(a["probabilities"] == answers[0]["probabilities"] for a in answers)


def test_a_name_in_the_models_folder_is_found(models_dir, capsys):
    write(models_dir / "clip.wav", babble(1.0))
    [answer] = classify_json(capsys, "-fn", "clip.wav")
    assert answer["file"] == str(models_dir / "clip.wav")


def narrow(seconds: float) -> np.ndarray:
    spectrum = np.fft.rfft(babble(seconds))
    spectrum[4000:] = 0.0
    return np.fft.irfft(spectrum)


@pytest.mark.parametrize(
    ("samples", "note"),
    [
        (babble(1.1), ""),
        (babble(1.3), "only the centre 1 s were classified; 0.3 s of speech were not"),
        (np.pad(babble(1.0), RATE_HZ), ""),
        (np.pad(babble(0.5), 4000), "only 0.5 s of speech: the answer is unreliable"),
        (narrow(1.0), "sound reaches only 4.1 kHz, but the model expects 7.5 kHz"),
    ],
)
def test_notes_give_reasons_to_doubt(models_dir, tmp_path, capsys, samples, note):
    text = classify(capsys, "-fn", write(tmp_path / "a.wav", samples, "FLOAT"))
    assert text.count("note: ") == bool(note)
    assert note in text


@pytest.mark.parametrize(("noise_db", "silence_s"), [(25, 0), (10, 0), (10, 0.3)])
def test_a_note_tells_of_noise_below_the_voice(
    models_dir, tmp_path, capsys, noise_db, silence_s
):
    """Also if digital silence surrounds it, as a decoder may add."""
    sound = np.pad(babble(1.5), RATE_HZ // 2)
    heard = Room(noise_db).place(sound, RATE_HZ, np.random.RandomState(0))
    samples = np.pad(heard, int(silence_s * RATE_HZ))
    text = classify(capsys, "-fn", write(tmp_path / "a.wav", samples, "FLOAT"))
    found = re.findall(r"note: noise or echoes are only (\d+) dB below", text)
    assert len(found) == (noise_db == 10)
    assert all(10 <= int(decibels) < 21 for decibels in found)


def test_a_clip_without_pause_says_nothing_of_noise(models_dir, tmp_path, capsys):
    sound = babble(1.5) + 0.1 * babble(1.5, 1)
    text = classify(capsys, "-fn", write(tmp_path / "a.wav", sound, "FLOAT"))
    assert "noise or echoes" not in text


def noise(kind: str) -> np.ndarray:
    """Three seconds of hiss, of brown noise or of hum."""
    random, time_s = np.random.RandomState(3), np.arange(3 * RATE_HZ) / RATE_HZ
    hiss = random.uniform(-0.1, 0.1, len(time_s))
    brown = np.cumsum(hiss) - np.linspace(0.0, hiss.sum(), len(hiss))
    hum = 0.1 * np.sin(2 * np.pi * 50.0 * time_s) + 0.01 * hiss
    return {"hiss": hiss, "brown": brown / 4 / abs(brown).max(), "hum": hum}[kind]


@pytest.mark.parametrize("kind", ["hiss", "brown", "hum"])
def test_noise_without_speech_is_no_emotion(models_dir, tmp_path, capsys, kind):
    path = write(tmp_path / "noise.wav", noise(kind), "FLOAT")
    assert "no speech in its centre 1 s: the sound is as even" in error_of(capsys, path)
    for short in ([], ["--hop", "1.9"], ["--length", "0.3"]):  # the last has 0.1 s
        error = error_of(capsys, path, "--windows", *short)
        assert "no speech: the sound is as even" in error
    mixed = np.concatenate([noise(kind) / 4, babble(3.0)])
    path = write(tmp_path / "mixed.wav", mixed, "FLOAT")
    [answer] = classify_json(capsys, path, "--windows")
    spoken = [window["class"] is not None for window in answer["windows"]]
    assert spoken == [False] * 3 + [True] * 3


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
    shares = plain["probabilities"].values()
    assert named["probabilities"] == dict(zip("xyz", shares, strict=True))


def test_a_bad_file_among_many_does_not_stop_the_rest(models_dir, tmp_path, capsys):
    good = [write(tmp_path / f"{n}.wav", babble(1.0, n)) for n in range(5)]
    bad, gone = tmp_path / "bad\n.wav", tmp_path / "gone"
    bad.write_text("no audio")
    words = ["-fn", *good[:2], bad, gone, *good[2:]]
    assert inference_single_file.main(list(map(str, words))) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[-1] for line in lines[:5]] == list(map(str, good))
    assert lines[-1].startswith("5 classified: ")
    assert lines[-1].endswith("; 2 refused")
    first, second = captured.err.splitlines()
    assert first.startswith(f"{tmp_path}/bad\\n.wav: cannot be read as audio")
    assert second.startswith(f"{tmp_path}/gone: no such file, here or in")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give recordings: files, --mic"),
        (["-fn", "x", "--mic"], "give recordings: files, --mic"),
        (["--mic", "--json"], "--mic prints live"),
        (["--mic", "--jobs", "2"], "--mic classifies one window at a time"),
        (["-fn", ""], "need a name"),
        (["-fn", "x", "--device", "1"], "--device chooses the microphone"),
        (["-fn", "x", "--hop", "1"], "--hop belongs to a timeline"),
        (["-fn", "x", "--length", "1"], "--length belongs to a timeline"),
        (["-fn", "x", "--plot", "a.png"], "--plot belongs to a timeline"),
        (["-fn", "x", "--windows", "--plot", "a.txt"], "--plot must end in .png"),
        (["-fn", "x", "--windows", "--plot", "a.PNG"], "x: no such file"),
        (["-fn", "x", "y", "--windows", "--plot", "a.png"], "name a folder"),
        (["-fn", "x", "--windows", "--length", "2"], "--length must be above 0"),
        (["-fn", "x", "--windows", "--hop", "0"], "--hop must be above 0"),
        (["-fn", "x", "--jobs", "0"], "--jobs must be at least 1"),
        (["-fn", "x", "--labels", "a,b"], "--labels names the classes of a model"),
        (["-fn", "x", "--model", "y", "-it", "mfcc"], "omit them with --model"),
        (["-fn", "x", "--model", "y"], "y: No such file"),
        (["-fn", "x"], "x: no such file"),
        (["x"], "x: no such file"),
        (["x", "--mic"], "give recordings: files, --mic"),
        (["x", "--windows", "-fn", "y", "--plot", "a.png"], "one picture for 2"),
        (["x", "--windows", "--plot", str(PROJECT / "LICENSE")], "no folder"),
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


def run_script(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_a_16_khz_wav_imports_nothing_heavy(models_dir, tmp_path):
    path = write(tmp_path / "a.wav", babble(1.0))
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sorted(sys.modules))"
    )
    model = models_dir / "plain.tflite"
    result = run_script("-c", code, SCRIPT, "-fn", path, "--model", model)
    first, *_, modules = result.stdout.splitlines()
    assert first.startswith(f"{path}: ")
    assert result.stderr == ""
    loaded = {name.split(".")[0] for name in modules.split()}
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_script_reads_standard_input_and_ends_with_a_status(models_dir, tmp_path):
    """From another folder, through a pipe, with a good and a bad recording."""
    words = (SCRIPT, "--model", models_dir / "plain.tflite", "-fn", "-")
    with write(tmp_path / "a.wav", babble(1.0)).open() as recording:
        good = run_script(*words, stdin=recording, cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("stdin: ")
    bad = run_script(*words, input="no audio", cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("inference_single_file.py: error: stdin: cannot be")
    assert bad.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("closed", "status"), [("<&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">&-", 0)]
)
def test_closed_standard_streams_change_no_answer(models_dir, tmp_path, closed, status):
    path = write(tmp_path / "a.wav", babble(1.0))
    words = (sys.executable, SCRIPT, "--model", models_dir / "plain.tflite", "-fn")
    for word, expected in ((path, status), (tmp_path / "no.wav", 2), ("-", 2)):
        result = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *map(str, words), str(word)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode == expected
        assert "Traceback" not in result.stderr
        if ">&-" not in closed.replace("2>&-", ""):
            assert result.stdout.startswith(f"{path}: ") == (word == path)
        if "2>&-" not in closed:
            assert result.stderr.count("\n") == (expected != 0)


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
    lines = run_script(SCRIPT, "--help").stdout.splitlines()
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
