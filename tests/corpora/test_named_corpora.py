"""RAVDESS, CREMA-D, TESS and SAVEE on trees of their documented names."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path

import pytest

from hyperparameters import InputError
from utils.corpora import MODULES, corpus_by_name, load_manifest
from utils.corpora.class_map import (
    COMMON_NAMES,
    class_map,
    common_names,
    shared_classes,
)
from utils.corpora.manifest import Manifest
from utils.corpora.user_corpus import find_corpus


def ravdess_names() -> Iterator[str]:
    """Speech of 24 actors: two statements, twice; neutral in one intensity."""
    fields = product(range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2))
    for actor, emotion, intensity, statement, take in fields:
        if (emotion, intensity) != (1, 2):
            numbers = (3, 1, emotion, intensity, statement, take, actor)
            name = "-".join(f"{number:02d}" for number in numbers)
            yield f"Actor_{actor:02d}/{name}.wav"


def crema_d_names() -> Iterator[str]:
    """91 actors, twelve sentences; one sentence in three intensities; 7442 files."""
    sentences = [
        *("IEO", "TIE", "IOM", "IWW", "TAI", "MTI"),
        *("IWL", "ITH", "DFA", "ITS", "TSI", "WSI"),
    ]
    emotions = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    for actor, emotion in product(range(1001, 1092), emotions):
        takes = [(sentence, "XX") for sentence in sentences]
        if emotion != "NEU":
            takes[0:1] = [("IEO", level) for level in ("LO", "MD", "HI")]
        # The corpus lacks 20 of the grid's 91 x 82 files.
        left_out = (5 if emotion == "NEU" else 3) if actor == 1019 else 0
        for sentence, level in takes[left_out:]:
            yield f"AudioWAV/{actor}_{sentence}_{emotion}_{level}.wav"


def tess_names() -> Iterator[str]:
    """Two actresses, 200 words, seven emotions; one name lacks an F."""
    words = ["bite", *map("".join, product("abcdef", repeat=3))]
    emotions = ["angry", "disgust", "fear", "happy", "neutral", "ps", "sad"]
    for speaker, emotion, word in product(("OAF", "YAF"), emotions, words[:200]):
        is_typo = (speaker, emotion, word) == ("OAF", "neutral", "bite")
        yield f"{speaker}_{emotion}/{'OA' if is_typo else speaker}_{word}_{emotion}.wav"


def savee_names() -> Iterator[str]:
    """Four men, 15 sentences of each emotion, 30 neutral ones."""
    emotions = ["a", "d", "f", "h", "n", "sa", "su"]
    for speaker, emotion in product(("DC", "JE", "JK", "KL"), emotions):
        for number in range(1, 31 if emotion == "n" else 16):
            yield f"AudioData/{speaker}/{emotion}{number:02d}.wav"


NAMES_OF: dict[str, Callable[[], Iterator[str]]] = {
    "RAVDESS": ravdess_names,
    "CREMA-D": crema_d_names,
    "TESS": tess_names,
    "SAVEE": savee_names,
}
FOUR = ("anger", "disgust", "fear", "happiness")
COUNTS = {  # in the order of the classes
    "RAVDESS": {
        "neutral": 96,
        **dict.fromkeys(("calm", "happiness", "sadness", "anger"), 192),
        **dict.fromkeys(("fear", "disgust", "surprise"), 192),
    },
    "CREMA-D": dict.fromkeys(FOUR, 1271) | {"neutral": 1087, "sadness": 1270},
    "TESS": dict.fromkeys((*FOUR, "neutral", "surprise", "sadness"), 400),
    "SAVEE": dict.fromkeys((*FOUR, "neutral", "sadness", "surprise"), 60)
    | {"neutral": 120},
}
SPEAKERS = {"RAVDESS": 24, "CREMA-D": 91, "TESS": 2, "SAVEE": 4}


def write_files(folder: Path, names: Iterable[str]) -> None:
    """Files by these names; readers look at no sample."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def read(name: str, data_dir: Path) -> Manifest:
    return load_manifest(corpus_by_name(name), data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    for name, names in NAMES_OF.items():
        write_files(folder / name, names())
    return folder


@pytest.mark.parametrize("name", NAMES_OF)
def test_documented_names_give_the_documented_counts(name, data_dir):
    manifest, total = read(name, data_dir), sum(COUNTS[name].values())
    assert len({u.speaker for u in manifest.utterances}) == SPEAKERS[name]
    assert manifest.classes == tuple(COUNTS[name])
    assert Counter(u.label for u in manifest.utterances) == COUNTS[name]
    assert manifest.info[0].startswith(
        f"{name}: {total} utterances ({total} documented): "
    )
    assert not [line for line in manifest.warnings if "differs" in line]


@pytest.mark.parametrize(
    ("name", "uid", "label", "speaker", "sentence"),
    [
        ("RAVDESS", "03-01-06-01-02-01-12", "fear", "12", "02"),
        ("RAVDESS", "03-01-01-01-01-02-03", "neutral", "03", "01"),
        ("CREMA-D", "1001_DFA_ANG_XX", "anger", "1001", "DFA"),
        ("CREMA-D", "1091_IEO_SAD_HI", "sadness", "1091", "IEO"),
        ("TESS", "YAF_aaa_ps", "surprise", "YAF", "aaa"),
        ("TESS", "OA_bite_neutral", "neutral", "OAF", "bite"),
        ("SAVEE", "DC_sa03", "sadness", "DC", "sa03"),
        ("SAVEE", "KL_a15", "anger", "KL", "a15"),
    ],
)
def test_label_speaker_and_sentence_of_single_files(
    name, uid, label, speaker, sentence, data_dir
):
    [found] = [u for u in read(name, data_dir).utterances if u.id == uid]
    assert (found.label, found.speaker, found.sentence) == (label, speaker, sentence)


def test_savee_without_folders_is_the_same_corpus(data_dir, tmp_path):
    flat = [name.replace("AudioData/", "").replace("/", "_") for name in savee_names()]
    write_files(tmp_path / "SAVEE", flat)
    assert read("SAVEE", data_dir).digest == read("SAVEE", tmp_path).digest


def test_files_that_are_not_speech_are_passed_over_with_a_warning(data_dir, tmp_path):
    silent = read("CREMA-D", data_dir)
    assert "1076_MTI_SAD_XX" not in {u.id for u in silent.utterances}
    assert "1 passed over (not part of its speech)" in silent.warnings[0]
    song = "Actor_01/03-02-03-01-01-01-01.wav"
    write_files(tmp_path / "RAVDESS", [*ravdess_names(), song, "Actor_01/._x.wav"])
    manifest = read("RAVDESS", tmp_path)
    assert len(manifest.utterances) == 1440
    assert len(manifest.warnings) == 1
    assert manifest.warnings[0].endswith(Path(song).name)


def test_a_tree_unpacked_twice_counts_once(tmp_path):
    names = list(savee_names())
    write_files(tmp_path / "SAVEE", [*names, *(f"copy/{name}" for name in names)])
    manifest = read("SAVEE", tmp_path)
    assert len(manifest.utterances) == 480
    assert "480 passed over (duplicates of other files)" in manifest.warnings[0]
    (tmp_path / "SAVEE/copy/AudioData/DC/a01.wav").write_text("another recording")
    with pytest.raises(InputError, match="two files are called DC_a01"):
        read("SAVEE", tmp_path)


@pytest.mark.parametrize("name", NAMES_OF)
def test_an_empty_folder_is_refused_and_a_missing_file_counted(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name}: no \.wav file"):
        read(name, tmp_path)
    write_files(tmp_path / name, list(NAMES_OF[name]())[1:])
    [first, *_] = COUNTS[name]
    message = f"the count of {first} differs from the documented one"
    assert message in read(name, tmp_path).warnings[0]


@pytest.mark.parametrize(
    ("name", "stranger"),
    [
        ("RAVDESS", "03-01-09-01-02-01-12.wav"),
        ("RAVDESS", "03-01-06-01-02-01-25.wav"),
        ("CREMA-D", "1001_DFA_JOY_XX.wav"),
        ("TESS", "OAF_back_bored.wav"),
        ("SAVEE", "XX/a01.wav"),
    ],
)
def test_a_name_outside_the_scheme_is_refused(name, stranger, tmp_path):
    write_files(tmp_path / name, [next(NAMES_OF[name]()), stranger])
    with pytest.raises(InputError, match=f"'{Path(stranger).name}' fits no class"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", MODULES)
def test_each_registered_corpus_states_its_licence_source_and_common_names(name):
    corpus, merged = corpus_by_name(name), class_map()
    assert corpus.name == name
    assert corpus.licence
    assert corpus.how_to_get or corpus.fetch
    for label, common in corpus.class_map.items():
        assert common in COMMON_NAMES
        assert merged[label] == common  # no two corpora disagree
    assert all(merged[label] == label for label in COUNTS.get(name, ()))


@pytest.mark.parametrize(
    ("folder", "levels", "deep"),
    [
        ("RAVDESS/Actor_01", 25, "a" * 200),
        ("IEMOCAP/Session1/sentences/wav", 25, "a" * 200),
        ("MINE/joy", 3000, "a"),
    ],
)
def test_folders_nested_deeper_than_the_system_allows_are_one_line(
    tmp_path, make_deep, folder, levels, deep
):
    name = folder.partition("/")[0]
    write_files(tmp_path, ["MINE/sad/1.wav"])
    make_deep(tmp_path / folder, levels, deep)
    with pytest.raises(InputError, match="holds folders nested too deeply") as caught:
        load_manifest(find_corpus(name, tmp_path), tmp_path)
    assert len(str(caught.value)) < 300


def test_folders_nested_deeper_than_python_calls_are_read(tmp_path, make_deep):
    path = make_deep(tmp_path / "MINE/sad", 1200)
    write_files(tmp_path, ["MINE/joy/1.wav"])
    manifest = load_manifest(find_corpus("MINE", tmp_path), tmp_path)
    assert path in {utterance.path for utterance in manifest.utterances}


TOY_MODULE = """
from utils.corpora.file_names import NamingScheme

CORPUS = NamingScheme(
    pattern=r"(?P<emotion>[jc])(?P<speaker>\\d)(?P<sentence>)",
    emotions={"j": ("joyful", 2), "c": ("calm", 1)},
    example="j1.wav",
).corpus("TOY", class_map={"joyful": "happiness"})
"""


def test_a_corpus_is_added_by_one_file_and_one_registry_line(tmp_path, monkeypatch):
    (tmp_path / "toy_corpus.py").write_text(TOY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(MODULES, "TOY", "toy_corpus")
    write_files(tmp_path / "TOY", ["j1.wav", "sub/j2.wav", "c1.wav"])
    manifest = read("TOY", tmp_path)
    assert manifest.info == (
        "TOY: 3 utterances (3 documented): joyful 2 (2), calm 1 (1)",
    )
    shared = shared_classes(("neutral", "happiness", "calm"), manifest.classes)
    assert shared.pairs == (("happiness", "joyful"), ("calm", "calm"))


def test_words_of_a_name_are_joined_in_one_way():
    names = ["Very Happy", "very_happy", "VERY-HAPPY", "--", "-", "+", "-1", "1", "a_"]
    plain = ["very_happy"] * 3 + ["--", "-", "+", "-1", "1", "a_"]
    assert common_names(names) == plain
    assert common_names(["Anxiety Fear", "NEUTRAL "]) == ["fear", "neutral"]
    spelled = ("Anxiety-Fear", "anger")
    pairs = shared_classes(("anger", "anxiety_fear"), spelled).pairs
    assert pairs == (("anger", "anger"), ("anxiety_fear", "Anxiety-Fear"))


def test_classes_are_paired_by_their_common_or_their_own_name():
    emo_db = ("boredom", "sadness", "happiness", "anxiety_fear", "neutral", "anger")
    own = ("Angry", "calm", "fear", "happy", "neutral", "weird")
    pairs, model_only, corpus_only = shared_classes(emo_db, own)
    assert pairs == (
        ("happiness", "happy"),
        ("anxiety_fear", "fear"),
        ("neutral", "neutral"),
        ("anger", "Angry"),
    )
    assert model_only == ("boredom", "sadness")
    assert corpus_only == ("calm", "weird")
    unknown = shared_classes(("alärm", "Rest", "x"), ("rest", "ala\u0308rm"))
    assert unknown.pairs == (("alärm", "ala\u0308rm"), ("Rest", "rest"))


@pytest.mark.parametrize(
    ("model", "corpus", "message"),
    [
        (("anger", "calm"), ("anger", "fear"), "share 1; at least two are needed"),
        (("anger", "joy", "happy"), ("anger", "joy"), "joy, happy of the model all"),
        (("anger", "joy"), ("sad", "sadness"), "sad, sadness of the corpus all mean"),
    ],
)
def test_classes_that_cannot_be_paired_are_refused(model, corpus, message):
    with pytest.raises(InputError, match=message):
        shared_classes(model, corpus)
