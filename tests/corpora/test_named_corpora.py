"""RAVDESS, CREMA-D, TESS and SAVEE on trees of their documented names."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperparameters import InputError
from utils.corpora import MODULES, corpus_by_name, load_manifest
from utils.corpora.class_map import COMMON_NAMES, class_map, shared_classes
from utils.corpora.manifest import Manifest

SIX = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
EMOTIONS_OF = {
    "RAVDESS": (
        *("neutral", "calm", "happiness", "sadness"),
        *("anger", "fear", "disgust", "surprise"),
    ),
    "CREMA-D": SIX,
    "TESS": (*SIX[:5], "surprise", "sadness"),
    "SAVEE": (*SIX, "surprise"),
}


def ravdess_names() -> Iterator[str]:
    """Speech of 24 actors: two statements, twice; neutral in one intensity."""
    for actor, emotion in itertools.product(range(1, 25), range(1, 9)):
        intensities = (1,) if emotion == 1 else (1, 2)
        for intensity, statement, take in itertools.product(
            intensities, (1, 2), (1, 2)
        ):
            fields = (3, 1, emotion, intensity, statement, take, actor)
            name = "-".join(f"{field:02d}" for field in fields)
            yield f"Actor_{actor:02d}/{name}.wav"


def crema_d_names() -> Iterator[str]:
    """91 actors, twelve sentences; one sentence in three intensities; 7442 files."""
    sentences = [
        "IEO",
        "TIE",
        "IOM",
        "IWW",
        "TAI",
        "MTI",
        "IWL",
        "ITH",
        "DFA",
        "ITS",
        "TSI",
        "WSI",
    ]
    for actor, emotion in itertools.product(
        range(1001, 1092), ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    ):
        takes = [(sentence, "XX") for sentence in sentences]
        if emotion != "NEU":
            takes[0:1] = [("IEO", level) for level in ("LO", "MD", "HI")]
        # The corpus lacks 20 of the grid's 91 x 82 files.
        left_out = (5 if emotion == "NEU" else 3) if actor == 1019 else 0
        for sentence, level in takes[left_out:]:
            yield f"AudioWAV/{actor}_{sentence}_{emotion}_{level}.wav"


def tess_names() -> Iterator[str]:
    """Two actresses, 200 words, seven emotions; one name lacks an F."""
    words = ["back", "bite"] + [
        f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(198)
    ]
    emotions = ["angry", "disgust", "fear", "happy", "neutral", "ps", "sad"]
    for speaker, emotion, word in itertools.product(("OAF", "YAF"), emotions, words):
        is_typo = (speaker, emotion, word) == ("OAF", "neutral", "bite")
        yield f"{speaker}_{emotion}/{'OA' if is_typo else speaker}_{word}_{emotion}.wav"


def savee_names() -> Iterator[str]:
    """Four men, 15 sentences of each emotion, 30 neutral ones."""
    emotions = ["a", "d", "f", "h", "n", "sa", "su"]
    for speaker, emotion in itertools.product(("DC", "JE", "JK", "KL"), emotions):
        for number in range(1, 31 if emotion == "n" else 16):
            yield f"AudioData/{speaker}/{emotion}{number:02d}.wav"


NAMES_OF: dict[str, Callable[[], Iterator[str]]] = {
    "RAVDESS": ravdess_names,
    "CREMA-D": crema_d_names,
    "TESS": tess_names,
    "SAVEE": savee_names,
}


def write_files(folder: Path, names: Iterator[str] | list[str]) -> None:
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


@pytest.mark.parametrize(
    ("name", "speakers", "counts"),
    [
        ("RAVDESS", 24, [96, *[192] * 7]),
        ("CREMA-D", 91, [1271, 1271, 1271, 1271, 1087, 1270]),
        ("TESS", 2, [400] * 7),
        ("SAVEE", 4, [60, 60, 60, 60, 120, 60, 60]),
    ],
)
def test_documented_names_give_the_documented_counts(
    name: str, speakers: int, counts: list[int], data_dir: Path
) -> None:
    manifest, utterances = read(name, data_dir), sum(counts)
    assert len(manifest.utterances) == utterances
    assert len({u.speaker for u in manifest.utterances}) == speakers
    assert manifest.classes == EMOTIONS_OF[name]
    found = Counter(u.label for u in manifest.utterances)
    assert [found[label] for label in manifest.classes] == counts
    assert manifest.info[0].startswith(
        f"{name}: {utterances} utterances ({utterances} documented): "
    )
    assert not [line for line in manifest.warnings if "differs" in line]


@pytest.mark.parametrize(
    ("name", "uid", "label", "speaker", "sentence"),
    [
        ("RAVDESS", "03-01-06-01-02-01-12", "fear", "12", "02"),
        ("RAVDESS", "03-01-01-01-01-02-03", "neutral", "03", "01"),
        ("CREMA-D", "1001_DFA_ANG_XX", "anger", "1001", "DFA"),
        ("CREMA-D", "1091_IEO_SAD_HI", "sadness", "1091", "IEO"),
        ("TESS", "YAF_back_ps", "surprise", "YAF", "back"),
        ("TESS", "OA_bite_neutral", "neutral", "OAF", "bite"),
        ("SAVEE", "DC_sa03", "sadness", "DC", "sa03"),
        ("SAVEE", "KL_a15", "anger", "KL", "a15"),
    ],
)
def test_label_speaker_and_sentence_of_single_files(
    name: str, uid: str, label: str, speaker: str, sentence: str, data_dir: Path
) -> None:
    [found] = [u for u in read(name, data_dir).utterances if u.id == uid]
    assert (found.label, found.speaker, found.sentence) == (label, speaker, sentence)


def test_savee_without_folders_is_the_same_corpus(
    data_dir: Path, tmp_path: Path
) -> None:
    flat = [name.replace("AudioData/", "").replace("/", "_") for name in savee_names()]
    write_files(tmp_path / "SAVEE", flat)
    one, other = read("SAVEE", data_dir), read("SAVEE", tmp_path)
    assert [(u.id, u.label, u.speaker) for u in one.utterances] == [
        (u.id, u.label, u.speaker) for u in other.utterances
    ]


def test_files_that_are_not_speech_are_passed_over_with_a_warning(
    data_dir: Path, tmp_path: Path
) -> None:
    silent = read("CREMA-D", data_dir)
    assert "1076_MTI_SAD_XX" not in {u.id for u in silent.utterances}
    assert "1 passed over (not part of its speech)" in silent.warnings[0]
    song = "Actor_01/03-02-03-01-01-01-01.wav"
    write_files(tmp_path / "RAVDESS", [*ravdess_names(), song, "Actor_01/._x.wav"])
    manifest = read("RAVDESS", tmp_path)
    assert len(manifest.utterances) == 1440
    assert len(manifest.warnings) == 1
    assert manifest.warnings[0].endswith(Path(song).name)


def test_a_tree_unpacked_twice_counts_once(tmp_path: Path) -> None:
    names = list(savee_names())
    write_files(tmp_path / "SAVEE", [*names, *(f"copy/{name}" for name in names)])
    manifest = read("SAVEE", tmp_path)
    assert len(manifest.utterances) == 480
    assert "480 passed over (duplicates of other files)" in manifest.warnings[0]
    (tmp_path / "SAVEE/copy/AudioData/DC/a01.wav").write_text("another recording")
    with pytest.raises(InputError, match="two files are called DC_a01"):
        read("SAVEE", tmp_path)


@pytest.mark.parametrize("name", NAMES_OF)
def test_a_missing_file_is_counted(name: str, tmp_path: Path) -> None:
    names = list(NAMES_OF[name]())
    write_files(tmp_path / name, names[1:])
    manifest = read(name, tmp_path)
    lost = EMOTIONS_OF[name][0]
    assert (
        f"the count of {lost} differs from the documented one" in manifest.warnings[0]
    )


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
def test_a_name_outside_the_scheme_is_refused(
    name: str, stranger: str, tmp_path: Path
) -> None:
    write_files(tmp_path / name, [next(NAMES_OF[name]()), stranger])
    with pytest.raises(InputError, match=f"{Path(stranger).name} does not follow"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", NAMES_OF)
def test_an_empty_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: no WAV file"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", [*NAMES_OF, "IEMOCAP", "IEMOCAP-HAPPINESS"])
def test_licence_and_source_are_stated(name: str) -> None:
    corpus = corpus_by_name(name)
    assert corpus.name == name
    assert corpus.licence
    assert corpus.how_to_get


TOY_MODULE = """
from utils.corpora import Corpus
from utils.corpora.file_names import NamingScheme

