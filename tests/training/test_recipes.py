"""Recipes: what varies in training, what the teacher sees, and exact resumes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from training_runs import (
    StopAfter,
    TrainedDemo,
    make_job,
    read_record,
    results,
    run_here,
)

import train
from dataio import training_batches
from hyperparameters import RECIPES, InputError, Settings, from_flat, to_flat
from utils.audio.functionals import NUM_FUNCTIONALS
from utils.audio.scale import add
from utils.audio.wav import to_pcm16, write_wav
from utils.model_files.linear import (
    LinearModel,
    load_linear,
    moments_of,
    save_linear,
    softmax,
)
from utils.runs.records import load_run
from utils.scores.known_voice import known_voice_table
from utils.training.examples import Examples, hide
from utils.training.job import FoldJob
from utils.training.linear_model import fit_linear, fit_linear_model
from utils.training.teacher import soft_labels

VARIED = {"feature_scaling": "voice", "speeds": "0.84,1.19", "shift_frames": 2}
EVERYTHING: dict[str, Any] = {
    **VARIED,
    "rooms": 2,
    "masks": 2,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "weight_average": 0.9,
    "teacher": "functionals",
    "segment_mode": 2,
}
Make = Callable[..., FoldJob]


@pytest.fixture
def make(trained_demo: TrainedDemo, tmp_path: Path) -> Make:
    """A fold of DEMO with speakers held out and other settings."""

    def call(**changes: Any) -> FoldJob:
        changes = {
            "protocol": "speaker",
            "num_folds": 5,
            "select": "last",
            **changes,
        }
        return make_job(trained_demo.derived_dir, tmp_path / "runs", **changes)

    return call


def test_the_published_recipe_is_the_published_settings() -> None:
    assert from_flat(dict(RECIPES["published"].values)) == Settings()
    for recipe in RECIPES.values():
        values = {"protocol": "speaker", **recipe.values}
        assert to_flat(from_flat(values)).items() >= values.items()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"speeds": "0.9,1"}, "--speeds must be a list of factors"),
        ({"speeds": "fast"}, "--speeds must be a list of factors"),
        ({"speeds": "0.1"}, "--speeds must be a list of factors"),
        ({"teacher": "functionals", "loss_name": "focal"}, "must be cross_entropy"),
        (
            {"feature_scaling": "voice", "input_type": "spectrogram"},
            "--feature_scaling must be none with -it spectrogram",
        ),
    ],
)
def test_settings_that_contradict_each_other(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        from_flat(values)


@pytest.mark.parametrize(
    "words", [["--feature_scaling", "voice"], ["--teacher", "functionals"]]
)
def test_speakers_must_be_known(tmp_path: Path, words: list[str]) -> None:
    folder = tmp_path / "MINE"
    for label in ("calm", "loud"):
        for number in range(3):
            path = folder / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, 16_000)
            write_wav(path, to_pcm16(noise), 16_000)
    paths = ["--data_dir", str(tmp_path), "--derived_dir", str(tmp_path / "derived")]
    with pytest.raises(InputError, match=f"{words[0]}.* needs the speaker of every"):
        train.main(["-dn", "MINE", *paths, *words])


def test_averaged_weights_need_the_last_epoch() -> None:
    with pytest.raises(InputError, match="--weight_average needs --select last"):
        train.main(["--weight_average", "0.9"])


def test_weight_decay_needs_adamw() -> None:
    with pytest.raises(InputError, match="--weight_decay needs --optimizer adamw"):
        train.main(["--weight_decay", "0.01"])


def test_the_test_curve_is_that_of_the_averaged_weights(
    make: Make, fold_worker: ProcessPoolExecutor
) -> None:
    job = make(epochs=3, learning_rate=1e-3, weight_average=0.99)
    assert fold_worker.submit(run_here, job).result()[0] is None
    record = read_record(job.folder, 0)
    predicted = np.argmax(record["probabilities"]["keras"], axis=1)
    accuracy = np.mean(predicted == record["labels"])
    assert record["history"]["test_accuracy"][-1] == pytest.approx(accuracy)


def test_masks_need_standardised_features() -> None:
    with pytest.raises(InputError, match="--masks needs --feature_scaling corpus or"):
        train.main(["--masks", "2"])


def test_an_interrupted_fold_is_bit_equal(
    make: Make, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """With every option of the recipes at once."""

    def run(job: FoldJob, *arguments: Any) -> Any:
        return fold_worker.submit(run_here, job, *arguments).result()[0]

    whole = make(epochs=2, **EVERYTHING)
    assert run(whole) is None
    expected = results(read_record(whole.folder, 0))
    whole.folder.rename(tmp_path / "whole")
    cut = make(epochs=2, **EVERYTHING)
    assert run(cut, StopAfter(0)) == "stopped"
    assert run(cut) is None
    found = results(read_record(cut.folder, 0))
    assert found == expected
    test = [np.array(found["probabilities"][n]) for n in ("keras", "float32")]
    np.testing.assert_allclose(*test, atol=1e-5)
    assert set(found["functionals"]) == {"none"}
    assert set(found["known_voice"]["draws"]) >= {"1", "3", "5", "10"}
    drawn = found["known_voice"]["draws"]["10"]
    assert set(drawn) == {"keras", "functionals", "pair"}
    [linear] = cut.fold_folder.glob("*_functionals.npz")
    assert load_linear(linear, cut.dataset.manifest.classes)
    for [first, *_] in drawn.values():
        assert first.count(-1) == 10 * len(set(found["speakers"]))
    lines = known_voice_table(load_run(cut.folder))
    assert [line.split(" | ")[0] for line in lines[-4:]] == ["| all"] * 4


def test_plain_settings_give_the_published_batches(make: Make) -> None:
    job = make()
    batches = Examples(job.dataset, job.fold).batches(range(1, 2))
    published = training_batches(job.dataset, job.fold, range(1, 2))
    for found, expected in zip(batches, published, strict=True):
        for values, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(values, wanted)


def test_examples_vary_as_the_settings_say(make: Make) -> None:
    """Speeds, shifts and scales are found again in the features themselves."""
    job = make(**VARIED, rooms=2)
    examples = Examples(job.dataset, job.fold, voices=job.voices)
    draws, (features, labels) = examples.draws(3), examples.batch(3, 0)
    assert set(np.unique(draws.copies)) == {0, 1, 2, 3, 4}
    assert set(np.unique(draws.shifts)) == {-2, -1, 0, 1, 2}
    assert np.mean(draws.copies == 0) == pytest.approx(0.25, abs=0.15)
    sources = (job.dataset.features, *job.dataset.copies)
    front_end, voices, seen = job.settings.front_end, job.voices, set()
    assert voices is not None
    voice_of = {u.id: u.voice for u in job.dataset.manifest.utterances}
    epochs = [(examples.batch(e, 0)[0], examples.draws(e)) for e in range(3, 9)]
    for row, number, copy, shift, known in (
        example
        for rows, drawn in epochs
        for example in zip(rows, *(d[0] for d in vars(drawn).values()), strict=True)
    ):
        if 0 < known < 1_000_000:
            continue  # some of the voice's recordings, which are drawn
        voice = voice_of[job.dataset.segments.utterance_ids[number]]
        of_voice = [
            job.dataset.moments[copy][name]
            for name in job.fold.train
            if voice_of[name] == voice
        ]
        scale = voices.scale_of(add(of_voice) if known else None)
        source = sources[copy][np.array([number])][0]
        wanted = np.roll(scale.apply(source, front_end), shift, axis=0)
        np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)
        seen.add((copy > 2, known > 0))
    assert len(seen) == 4  # in rooms and not, voice known and not
    np.testing.assert_array_equal(labels, job.dataset.labels[draws.numbers[0]])
    again = Examples(job.dataset, job.fold, voices=job.voices).batch(3, 0)
    np.testing.assert_array_equal(features, again[0])
    other = examples.batch(4, 0)
    assert not np.array_equal(features, other[0])


def stretches(chosen: np.ndarray) -> int:
    """How many runs of True there are."""
    return int(np.sum(np.diff(chosen.astype(int), prepend=0) == 1))


def test_masks_hide_stretches_of_frames_and_bands_of_features() -> None:
    """Two of 0 to 20 frames and of 0 to 6 features; some overlap."""
    random, counts = np.random.RandomState(0), []
    for _ in range(500):
        row = np.ones((186, 40, 1), np.float32)
        hide(row, 2, random)
        values = row[..., 0]
        frames, bands = (values == 0).all(axis=1), (values == 0).all(axis=0)
        np.testing.assert_array_equal(values == 0, frames[:, None] | bands)
        assert stretches(frames) <= 2 >= stretches(bands)
        counts.append((frames.sum(), bands.sum()))
    assert (np.max(counts, axis=0) <= (40, 12)).all()
    assert (np.max(counts, axis=0) > (35, 10)).all()
    frames, bands = np.mean(counts, axis=0)
    assert 18 < frames < 20
    assert 5 < bands < 6


def test_masks_change_nothing_else(make: Make) -> None:
    plain, masked = (
        [Examples(job.dataset, job.fold, voices=job.voices).batch(e, 0) for e in (0, 9)]
        for job in (make(**VARIED), make(**VARIED, masks=1))
    )
    hidden = 0
    for (rows, labels), (seen, same) in zip(plain, masked, strict=True):
        np.testing.assert_array_equal(labels, same)
        np.testing.assert_array_equal(seen, np.where(seen == 0, 0, rows))
        hidden += np.sum(seen == 0)
    assert 0.05 < hidden / sum(rows.size for rows, _ in plain) < 0.8


def test_half_of_the_examples_are_heard_in_a_room(make: Make) -> None:
    """With the soft label of the original."""
    job = make(speeds="0.84,1.19", rooms=2, teacher="functionals", teacher_share=1.0)
    labels = soft_labels(job)
    assert labels is not None
    assert len(labels) == 3
    examples = Examples(job.dataset, job.fold, soft_labels=labels)
    copies = np.concatenate([examples.draws(epoch).copies for epoch in range(9)])
    assert set(np.unique(copies)) == {0, 1, 2, 3, 4}
    assert np.mean(copies > 2) == pytest.approx(0.5, abs=0.1)
    draws, (features, found) = examples.draws(0), examples.batch(0, 0)
    sources = (job.dataset.features, *job.dataset.copies)
    for row, label, number, copy in zip(
        features, found, draws.numbers[0], draws.copies[0], strict=True
    ):
        np.testing.assert_array_equal(row, sources[copy][np.array([number])][0])
        np.testing.assert_array_equal(label, labels[copy if copy < 3 else 0, number])


def test_a_room_is_in_the_recording_and_not_in_what_pads_it(make: Make) -> None:
    job = make(rooms=1, duration_s=3.0, input_type="spectrogram")
    original, copy = (
        source[np.array([0])][0, :, :, 0]
        for source in (job.dataset.features, *job.dataset.copies)
    )
    padded = original.max(axis=1) == original.min()
    assert 0.2 < padded.mean() < 0.8
    assert (copy[padded] == copy.min()).all()
    assert np.median(copy[~padded]) > np.median(original[~padded])


def test_one_of_an_utterances_overlapping_segments_trains(make: Make) -> None:
    job = make(segment_mode=2, duration_s=0.5, feature_scaling="voice", batch_size=8)
    dataset, train = job.dataset, job.fold.train
    examples = Examples(dataset, job.fold, voices=job.voices)
    owners = np.array(dataset.segments.utterance_ids)
    assert examples.steps == len(train) // 8 + 1
    assert len(dataset.numbers_of(train)) > 2 * len(train)
    drawn = [examples.draws(epoch).numbers.ravel() for epoch in range(40)]
    in_one_pass = np.concatenate(drawn)[: len(train)]
    assert sorted(owners[in_one_pass]) == sorted(train)
    everything, seen = set(dataset.numbers_of(train)), set(np.concatenate(drawn))
    assert seen <= everything
    assert len(seen) > 0.8 * len(everything)
    numbers = examples.draws(0).numbers[0]
    np.testing.assert_array_equal(examples.batch(0, 0)[1], dataset.labels[numbers])
    assert {m.recordings for m in dataset.moments[0].values()} == {1}


def test_faster_is_shorter_and_higher(make: Make) -> None:
    job = make(speeds="0.5,2.0", duration_s=1.5, input_type="spectrogram")
    sources = (job.dataset.features, *job.dataset.copies)
    lengths, centres = [], []
    for source in sources:
        power = source[np.array([0])][0, :, :, 0] ** 2
        lengths.append(np.sum(power.sum(axis=1) > power.sum(axis=1).max() * 1e-4))
        spectrum = power.sum(axis=0)
        centres.append(spectrum @ np.arange(len(spectrum)) / spectrum.sum())
    original, slow, fast = range(3)
    assert lengths[fast] < lengths[original] <= lengths[slow]
    assert centres[slow] < centres[original] < centres[fast]


def test_the_linear_model_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 60)
    values = random.normal(size=(60, 20)) + labels[:, None]
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
    expected = theirs.fit(values, labels).predict_proba(values)
    weights, bias = fit_linear(values, labels, 3)
    found = softmax(values @ weights + bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    weights, bias = fit_linear(values[labels != 1], labels[labels != 1], 3)
    missing = softmax(values @ weights + bias)
    assert np.all(missing[:, 1] == 0.0)
    np.testing.assert_allclose(missing.sum(axis=1), 1.0)


def test_a_linear_model_uses_what_is_known_of_a_voice(tmp_path: Path) -> None:
    """Voices differ by an offset that is as large as the classes differ."""
    random = np.random.default_rng(2)
    speakers, labels = np.repeat(np.arange(20), 30), np.tile([0, 1, 2], 200)
    voices = np.repeat(random.normal(size=(20, 20)) * 3, 30, axis=0)
    noise = random.normal(size=(600, 20)) * 2
    units = 10.0 ** np.arange(-10, 10)  # as different as functionals are
    values = (random.normal(size=(3, 20))[labels] + voices + noise) * units
    values = np.pad(values, ((0, 0), (0, NUM_FUNCTIONALS - 20)))
    train = speakers >= 8
    names = [str(speaker) for speaker in speakers[train]]
    model = fit_linear_model(values[None, train], names, labels[train], "abc")
    of_voice = [values[speakers == speaker] for speaker in range(8)]

    def right(model: LinearModel, count: int) -> float:
        known = [add([moments_of(row) for row in v[:count]]) for v in of_voice]
        if count == 0:
            known = [None] * len(of_voice)
        pairs = zip(of_voice, known, strict=True)
        found = [replace(model, voice=voice).predict(v) for v, voice in pairs]
        return float(np.mean([p.argmax(axis=1) == labels[:30] for p in found]))

    assert right(model, 0) < 0.75 < right(model, 6) < right(model, 30)
    save_linear(tmp_path / "abc.npz", model)
    read = load_linear(tmp_path / "abc.npz", ("a", "b", "c"))
    assert right(read, 6) == right(model, 6)


def test_a_linear_model_hears_through_a_room() -> None:
    """What a room does to some functionals is no reason to rely on them."""
    random = np.random.default_rng(5)
    speakers, labels = np.repeat(np.arange(20), 30), np.tile([0, 1, 2], 200)
    clean = random.normal(size=(3, 20))[labels] + random.normal(size=(600, 20))
    moved = np.where(np.arange(20) < 10, 6.0 * random.normal(size=20), 0.0)
    copies = np.stack([clean + much * moved for much in (0.0, 1.0, 0.4, 0.8)])
    copies = np.pad(copies, ((0, 0), (0, 0), (0, NUM_FUNCTIONALS - 20)))
    train, names = speakers >= 8, [str(s) for s in speakers if s >= 8]

    def right(rooms: int, heard: int) -> float:
        used = copies[: 1 + rooms, train]
        model = fit_linear_model(used, names, labels[train], "abc", rooms=rooms)
        found = model.predict(copies[heard, ~train]).argmax(axis=1)
        return float(np.mean(found == labels[~train]))

    assert right(0, heard=0) > 0.95
    assert right(0, heard=3) < 0.75  # a room that no model has heard
    assert right(2, heard=3) > 0.95
    assert right(2, heard=0) > 0.95


def test_the_teacher_knows_nothing_of_test_speakers(make: Make) -> None:
    job = make(teacher="functionals")
    found = soft_labels(job)
    assert found is not None
    trained = job.dataset.numbers_of(job.fold.train)
    others = np.setdiff1d(np.arange(found.shape[1]), trained)
    assert np.isnan(found[:, others]).all()
    np.testing.assert_allclose(found[:, trained].sum(axis=2), 1.0, rtol=1e-5)
    functionals = job.dataset.functionals
    assert functionals is not None
    ids = [utterance.id for utterance in job.dataset.manifest.utterances]
    held_out = [ids.index(name) for name in job.fold.test]
    array = np.array(functionals.array)
    array[:, held_out] = 1e6
    vars(functionals)["array"] = array
    np.testing.assert_array_equal(soft_labels(job)[:, trained], found[:, trained])  # type: ignore[index]


def test_a_training_speaker_is_labelled_by_the_others(make: Make) -> None:
    job = make(teacher="functionals")
    speakers = {u.id: u.speaker for u in job.dataset.manifest.utterances}
    name = job.fold.train[0]
    same = [n for n in job.fold.train if speakers[n] == speakers[name]]
    before = soft_labels(job)
    assert before is not None
    labels = job.dataset.labels
    labels[job.dataset.numbers_of(same)] = 0  # wrong labels of this speaker
    after = soft_labels(job)
    numbers = job.dataset.numbers_of(same)
    np.testing.assert_array_equal(before[:, numbers], after[:, numbers])  # type: ignore[index]
    rest = job.dataset.numbers_of([n for n in job.fold.train if n not in same])
    assert not np.array_equal(before[:, rest], after[:, rest])  # type: ignore[index]
