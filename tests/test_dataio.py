"""From a manifest to batches: the stream, the caches, the features' file."""

import ctypes
import dataclasses
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import dataio
from dataio import (
    Dataset,
    epoch_batches,
    load_dataset,
    steps_per_epoch,
    training_batches,
)
from hyperparameters import INPUT_TYPES, InputError, Settings, from_flat
from utils.audio.copies import Copy
from utils.audio.features import compute_features
from utils.audio.functionals import functionals
from utils.convert import segments as segments_command
from utils.corpora import features as feature_files
from utils.corpora import segments as segment
from utils.corpora.features import cache_features
from utils.corpora.load import CACHES, DataPaths, read_corpus, select_part
from utils.corpora.segments import segment_corpus
from utils.files import PROJECT, json_sha256, sha256
from utils.model_files.linear import recording_functionals
from utils.protocols.folds import Fold, make_folds

RATE_HZ = 16_000


def toy_settings(**values: Any) -> Settings:
    """Segments of 0.25 s, batches of 4, two folds."""
    small = {"dataset_name": "TOY", "duration_s": 0.25, "batch_size": 4, "num_folds": 2}
    return from_flat({**small, **values})


def toy_dataset(data_paths: DataPaths, **values: Any) -> Dataset:
    """The toy corpus, loaded."""
    return load_dataset(toy_settings(**values), data_paths)


def write_toy(data_dir: Path) -> None:
    """`TOY`: two class folders of five recordings each, 0.2 to 0.6 s."""
    for number in range(10):
        folder = data_dir / "TOY" / ("calm", "angry")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        draw = np.random.RandomState(number)
        samples = draw.uniform(-0.5, 0.5, int((0.2 + 0.045 * number) * RATE_HZ))
        soundfile.write(folder / f"u{number}.wav", samples, RATE_HZ)


@pytest.fixture
def data_paths(tmp_path: Path) -> DataPaths:
    """A toy corpus, and a folder for what is derived of it."""
    write_toy(tmp_path / "corpora")
    return DataPaths(data_dir=tmp_path / "corpora", derived_dir=tmp_path / "derived")


def first_fold(dataset: Dataset) -> Fold:
    return make_folds(dataset.manifest.utterances, dataset.settings)[0]


