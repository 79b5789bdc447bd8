"""Calibration to a voice: learnt from recordings, kept in a file, used, refused."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import inference_single_file
from hyperparameters import FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.scale import Moments, Voices, add, distance, learn_voices, measure
from utils.audio.wav import read_any, to_pcm16, write_wav
from utils.audio.windows import Window
from utils.corpora.demo import FOLDER
from utils.inference import microphone
from utils.inference import voice as inference_voice
from utils.inference.classify import Answer
from utils.inference.voice import LiveVoice, add_notes, learn_voice
from utils.model_files.catalog import MODELS_DIR
from utils.model_files.metadata import (
    attach_metadata,
    read_metadata,
    without_metadata,
)
from utils.model_files.tflite import LiteModel, load_model, model_inputs
from utils.model_files.voice_file import (
    Voice,
    check_target,
    load_voice,
    save_voice,
    with_voice,
)

FRONT_END = FrontEnd(duration_s=1.5)
RATE_HZ = FRONT_END.sample_rate_hz


def of_speaker(speaker: str) -> list[tuple[Path, str]]:
    """The recordings of one of DEMO's speakers."""
    return [(path, path.name) for path in sorted(FOLDER.glob(f"{speaker}*.flac"))]


def short_ones(speaker: str) -> list[tuple[Path, str]]:
    """Those of them that are no longer than a segment."""
    return [
        (path, name)
        for path, name in of_speaker(speaker)
        if len(read_any(path, RATE_HZ)) <= FRONT_END.duration_samples
    ]


def syllables(seconds: float) -> np.ndarray:
    """A tone that rises and falls as speech does."""
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    level = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * times_s)
    return 0.3 * level * np.sin(2 * np.pi * 200 * times_s)


def moments_of(path: Path) -> Moments:
    """As training measures a recording."""
    segments = from_pcm16(prepare(read_any(path, RATE_HZ), FRONT_END))
    return measure(compute_features(segments, FRONT_END, clipped=False)[0], FRONT_END)


@pytest.fixture(scope="module")
def voices() -> Voices:
    """What four of DEMO's voices have in common."""
    return learn_voices(
        {s: [moments_of(p) for p, _ in of_speaker(s)] for s in ("08", "09", "10", "11")}
    )


@pytest.fixture
def model(voices: Voices) -> LiteModel:
    """A model that is never run: only its scale is used."""
    return LiteModel(
        path=Path("none.tflite"),
        interpreter=None,
        classes=("calm", "loud"),
        front_end=FRONT_END,
        takes_audio=False,
        metadata=None,
        voices=voices,
    )


def write(path: Path, samples: np.ndarray) -> tuple[Path, str]:
    """A 16 kHz recording."""
    soundfile.write(path, samples, RATE_HZ)
    return path, path.name


def test_a_voice_is_what_training_would_measure(model: LiteModel) -> None:
    """Recordings no longer than a segment count once each."""
    recordings = short_ones("03")
    assert len(recordings) == 5
    voice = learn_voice(recordings, model)
    expected = add([moments_of(path) for path, _ in recordings])
    assert voice.moments.recordings == len(recordings)
    np.testing.assert_allclose(voice.moments.total, expected.total, rtol=1e-6)
    seconds = sum(len(read_any(path, RATE_HZ)) for path, _ in recordings) / RATE_HZ
    assert 0.5 * seconds < voice.speech_s < seconds


def test_a_voice_survives_its_file_and_scales_the_features(
    model: LiteModel, voices: Voices, tmp_path: Path
) -> None:
    recordings = short_ones("03")
    save_voice(tmp_path / "v.json", learn_voice(recordings, model))
    calibrated = with_voice(model, load_voice(tmp_path / "v.json", model))
    samples = read_any(recordings[0][0], RATE_HZ)
    raw = compute_features(
        from_pcm16(prepare(samples, FRONT_END)), FRONT_END, clipped=False
    )
    scale = voices.scale_of(add([moments_of(path) for path, _ in recordings]))
    expected = np.clip(
        (raw - scale.mean[:, None]) / scale.deviation[:, None], -10.0, 10.0
    )
    np.testing.assert_allclose(model_inputs(calibrated, samples), expected, atol=1e-4)
    unknown = model_inputs(model, samples)
    assert np.abs(unknown - expected).max() > 0.05


