"""The command line's settings: every field, the original's names, the refusals."""

import sys
from pathlib import Path
from typing import Any

import pytest
from settings_values import other_value

import train
from hyperparameters import InputError, Settings, to_flat
from utils import options
from utils.cli import HELP_WIDTH, run_main
from utils.corpora.demo import CORPUS as DEMO

FLAT = to_flat(Settings())
FLAGS = {"duration_s": "--input_durations"}


def settings_of(*argv: str) -> dict[str, Any]:
    """Flat settings of one command line of `train.py`."""
    [settings] = options.settings_from(train.parse_args(argv))
    return to_flat(settings)


@pytest.mark.parametrize("name", FLAT)
def test_every_setting_is_an_option(name: str) -> None:
    value = other_value(name)
    typed = str(value).lower() if isinstance(value, bool) else str(value)
    base = settings_of("-dn", "EMO-DB")
    found = settings_of("-dn", "EMO-DB", FLAGS.get(name, f"--{name}"), typed)
    assert found == {**base, name: value}
    assert found[name] != FLAT[name]


@pytest.mark.parametrize(
    ("line", "run_options", "changed"),
    [
        (
            "-dn EMO-DB -id 3 -at all -ln focal -v 1 -it mfcc -c disk -m false",
            (1, "disk", False),
            {"dataset_name": "EMO-DB", "loss_name": "focal"},
        ),
        (
            "--dataset_name IEMOCAP --input_durations 7 --audio_type impro "
            "--loss_name cross_entropy --verbose 0 --input_type mel_spectrogram "
            "--cache None --merge_tflite true",
            (0, "None", True),
            {
                "dataset_name": "IEMOCAP",
                "duration_s": 7.0,
                "audio_type": "impro",
                "input_type": "mel_spectrogram",
            },
        ),
    ],
)
def test_the_original_options(
    line: str, run_options: tuple[int, str, bool], changed: dict[str, Any]
) -> None:
    args = train.parse_args(line.split())
    assert (args.verbose, args.cache, args.merge_tflite) == run_options
    assert options.data_paths_from(args).cache == args.cache
    assert settings_of(*line.split()) == {**FLAT, **changed}


def test_the_last_given_wins() -> None:
    """Published values, the corpus's own defaults, the command line."""
    embedded = settings_of()
    assert embedded == {**FLAT, **DEMO.defaults}
    assert DEMO.defaults["epochs"] != FLAT["epochs"]
    assert settings_of("--epochs", "300") == {**embedded, "epochs": 300}
    assert settings_of("-dn", "EMO-DB") == {**FLAT, "dataset_name": "EMO-DB"}


def test_several_seeds_are_several_settings() -> None:
    made = options.settings_from(train.parse_args(["--seed", "42,43"]))
    assert [settings.training.seed for settings in made] == [42, 43]
    assert to_flat(made[0]) == {**to_flat(made[1]), "seed": 42}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-id", "0"], "-id/--input_durations must be above 0, got 0.0"),
        (["-dn", "EMODB"], "--dataset_name must be one of DEMO, EMO-DB, IEMOCAP"),
        (["-c", "none"], "argument -c/--cache: invalid choice: 'none'"),
        (["-m", "0"], "argument -m/--merge_tflite: must be true or false, got '0'"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--seed", "42,x"], "argument --seed: must be whole numbers such as 42"),
        (["--seed", "1,1"], "--seed must not repeat a number, got [1, 1]"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--protocol", "loso"], "argument --protocol: invalid choice: 'loso'"),
        (
            ["--folds", "a"],
            "argument --folds: must be 3 or 0,1 or 0-3, all below 1000, got 'a'",
        ),
        (["--folds", "0-999999999"], "all below 1000, got '0-999999999'"),
        (["-v", "1", "--jobs", "2"], "-v 1 shows one fold at a time"),
        (["--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"], "give one of the two"),
        (["--jobs", "0"], "must be a whole number ≥ 1, got '0'"),
        (["--manifest", "none.csv", "-dn", "MINE"], "--manifest must be a CSV file"),
    ],
)
def test_bad_values_are_one_line_and_exit_status_2(
    argv: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    places = ["--data_dir", str(tmp_path), "--derived_dir", str(tmp_path)]
    given = [*argv, *places, "--output_dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["train.py", *given])
    try:
        status: Any = run_main(train.main)
    except SystemExit as ended:
        status = ended.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith("train.py: error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def help_text(option: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        train.parse_args([option])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_text("--help", capsys)
    assert len(lines) <= 60
    assert max(map(len, lines)) <= HELP_WIDTH
    for flag in ("-dn, --dataset_name", "-id, --input_durations", "--protocol", "-c,"):
        assert sum(flag in line for line in lines) >= 1
    assert not any("--dropout" in line for line in lines)


def test_help_all_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in help_text("--help_all", capsys) if line[:3] == "  -"]
    for name, value in FLAT.items():
        flag = FLAGS.get(name, f"--{name}")
        [line] = [line for line in lines if f"{flag} " in line]
        assert f"[{value}]" in line
    assert any("percentile of |x| lifted to full scale, %" in line for line in lines)


def test_a_manifest_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--manifest needs -dn NAME"):
        settings_of("--manifest", str(tmp_path / "m.csv"))


def test_corpora_that_are_not_used_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--data_dir` alone trains DEMO, which is hardly what was meant."""
    for name in ("EMO-DB/wav/03a01Fa.wav", "RAVDESS/x.wav", "mine/sad/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for name in ("mine/joy", "mine_1.0s_Segmented/joy", "mine_1.0s_Segmented/sad"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.wav").touch()
    settings_of("--data_dir", str(tmp_path))
    told = capsys.readouterr().err
    assert told == (
        f"using DEMO, because there is no -dn; in {tmp_path} there are: -dn EMO-DB, "
        "-dn RAVDESS, -dn mine\n"
    )
    settings_of("--data_dir", str(tmp_path), "-dn", "DEMO")
    settings_of("--data_dir", str(tmp_path / "empty"))
    settings_of()
    assert capsys.readouterr().err == ""
