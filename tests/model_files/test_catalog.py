"""Which model answers: the card of a folder, and the choice from it."""

import re

import pytest
import soundfile
from small_models import CLASSES, ask_for_error, small_model

import inference_single_file
from hyperparameters import FrontEnd, InputError
from utils.corpora.emo_db import EMOTION_OF_LETTER
from utils.files import PROJECT
from utils.inference.file_labels import read_label
from utils.model_files import catalog as card

pytest_plugins = ["inference_fixtures"]


def test_options_choose_among_the_card(models_dir):
    def chosen(*words: str) -> str:
        arguments = inference_single_file.parse_args(["-fn", "x", *words])
        return inference_single_file.model_path(arguments).name

    assert chosen() == "plain.tflite"
    assert chosen("-id", "1", "-at", "all", "-ln", "cross_entropy") == "plain.tflite"
    assert chosen("-ln", "focal") == "focal.tflite"
    assert chosen("-it", "mel_spectrogram") == "mel.tflite"
    assert chosen("-id", "0.5") == "mel.tflite"
    assert chosen("--model", "focal.tflite") == "focal.tflite"  # a name in there


def test_a_choice_that_does_not_exist_is_refused(models_dir, capsys):
    message = ask_for_error(capsys, "-fn", "x", "-ln", "focal", "-it", "spectrogram")
    assert message.startswith("no model for -ln focal -it spectrogram; there is ")
    assert "-id 1 -at all -ln focal -it mfcc" in message
    assert "-id 0.5 -at impro -ln cross_entropy -it mel_spectrogram" in message


def test_a_changed_model_is_refused(models_dir, capsys):
    path = models_dir / "plain.tflite"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "not the file that card.json describes" in ask_for_error(capsys, "-fn", "x")
    path.unlink()
    assert "is missing or not the file" in ask_for_error(capsys, "-fn", "x")
    (models_dir / "card.json").unlink()
    assert "has no card.json" in ask_for_error(capsys, "-fn", "x")


def test_the_card_says_what_each_model_is(models_dir, capsys):
    assert card.main(["--folder", str(models_dir), "--default", "mel.tflite"]) == 0
    assert capsys.readouterr().out == "4 models, default mel.tflite\n"
    content = card.read_card(models_dir)
    assert content["default"] == "mel.tflite"
    by_file = {model["file"]: model for model in content["models"]}
    path = models_dir / "mel.tflite"
    assert by_file["mel.tflite"] == {
        "file": "mel.tflite",
        "dataset_name": "TOY",
        "duration_s": 0.5,
        "audio_type": "impro",
        "loss_name": "cross_entropy",
        "input_type": "mel_spectrogram",
        "precision": "float32",
        "fused": False,
        "classes": list(CLASSES),
        "sha256": card.sha256(path),
        "bytes": path.stat().st_size,
    }
    assert by_file["fuse.tflite"]["fused"] is True
    assert card.build_card(models_dir)["default"] == "mel.tflite"  # kept from the card


def test_a_card_needs_models_that_say_what_they_are(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.tflite"):
        card.build_card(tmp_path)
    shape = (1, *FrontEnd().input_shape)
    (tmp_path / "bare.tflite").write_bytes(small_model(shape, CLASSES))
    with pytest.raises(InputError, match="must name corpus, audio_type"):
        card.build_card(tmp_path)


def test_the_clips_are_what_their_readme_says():
    folder = PROJECT / "inference_tests"
    text = (folder / "README.md").read_text(encoding="utf-8")
    clips = sorted(path.name for path in folder.glob("*.wav"))
    named = text[text.index("## Clips") : text.index("## Models")]
    assert clips == re.findall(r"`(\w+_demo\.wav)`", named)
    assert len(clips) == 4
    for name in clips:
        info = soundfile.info(folder / name)
        form = info.format, info.subtype, info.samplerate, info.channels
        assert form == ("WAV", "PCM_16", 16_000, 1)
        label = read_label(name, tuple(EMOTION_OF_LETTER.values()))
        assert label == (name.partition("_")[0], "demo")