def silence(seconds: float) -> np.ndarray:
    """Nothing."""
    return np.zeros(int(seconds * RATE_HZ))


def chord(seconds: float) -> np.ndarray:
    """Music: a major chord over three octaves."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    notes = [110 * 2 ** (o + n / 12) for o in range(3) for n in (0, 4, 7)]
    return 0.05 * np.sum([np.sin(2 * np.pi * f * time) for f in notes], axis=0)


def melody(seconds: float) -> np.ndarray:
    """Music that rises and falls: the chord, struck three times a second."""
    times_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return chord(seconds) * np.exp(-6.0 * (3.0 * times_s % 1.0))


def noise(seconds: float) -> np.ndarray:
    """A steady hiss."""
    return np.random.default_rng(0).normal(0.0, 0.05, int(seconds * RATE_HZ))


@pytest.mark.parametrize(
    ("sound", "seconds", "text"),
    [
        (silence, 5.0, "is silent throughout"),
        (chord, 6.0, "there is no speech in these recordings"),
        (melody, 6.0, "do not sound like speech"),
        (noise, 6.0, "there is no speech in these recordings"),
        (noise, 0.3, r"at least 2 s of speech, got 0\.[34] s"),
    ],
)
def test_what_is_no_voice_is_refused(
    model: LiteModel,
    tmp_path: Path,
    sound: Callable[[float], np.ndarray],
    seconds: float,
    text: str,
) -> None:
    recording = write(tmp_path / "a.wav", sound(seconds))
    with pytest.raises(InputError, match=text):
        learn_voice([recording], model)


def test_a_recording_unlike_the_voice_gets_a_note(
    model: LiteModel, tmp_path: Path
) -> None:
    recordings = of_speaker("03")
    calibrated = with_voice(model, learn_voice(recordings, model))
    answer = Answer(
        name="x", probabilities=np.ones(2) / 2, duration_s=1.0, bandwidth_hz=None
    )
    path, _ = write(tmp_path / "music.wav", melody(2.0))
    assert (
        "does not sound like the voice" in add_notes(answer, path, calibrated).notes[0]
    )
    assert add_notes(answer, recordings[0][0], calibrated).notes == ()
    assert add_notes(answer, path, model).notes == ()


NO_VOICE = "is damaged or no voice file"
DAMAGE: list[tuple[Any, str]] = [
    (None, "No such file"),
    ("", "is not a voice file"),
    ("{", "is not a voice file"),
    ("[" * 100_000, "is not a voice file"),
    ('{"frames": 1' + "0" * 5000 + "}", "is not a voice file"),
    (b"\xff\xfe\0", "is not a voice file"),
    ("[]", NO_VOICE),
    ("null", NO_VOICE),
    ('"voice"', NO_VOICE),
    (" " * (2**20 + 1), "has 1048577 bytes; at most"),
    (Path("/dev/zero"), "is a folder, pipe or device"),
    (Path("/nowhere/v.json"), "No such file"),
    (Path("/tmp"), "is a folder, pipe or device"),
    (Path("v.json"), "Too many levels of symbolic links"),
    ({"kind": "model"}, NO_VOICE),
    ({"kind": "\x1b[2J"}, NO_VOICE),
    ({"format": 10**30}, NO_VOICE),
    ({"front_end": None}, NO_VOICE),
    ({"front_end": {"\x1b[2J": 1}}, NO_VOICE),
    ({"front_end": {"num_mel_bins": 10**9}}, NO_VOICE),
    ({"front_end": {"duration_s": 10**400}}, NO_VOICE),
    ({"front_end": {"duration_s": 3.0}}, "another front-end"),
    ({"total": [1.0]}, NO_VOICE),
    ({"total": [[1.0]] * 40}, NO_VOICE),
    ({"total": ["1"] * 40}, NO_VOICE),
    ({"total": [1e308] * 40}, NO_VOICE),
    ({"total": [10**400] * 40}, NO_VOICE),
    ({"squares": [float("nan")] * 40}, NO_VOICE),
    ({"squares": [float("inf")] * 40}, NO_VOICE),
    ({"squares": [-1.0] * 40}, NO_VOICE),
    ({"squares": [1e300] * 40}, NO_VOICE),
    ({"functionals": {}}, NO_VOICE),
    ({"speech_s": "2"}, NO_VOICE),
    ({"speech_s": float("nan")}, NO_VOICE),
    ({"frames": 0}, NO_VOICE),
    ({"frames": 9.5}, NO_VOICE),
    ({"frames": True}, NO_VOICE),
    ({"recordings": -1}, NO_VOICE),
    ({"recordings": 10**18}, NO_VOICE),
]


@pytest.mark.parametrize(("damage", "text"), DAMAGE)
def test_a_damaged_voice_file_is_one_line(
    model: LiteModel, tmp_path: Path, damage: Any, text: str
) -> None:
    path = tmp_path / "v.json"
    if isinstance(damage, Path):
        path.symlink_to(damage)
    elif isinstance(damage, bytes | str):
        path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    elif damage is not None:
        ones = np.ones(40)
        moments = Moments(1, 9, ones, ones)
        save_voice(path, Voice(front_end=FRONT_END, speech_s=2.0, moments=moments))
        path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InputError, match=text) as caught:
        load_voice(path, model)
    assert str(caught.value).startswith(f"--voice {path}: ")
    assert str(caught.value).isprintable()


OTHER_FILES = (b"RIFF", b"{", b'{"kind": "model"}', b"[]", b"[" * 100_000)


@pytest.mark.parametrize("content", OTHER_FILES)
def test_a_new_voice_replaces_no_other_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(content)
    words = ["--calibrate", str(FOLDER), "--voice", str(path)]
    with pytest.raises(InputError, match="exists and is no voice file"):
        inference_single_file.main(words)
    assert path.read_bytes() == content
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="exists and is no voice file"):
        inference_single_file.main(words)


def test_a_new_voice_replaces_an_older_one(model: LiteModel, tmp_path: Path) -> None:
    check_target(tmp_path / "v.json")
    save_voice(tmp_path / "v.json", learn_voice(of_speaker("03"), model))
    check_target(tmp_path / "v.json")


def test_what_calibration_leaves_out_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path, name in of_speaker("03")[:4]:
        samples = read_any(path, RATE_HZ)
        both = np.column_stack([samples, -samples])
        write(tmp_path / f"{name}.wav", both)
    (tmp_path / "notes.txt").write_text("no sound")
    words = ["--calibrate", str(tmp_path), "--voice", str(tmp_path / "v.json")]
    assert inference_single_file.main(words) == 0
    lines = capfd.readouterr().err.splitlines()
    assert any(".txt" in line for line in lines)
    assert sum("its channels cancel each other" in line for line in lines) == 4


def test_recordings_that_cannot_be_used_spoil_no_others(
    model: LiteModel, tmp_path: Path
) -> None:
    spoken = of_speaker("03")[:3]
    mute = write(tmp_path / "mute.wav", silence(2.0))
    empty = (tmp_path / "empty.wav", "empty.wav")
    empty[0].touch()
    lines: list[str] = []
    voice = learn_voice([mute, spoken[0], empty, *spoken[1:]], model, lines.append)
    save_voice(tmp_path / "a.json", voice)
    save_voice(tmp_path / "b.json", learn_voice(spoken, model))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    named = [Path(line.split(": ")[0]).name for line in lines]
    assert named == ["mute.wav", "empty.wav"]
    assert all(line.endswith("; it is not used") for line in lines)
    with pytest.raises(InputError, match=r"^mute\.wav: is silent throughout$"):
        learn_voice([mute, empty], model)


def test_pauses_and_noise_teach_nothing(model: LiteModel, tmp_path: Path) -> None:
    """A minute of a quiet room between two halves of a recording counts as nothing."""
    speech = np.concatenate([read_any(p, RATE_HZ) for p, _ in of_speaker("03")[:6]])
    spoken = learn_voice([write(tmp_path / "a.wav", speech)], model)
    assert spoken.moments.recordings == -(-len(speech) // FRONT_END.duration_samples)
    room = 0.02 * noise(60.0)  # 60 dB below full scale
    half = len(speech) // 2
    paused = np.concatenate([speech[:half], room, speech[half:]])
    path, name = write(tmp_path / "b.wav", paused)
    lines: list[str] = []
    hiss = write(tmp_path / "c.wav", noise(3.0))
    voice = learn_voice([(path, name), hiss], model, lines.append)
    assert lines == ["c.wav: is not used: no speech in it"]
    assert voice.moments.recordings <= spoken.moments.recordings + 1
    assert spoken.speech_s <= voice.speech_s < len(speech) / RATE_HZ
    scale, expected = voice.moments.scale, spoken.moments.scale
    assert distance(scale, expected) < 0.15


def test_pauses_between_sentences_teach_nothing(
    model: LiteModel, tmp_path: Path
) -> None:
    clips = [read_any(path, RATE_HZ) for path, _ in of_speaker("03")[:6]]
    noisy = [clip + 0.02 * noise(len(clip) / RATE_HZ)[: len(clip)] for clip in clips]
    room = 0.02 * noise(3.0)
    joined, paused = np.concatenate(noisy), [p for clip in noisy for p in (clip, room)]
    spoken = learn_voice([write(tmp_path / "a.wav", joined)], model)
    voice = learn_voice([write(tmp_path / "b.wav", np.concatenate(paused))], model)
    assert voice.speech_s == pytest.approx(spoken.speech_s, rel=0.35)
    assert voice.moments.frames == pytest.approx(spoken.moments.frames, rel=0.35)
    assert distance(voice.moments.scale, spoken.moments.scale) < 0.15


def test_short_words_in_a_long_recording_teach(
    model: LiteModel, tmp_path: Path
) -> None:
    """Each ten seconds of a quiet room hold half a second of speech."""
    words = [read_any(p, RATE_HZ)[6_000:14_000] for p, _ in of_speaker("03")[:8]]
    room = 0.003 * noise(10.0)
    sparse = np.concatenate([part for word in words for part in (room, word)])
    voice = learn_voice([write(tmp_path / "a.wav", sparse)], model)
    assert 2.0 < voice.speech_s < 6.0


def test_every_second_of_speech_counts_once(tmp_path: Path) -> None:
    """Segments overlap, and the same recording may be named twice."""
    model = load_model(
        MODELS_DIR / "EMO-DB_3.0s_Segmented_mode2_cross_entropy_int8.tflite"
    )
    clips = [read_any(path, RATE_HZ) for path in sorted(MODELS_DIR.glob("*.wav"))]
    speech = np.concatenate(clips)
    path = tmp_path / "talk.wav"
    write_wav(path, to_pcm16(speech), RATE_HZ)
    copy = tmp_path / "copy.flac"
    soundfile.write(copy, soundfile.read(path, dtype="int16")[0], RATE_HZ)
    voice = learn_voice([(path, "talk")], model)
    assert 0.5 * len(speech) < voice.speech_s * RATE_HZ < len(speech)
    lines: list[str] = []
    names = [(path, "talk"), (path, "again"), (copy, "copy")]
    twice = learn_voice(names, model, lines.append)
    assert lines == [
        "again: is not used: it is the same sound as talk",
        "copy: is not used: it is the same sound as talk",
    ]
    np.testing.assert_array_equal(twice.moments.total, voice.moments.total)


def test_an_older_voice_file_has_no_seconds_of_speech(
    model: LiteModel, tmp_path: Path
) -> None:
    path = tmp_path / "v.json"
    voice = learn_voice(of_speaker("03"), model)
    save_voice(path, voice)
    content = json.loads(path.read_text())
    del content["speech_s"]
    path.write_text(json.dumps(content))
    sounding_s = voice.moments.frames * FRONT_END.hop_samples / RATE_HZ
    assert load_voice(path, model).speech_s == pytest.approx(sounding_s)


def test_of_a_very_long_recording_the_beginning_teaches(
    model: LiteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_voice, "MOST_S", 4.0)
    speech = np.concatenate([read_any(p, RATE_HZ) for p, _ in of_speaker("03")])
    speech = np.tile(speech, 12)
    lines: list[str] = []
    voice = learn_voice([write(tmp_path / "long.wav", speech)], model, lines.append)
    assert lines == ["long.wav: only its first 0 minutes are used"]
    assert voice.speech_s < len(speech) / RATE_HZ / 2


def test_a_voice_file_without_speech_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, clip = tmp_path / "v.json", str(of_speaker("03")[0][0])
    words = ["--calibrate", str(FOLDER), "--voice", str(path)]
    assert inference_single_file.main(words) == 0
    assert inference_single_file.main([clip, "--voice", str(path)]) == 0
    capfd.readouterr()
    content = json.loads(path.read_text())
    content |= {key: [0.0] * 40 for key in ("total", "squares")}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"v\.json: was not learnt from speech"):
        inference_single_file.main([clip, "--voice", str(path)])
    assert capfd.readouterr().err == ""


def test_a_voice_after_a_long_silence_is_not_compared(
    model: LiteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the beginning of a recording is compared with the voice."""
    monkeypatch.setattr(inference_voice, "MOST_S", 4.0)
    calibrated = with_voice(model, learn_voice(of_speaker("03"), model))
    late = np.concatenate([np.zeros(90 * RATE_HZ), syllables(3.0)])
    path, name = write(tmp_path / "late.wav", late)
    answer = Answer(
        name=name, probabilities=np.ones(2) / 2, duration_s=8.0, bandwidth_hz=None
    )
    assert add_notes(answer, path, calibrated).notes == ()