NAMES = NamingScheme(
    corpus="TOY",
    pattern=r"(?P<emotion>[jc])(?P<speaker>\\d)(?P<sentence>)",
    emotions={"j": ("joyful", 2), "c": ("calm", 1)},
    example="j1.wav",
)
CORPUS = Corpus(
    name="TOY",
    folder_names=("TOY",),
    read=NAMES.read,
    class_map={"joyful": "happiness"},
)
"""


def test_a_corpus_is_added_by_one_file_and_one_registry_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_corpus.py").write_text(TOY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(MODULES, "TOY", "toy_corpus")
    write_files(tmp_path / "TOY", ["j1.wav", "sub/j2.wav", "c1.wav"])
    manifest = read("TOY", tmp_path)
    assert manifest.info == (
        "TOY: 3 utterances (3 documented): joyful 2 (2), calm 1 (1)",
    )
    emo_db = ("neutral", "happiness", "calm")
    assert shared_classes(emo_db, manifest.classes).pairs == (
        ("happiness", "joyful"),
        ("calm", "calm"),
    )


def test_every_registered_class_has_one_common_name() -> None:
    merged = class_map()
    for name in MODULES:
        for label, common in corpus_by_name(name).class_map.items():
            assert common in COMMON_NAMES
            assert merged[label] == common  # no two corpora disagree
    for labels in EMOTIONS_OF.values():
        assert {merged[label] for label in labels} == set(labels)


def test_classes_are_paired_by_their_common_name() -> None:
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


def test_classes_outside_the_map_are_paired_by_their_own_name() -> None:
    assert shared_classes(("alarm", "rest", "x"), ("rest", "alarm")).pairs == (
        ("alarm", "alarm"),
        ("rest", "rest"),
    )


@pytest.mark.parametrize(
    ("model", "corpus", "message"),
    [
        (("anger", "calm"), ("anger", "fear"), "share 1; at least two are needed"),
        (("anger", "joy", "happy"), ("anger", "joy"), "joy, happy of the model all"),
        (("anger", "joy"), ("sad", "sadness"), "sad, sadness of the corpus all mean"),
    ],
)
def test_classes_that_cannot_be_paired_are_refused(
    model: tuple[str, ...], corpus: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        shared_classes(model, corpus)