@hypothesis_settings(deadline=None, max_examples=50)
@given(
    count=st.integers(1, 90),
    batch_size=st.integers(1, 40),
    fold=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_passes_run_on_from_epoch_to_epoch(
    count: int, batch_size: int, fold: int, seed: int
) -> None:
    """Every batch is full; the stream is one permutation after another."""
    settings = from_flat({"batch_size": batch_size, "seed": seed})
    numbers = np.arange(count) * 3 + 100
    epochs = [epoch_batches(numbers, settings, fold, epoch) for epoch in range(5)]
    for batches in epochs:
        assert batches.shape == (count // batch_size + 1, batch_size)
    stream = np.concatenate(epochs).ravel()
    for first in range(0, len(stream), count):
        one_pass = stream[first : first + count]
        assert len(set(one_pass)) == len(one_pass)
    times = Counter(stream.tolist())
    assert set(times) <= set(numbers.tolist())
    counts = [times[number] for number in numbers.tolist()]
    assert max(counts) - min(counts) <= 1


def test_the_order_depends_on_seed_fold_and_epoch_alone() -> None:
    numbers = np.arange(100)
    orders = {
        tuple(epoch_batches(numbers, from_flat({"seed": seed}), fold, epoch).ravel())
        for seed in (1, 2)
        for fold in (0, 1)
        for epoch in (0, 1, 2)
    }
    assert len(orders) == 12
    later = epoch_batches(numbers, Settings(), 0, 7)
    other = from_flat({"dropout": 0.1, "protocol": "speaker", "epochs": 8})
    np.testing.assert_array_equal(later, epoch_batches(numbers, other, 0, 7))
    moved = epoch_batches(numbers + 5, Settings(), 0, 7)
    np.testing.assert_array_equal(moved, later + 5)


def test_the_order_stays() -> None:
    """Stored results and unfinished runs are of this stream."""
    orders = [
        epoch_batches(np.arange(481), Settings(), 3, e).tolist() for e in (0, 299)
    ]
    assert json_sha256(orders)[:12] == "c299705e6352"
    assert steps_per_epoch(481, 32) == steps_per_epoch(480, 32) == 16  # as released


@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_the_three_caches_give_the_same_features(
    data_paths: DataPaths, input_type: str
) -> None:
    settings = toy_settings(input_type=input_type, segment_mode=0, rooms=2)
    disk, ram, none = (
        load_dataset(settings, dataclasses.replace(data_paths, cache=cache))
        for cache in CACHES
    )
    assert isinstance(disk.features.array, np.memmap)
    assert type(ram.features.array) is np.ndarray
    assert isinstance(none.features, feature_files.ComputedFeatures)
    count = len(disk.segments.paths)
    assert len(disk.features.array) == count > 10
    numbers = np.array([3, 0, 3, count - 1])
    for dataset in (disk, ram, none):
        found = dataset.features[numbers]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, disk.features[numbers])
        np.testing.assert_array_equal(dataset.labels, disk.labels)
        for copy, of_disk in zip(dataset.copies, disk.copies, strict=True):
            np.testing.assert_array_equal(copy[numbers], of_disk[numbers])
            assert not np.allclose(copy[numbers], found)
    for number, path in enumerate(disk.segments.paths):
        samples = soundfile.read(path)[0]
        wanted = compute_features(samples, settings.front_end)
        np.testing.assert_array_equal(disk.features[[number]][0], wanted)


def test_features_are_of_their_settings_and_format(
    data_paths: DataPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each front-end has its own file; other settings share one."""

    def number_of_files(**values: Any) -> int:
        dataset = toy_dataset(data_paths, **values)
        shape = dataset.settings.front_end.input_shape
        assert dataset.features[[0]].shape == (1, *shape)
        return len(list((data_paths.derived_dir / "features").glob("*.npy")))

    changes: list[dict[str, Any]] = [{}, {"epochs": 7}, {"window": "hamming"}]
    assert [number_of_files(**values) for values in changes] == [1, 1, 2]
    assert number_of_files(num_mfcc=20) == 3
    number = feature_files.FEATURES_FORMAT + 1
    monkeypatch.setattr(feature_files, "FEATURES_FORMAT", number)
    assert number_of_files() == 4


def npy(array: np.ndarray) -> bytes:
    """The content of a `.npy` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_only_a_changed_features_file_is_written_again(data_paths: DataPaths) -> None:
    """Even if it still is an array of the right shape; a killed run's is removed."""
    toy_dataset(data_paths)
    [path] = (data_paths.derived_dir / "features").glob("*.npy")
    whole, made_ns = path.read_bytes(), path.stat().st_mtime_ns
    left = path.with_name(f".{path.name}.0123abcd.part")
    other = path.with_name(f".other_{path.name}.0123abcd.part")
    for part in (left, other):
        part.write_bytes(b"half")
    toy_dataset(data_paths)
    assert path.stat().st_mtime_ns == made_ns
    assert not left.exists()
    assert other.exists(), "another run may be writing it"
    zeros = npy(np.zeros((10, 12, 40, 1), np.float32))
    assert len(zeros) == len(whole)
    flipped = bytes([*whole[:-1], whole[-1] ^ 1])
    for damaged in (b"", b"\x93NUMPY", zeros, flipped, whole[:1000], whole[:-1]):
        path.write_bytes(damaged)
        toy_dataset(data_paths)
        assert path.read_bytes() == whole
    digest = path.with_suffix(".sha256")
    for change in (digest.unlink, lambda: digest.write_bytes(b"\xff")):
        change()
        toy_dataset(data_paths)
        assert digest.read_text() == sha256(path)


def functionals_of(data_paths: DataPaths) -> Path:
    _, manifest = read_corpus("TOY", data_paths)
    derived = data_paths.derived_dir
    return feature_files.cache_functionals(manifest, toy_settings(), derived)


def test_functionals_are_those_of_what_is_heard_in_use(data_paths: DataPaths) -> None:
    _, manifest = read_corpus("TOY", data_paths)
    talk = np.random.RandomState(1).standard_normal(13 * 16_000) * np.arange(13 * 16e3)
    path = feature_files.cache_functionals(
        manifest, toy_settings(), data_paths.derived_dir, read=lambda *_: talk
    )
    heard = recording_functionals(talk, 16_000)
    np.testing.assert_allclose(np.load(path)[0, 0], heard, rtol=1e-3, atol=1e-4)
    whole = functionals(talk, 16_000)
    assert not np.allclose(whole, heard, rtol=1e-3, atol=1e-4)


def test_functionals_of_copies_are_in_order_and_in_the_room_of_the_voice(
    data_paths: DataPaths,
) -> None:
    _, manifest = read_corpus("TOY", data_paths)
    made = [
        feature_files.cache_functionals(
            manifest, toy_settings(rooms=rooms, speeds="0.8"), data_paths.derived_dir
        )
        for rooms in (0, 2)
    ]
    without, found = map(np.load, made)
    np.testing.assert_array_equal(found[:2], without)
    utterance, copies = manifest.utterances[3], (Copy(0.8), Copy(room=1), Copy(room=2))
    samples = soundfile.read(utterance.path)[0]
    for number, copy in enumerate(copies, 1):
        heard = copy.play(samples, 16_000, utterance.id, utterance.voice)
        wanted = functionals(heard, 16_000)
        np.testing.assert_allclose(found[number, 3], wanted, rtol=1e-3, atol=1e-4)


def features_of(data_paths: DataPaths) -> Path:
    return cache_features(
        segments_of(data_paths), toy_settings(), data_paths.derived_dir
    )


@pytest.mark.parametrize("made", [features_of, functionals_of])
def test_a_file_that_was_changed_or_is_none_is_written_again(
    data_paths: DataPaths, made: Callable[[DataPaths], Path]
) -> None:
    """Opening a pipe would wait forever, and a device has no end."""
    path = made(data_paths)
    digest, whole = path.with_suffix(".sha256"), path.read_bytes()
    zeros = npy(np.zeros_like(np.load(path)))
    for content in (zeros, whole[:-4], bytes([*whole[:-1], whole[-1] ^ 1])):
        path.write_bytes(content)
        assert made(data_paths).read_bytes() == whole
    for file in (path, digest):
        for replace in (os.mkfifo, lambda file: file.symlink_to("/dev/zero")):
            file.unlink()
            replace(file)
            assert made(data_paths).read_bytes() == whole
            assert digest.read_text() == sha256(path)


def segments_of(data_paths: DataPaths) -> segment.SegmentedCorpus:
    _, manifest = read_corpus("TOY", data_paths)
    return segment_corpus(manifest, toy_settings(), data_paths.derived_dir)


def test_the_segmenter_writes_what_training_finds(
    data_paths: DataPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        f"--data_dir={data_paths.data_dir}",
        f"--derived_dir={data_paths.derived_dir}",
    ]
    assert segments_command.main(["-dn", "TOY", "-id", "0.25", *folders]) == 0
    folder = data_paths.derived_dir / "TOY_0.25s_Segmented"
    assert capsys.readouterr().out.endswith(f"10 segments: {folder}\n")
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    assert len(written) == 10
    assert set(segments_of(data_paths).paths) == set(written)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_cut_features_file_is_not_left(data_paths: DataPaths) -> None:
    def until_stopped(items: Iterable[Any], **_: Any) -> Iterable[Any]:
        yield from list(items)[:3]
        raise KeyboardInterrupt

    segments = segments_of(data_paths)
    with pytest.raises(KeyboardInterrupt):
        cache_features(
            segments, toy_settings(), data_paths.derived_dir, progress=until_stopped
        )
    assert list((data_paths.derived_dir / "features").glob("*[!k]")) == []


@pytest.mark.parametrize("cache", CACHES)
def test_features_computed_from_replaced_segments_are_refused(
    data_paths: DataPaths, cache: str
) -> None:
    """Another run's segments lie in the same folder. A file of features needs none."""
    dataset = load_dataset(toy_settings(), dataclasses.replace(data_paths, cache=cache))
    dataset.check_segments()
    toy_dataset(data_paths, normalise_percentile=50.0)
    again = segments_of(data_paths)  # as a third run makes them: which were read?
    assert again.key == dataset.segments.key
    again.check_current()
    if cache == "None":
        with pytest.raises(InputError, match="replaced by another run"):
            dataset.check_segments()
    else:
        dataset.check_segments()


def test_segments_replaced_while_features_are_made_are_refused(
    data_paths: DataPaths,
) -> None:
    def while_another_starts(items: Iterable[Any], **_: Any) -> Iterable[Any]:
        yield from items
        without = dataclasses.replace(data_paths, cache="None")
        toy_dataset(without, normalise_percentile=50.0)

    segments, settings = segments_of(data_paths), toy_settings()
    with pytest.raises(InputError, match="replaced by another run"):
        cache_features(
            segments, settings, data_paths.derived_dir, progress=while_another_starts
        )
    assert list((data_paths.derived_dir / "features").glob("*.npy")) == []


def test_training_batches_are_the_training_utterances(data_paths: DataPaths) -> None:
    dataset = toy_dataset(data_paths, segment_mode=0)
    fold = first_fold(dataset)
    numbers = dataset.numbers_of(fold.train)
    owners = {dataset.segments.utterance_ids[number] for number in numbers}
    assert owners == set(fold.train)
    batches = list(training_batches(dataset, fold, range(1, 3)))
    assert len(batches) == 2 * steps_per_epoch(len(numbers), 4)
    order = np.concatenate(
        [epoch_batches(numbers, dataset.settings, 0, epoch) for epoch in (1, 2)]
    )
    for chosen, (features, labels) in zip(order, batches, strict=True):
        np.testing.assert_array_equal(features, dataset.features[chosen])
        np.testing.assert_array_equal(labels, dataset.labels[chosen])
        assert labels.dtype == np.int32


def test_labels_and_means_go_by_utterance(data_paths: DataPaths) -> None:
    dataset = toy_dataset(data_paths, segment_mode=0)
    classes = dataset.manifest.classes
    for path, label in zip(dataset.segments.paths, dataset.labels, strict=True):
        assert path.parent.name == classes[label]
    ids = [u.id for u in reversed(dataset.manifest.utterances)]
    values = dataset.numbers_of(ids).astype(np.float64)
    means = dataset.mean_over_segments(values, ids)
    wanted = [np.mean(dataset.segment_numbers[name]) for name in ids]
    assert max(len(numbers) for numbers in dataset.segment_numbers.values()) == 2
    np.testing.assert_allclose(means, wanted)


def test_parts_of_a_corpus(data_paths: DataPaths) -> None:
    """A part keeps all classes; its segments are found among those of the whole."""
    whole = toy_dataset(data_paths)
    utterances = tuple(
        dataclasses.replace(utterance, part=("impro", "script")[number % 5 > 2])
        for number, utterance in enumerate(whole.manifest.utterances)
    )
    manifest = dataclasses.replace(whole.manifest, utterances=utterances)
    assert select_part(manifest, "all") is manifest
    part = dataclasses.replace(whole, manifest=select_part(manifest, "script"))
    ids = [u.id for u in part.manifest.utterances]
    assert ids == [utterances[number].id for number in (3, 4, 8, 9)]
    is_inside = part.labels >= 0
    assert is_inside.nonzero()[0].tolist() == [3, 4, 8, 9]
    np.testing.assert_array_equal(part.labels[is_inside], whole.labels[is_inside])
    assert part.numbers_of(ids[::-1]).tolist() == [9, 8, 4, 3]
    with pytest.raises(
        InputError, match="TOY has no part 'impro': use --audio_type all"
    ):
        select_part(whole.manifest, "impro")


@pytest.mark.parametrize("cache", ["disk", "None"])
def test_the_tensorflow_pipeline_is_the_same_stream(
    data_paths: DataPaths, cache: str
) -> None:
    dataset = load_dataset(toy_settings(), dataclasses.replace(data_paths, cache=cache))
    fold, epochs = first_fold(dataset), range(2, 5)
    pipeline = dataio.tensorflow_pipeline(dataset, fold, epochs)
    wanted = list(training_batches(dataset, fold, epochs))
    assert pipeline.cardinality() == len(wanted)
    features_spec, labels_spec = pipeline.element_spec
    assert features_spec.shape == (4, *dataset.settings.front_end.input_shape)
    assert labels_spec.shape == (4,)
    for (features, labels), found in zip(
        wanted, pipeline.as_numpy_iterator(), strict=True
    ):
        np.testing.assert_array_equal(found[0], features)
        np.testing.assert_array_equal(found[1], labels)


def print_mapped(data_dir: str, derived_dir: str) -> None:
    """Whether 1 MiB is mapped: at first, after the pipeline, after `from_generator`."""
    import tensorflow as tf

    libc, count = ctypes.CDLL(None), ctypes.c_size_t
    fields = [(f"field{number}", count) for number in range(10)]
    libc.mallinfo2.restype = type(
        "Mallinfo2", (ctypes.Structure,), {"_fields_": fields}
    )
    libc.malloc.restype = ctypes.c_void_p

    def is_mapped() -> bool:
        before = libc.mallinfo2().field4  # bytes in mapped blocks (glibc's hblkhd)
        libc.malloc(1 << 20)
        return libc.mallinfo2().field4 > before

    paths = DataPaths(data_dir=Path(data_dir), derived_dir=Path(derived_dir))
    dataset = toy_dataset(paths)
    found = [is_mapped()]
    list(dataio.tensorflow_pipeline(dataset, first_fold(dataset), range(2)))
    found.append(is_mapped())
    spec = tf.TensorSpec(())
    list(tf.data.Dataset.from_generator(lambda: [1], output_signature=spec))
    print([*found, is_mapped()])


@pytest.mark.skipif(sys.platform != "linux", reason="calls glibc")
def test_the_pipeline_leaves_the_allocator_alone(data_paths: DataPaths) -> None:
    """TensorFlow's `from_generator`, the control, does not."""
    code = "import sys, test_dataio; test_dataio.print_mapped(*sys.argv[1:])"
    folders = [str(data_paths.data_dir), str(data_paths.derived_dir)]
    done = subprocess.run(
        [sys.executable, "-c", code, *folders],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]),
        },
    )
    assert done.stdout == "[False, False, True]\n", done.stderr[-2000:]