@pytest.mark.parametrize("words", [["--windows"], ["--windows", "--csv"], []])
def test_another_voice_is_told_in_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    voice, (music, _) = tmp_path / "v.json", write(tmp_path / "m.wav", syllables(3.0))
    learn = ["--calibrate", str(FOLDER), "--voice", str(voice)]
    assert inference_single_file.main(learn) == 0
    answer = [str(music), "--voice", str(voice), *words]
    assert inference_single_file.main(answer) == 0
    assert "does not sound like the voice given with" in capsys.readouterr().out


def test_a_pipe_as_voice_is_refused_at_once(model: LiteModel, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.json")
    with pytest.raises(InputError, match="is a folder, pipe or device"):
        load_voice(tmp_path / "v.json", model)


def test_models_without_scale_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped models of the published recipe cannot be calibrated."""
    published = MODELS_DIR / "EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
    words = ["--calibrate", str(FOLDER), "--voice", "v.json", "--model", str(published)]
    with pytest.raises(InputError, match="trained with --feature_scaling voice"):
        inference_single_file.main(words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--calibrate", "x"], "name its file with --voice"),
        (
            ["--calibrate", "x", "-fn", "y", "--voice", "v"],
            "give recordings: files, --mic",
        ),
        (["--voice", "v"], "give recordings: files, --mic"),
        (["--calibrate", "x", "--voice", "v", "--json"], "nothing: omit --json"),
        (["--calibrate", "x", "--voice", "v", "--hop", "0"], "nothing: omit --hop"),
        (["--calibrate", "", "--voice", "v"], "need a name, got an empty one"),
        (["--mic", "--length", "0.4"], r"--length of at least 0\.58 s"),
        (["--mic", "--voice", "/nowhere/v.json"], "there is no such folder"),
        (["--calibrate", "x", "--voice", "v", "--jobs", "2"], "nothing: omit --jobs"),
    ],
)
def test_options_that_do_not_fit(words: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        inference_single_file.main(words)


def test_a_live_voice_is_learnt_window_by_window(model: LiteModel) -> None:
    """Windows that overlap with one already learnt from count once."""
    speech = np.concatenate([read_any(p, RATE_HZ) for p, _ in of_speaker("03")[:4]])
    length = FRONT_END.duration_samples
    learnt = LiveVoice(model)
    assert learnt.finish() is None
    starts = range(0, len(speech) - length, length // 3)
    used = [s for s in starts if learnt.hear(Window(s, speech[s:][:length]))]
    assert used == list(range(0, len(speech) - length, length))
    voice = learnt.finish()
    assert voice is not None
    segments = [prepare(speech[s:][:length], FRONT_END) for s in used]
    features = compute_features(
        from_pcm16(np.concatenate(segments)), FRONT_END, clipped=False
    )
    expected = add([measure(row, FRONT_END) for row in features])
    np.testing.assert_allclose(voice.moments.total, expected.total, rtol=1e-9)
    assert voice.functionals is not None
    assert voice.functionals.recordings == len(used)
    assert learnt.progress == f"learning the voice: {len(used)} of 10"


def test_noise_is_no_live_voice(model: LiteModel) -> None:
    learnt = LiveVoice(model)
    noise = np.random.default_rng(0).normal(size=3 * FRONT_END.duration_samples) / 9
    for start in range(0, len(noise), FRONT_END.duration_samples):
        window = noise[start:][: FRONT_END.duration_samples]
        learnt.hear(Window(start, window))
    with pytest.raises(InputError, match="do not sound like speech"):
        learnt.finish()


def test_the_microphone_learns_a_new_voice_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks come from files instead of the microphone."""
    shipped = MODELS_DIR / "EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
    paths = [path for path, _ in of_speaker("03")]
    segments = [prepare(read_any(path, RATE_HZ), FrontEnd()) for path in paths]
    features = compute_features(
        from_pcm16(np.concatenate(segments)), FrontEnd(), clipped=False
    )
    voices = learn_voices({"03": [measure(row, FrontEnd()) for row in features]})
    content = without_metadata(shipped.read_bytes())
    described = (read_metadata(shipped) or {}) | {"voices": voices.to_dict()}
    model, voice = tmp_path / "scaled.tflite", tmp_path / "anna.json"
    model.write_bytes(attach_metadata(content, described))
    blocks = [read_any(path, RATE_HZ) for path in (*paths, *paths)]

    def unplugged(*_: object) -> Iterator[np.ndarray]:
        yield from blocks
        raise InputError("the microphone is gone")

    monkeypatch.setattr(microphone, "microphone_blocks", unplugged)
    words = ["--mic", "--model", str(model), "--voice", str(voice)]
    with pytest.raises(InputError, match="the microphone is gone"):
        inference_single_file.main(words)
    streams = capsys.readouterr()
    assert f"{voice}: " in streams.err
    assert f"{voice}: " not in streams.out
    assert json.loads(voice.read_bytes())["recordings"] >= 10  # were kept
    voice.unlink()
    capsys.readouterr()
    monkeypatch.setattr(microphone, "microphone_blocks", lambda *_: iter(blocks))
    assert inference_single_file.main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "learning the voice: 1 of 10" in shown[0]
    assert shown[-2].endswith("(voice learnt)")
    assert shown[-1].startswith(f"{voice}: ")
    before = voice.read_bytes()
    assert json.loads(before)["recordings"] >= 10
    assert inference_single_file.main(words) == 0
    assert "learn" not in capsys.readouterr().out
    assert voice.read_bytes() == before


def test_a_long_recording_counts_as_several(tmp_path: Path) -> None:
    """In parts as long as an utterance, for network and linear model alike."""
    name = "EMO-DB_3.0s_Segmented_mode2_cross_entropy"
    model = load_model(MODELS_DIR / f"{name}_float32.tflite")
    clips = [read_any(path, RATE_HZ) for path in sorted(MODELS_DIR.glob("*.wav"))]
    path = tmp_path / "talk.wav"
    joined = np.tile(np.concatenate(clips), 4)
    write_wav(path, to_pcm16(joined), RATE_HZ)
    voice = learn_voice([(path, "talk")], model)
    count = -(-len(joined) // (10 * RATE_HZ))
    assert count > 4
    assert voice.functionals is not None
    assert (voice.moments.recordings, voice.functionals.recordings) == (count, count)
    [short] = [clip for clip in clips if len(clip) > 3 * RATE_HZ]
    write_wav(path, to_pcm16(short), RATE_HZ)
    voice = learn_voice([(path, "disgust")], model)
    segments = from_pcm16(prepare(read_any(path, RATE_HZ), model.front_end, 2))
    features = compute_features(segments, model.front_end, clipped=False)
    expected = add([measure(rows, model.front_end) for rows in features])
    assert len(segments) > 1
    assert voice.moments.recordings == 1
    np.testing.assert_allclose(voice.moments.total, expected.total, rtol=1e-6)
