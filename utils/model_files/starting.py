"""The model that training starts from, and what it was trained on.

`--start_from` takes a run folder, the `.keras` file of a run, or an exported float32
`.tflite` file. Only descriptions are read here; `utils.training.start` reads weights.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperparameters import FrontEnd, InputError, Settings, to_flat
from utils.cli import printable
from utils.corpora import MODULES, corpus_by_name, have_same_recordings
from utils.corpora.class_map import common_names
from utils.corpora.manifest import Manifest
from utils.files import sha256
from utils.model_files.class_names import check_class_names
from utils.model_files.metadata import check_model_file, read_metadata
from utils.runs.folder import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    read_config,
    settings_of,
    weights_path,
)
from utils.runs.json_files import RECORD, read_object
from utils.runs.records import chosen_fold, load_run

DIGITS = 16  # of the weights' SHA-256, in the settings of a run
FREE = ("duration_s",)  # the network takes segments of any length
ALLOWED = (
    "a run folder, the .keras file in one, or a float32 .tflite that takes features"
)


@dataclass(frozen=True, kw_only=True)
class StartingModel:
    """A model file with its description.

    Attributes:
        path: `.keras` or `.tflite` file, absolute.
        digest: Start of the SHA-256 of its content.
        classes: Class names in the order of its outputs.
        settings: What a run that starts from it must share with it, by name.
        corpus: Name of the corpus that it was trained on.
        trained: Utterances that trained it or chose its epoch; None if not recorded.
        is_on_all: Every utterance of its corpus trained it.
        is_first: It did not start from another model itself.
    """

    path: Path
    digest: str
    classes: tuple[str, ...]
    settings: dict[str, Any]
    corpus: str
    trained: frozenset[str] | None = None
    is_on_all: bool = False
    is_first: bool = True

    def columns(self, classes: tuple[str, ...]) -> list[int | None]:
        """The output that each class takes over, by common names; None for a new one.

        Args:
            classes: Of the run that starts from this model.
        """
        own = common_names(self.classes)
        return [own.index(n) if n in own else None for n in common_names(classes)]

    def describe(self) -> dict[str, str]:
        """For configuration, records and model files: file, digest, training corpus."""
        folder = next(
            (p for p in [*self.path.parents][:3] if (p / CONFIG_NAME).exists()), None
        )
        run = "" if folder is None else f"{folder.name}/"
        return {
            "file": printable(run + self.path.name),
            "sha256": self.digest,
            "corpus": self.corpus,
        }

    def lines(self, classes: tuple[str, ...]) -> list[str]:
        """What the terminal shows: which outputs are kept and which are new."""
        pairs = list(zip(classes, self.columns(classes), strict=True))
        kept = [label for label, column in pairs if column is not None]
        new = [label for label, column in pairs if column is None]
        text = f"starts from {self.describe()['file']}, trained on {self.corpus}"
        text += f"; its outputs for {', '.join(kept)}" if kept else ""
        return [text + (f"; new outputs for {', '.join(new)}" if new else "")]

    def check(self, settings: Settings) -> None:
        """Check that a run's front-end is that of the model.

        Raises:
            InputError: A setting differs.
        """
        found = to_flat(settings)
        for name, value in self.settings.items():
            is_scaled = name == "feature_scaling" and "none" not in (value, found[name])
            if found[name] != value and name not in FREE and not is_scaled:
                raise InputError(
                    f"--{name} must be {value}, as the starting model has it, got "
                    f"{found[name]}; leave the option out"
                )

    def heard(self, manifest: Manifest) -> frozenset[str] | None:
        """The utterances of a corpus that trained this model; None if not recorded.

        If it was trained on other recordings of a corpus of this name, such as another
        part, nothing is recorded of their speakers.

        Files of a published corpus are recognised by their content under any name.
        """
        if not self.is_on_all and self.trained is None:
            return None
        if self.corpus == manifest.corpus:
            ids = {u.id for u in manifest.utterances}
            common = ids if self.trained is None else ids & self.trained
            return frozenset(common) or None
        archive = (
            corpus_by_name(self.corpus).archive if self.corpus in MODULES else None
        )
        if archive is not None:
            published = {
                Path(path).stem: value for path, value in archive.hashes.items()
            }
            used = published.keys() if self.trained is None else self.trained
            contents = {published.get(name) for name in used}
            hashes = manifest.content_hashes
            return frozenset(name for name in hashes if hashes[name] in contents)
        both = (self.corpus, manifest.corpus)
        is_other = set(both) <= set(MODULES) and not have_same_recordings(*both)
        return frozenset() if is_other else None

    def notes(self, manifest: Manifest) -> list[str]:
        """What the audit says of this model, one line each."""
        heard = self.heard(manifest)
        if heard is None:
            note = (
                f"the starting model was trained on {self.corpus}; its record does not "
                "say whether these recordings or speakers were among them"
            )
        else:
            speakers = {u.speaker for u in manifest.utterances} - {None}
            known = {u.speaker for u in manifest.utterances if u.id in heard} - {None}
            of = f" and {len(known)} of {len(speakers)} speakers" if speakers else ""
            note = (
                f"the starting model, trained on {self.corpus}, has heard {len(heard)} "
                f"of {len(manifest.utterances)} utterances{of}"
            )
        second = "it started from another model itself; what that heard is unknown"
        return [note] if self.is_first else [note, second]


def read_starting_model(path: Path) -> StartingModel:
    """Read the description of a starting model.

    Args:
        path: Run folder, `.keras` file in a run folder, or `.tflite` file.

    Raises:
        InputError: It is none of these, or lacks a description.
    """
    path = path.absolute()
    if path.is_dir():
        path = weights_path(path, chosen_fold(load_run(path))[0])
    if path.suffix == ".tflite":
        return _from_tflite(path)
    if path.name != WEIGHTS_NAME or not path.is_file():
        raise InputError(f"--start_from must be {ALLOWED}, got {path}")
    check_model_file(path)
    folder = path.parent.parent.parent  # of `/weights.keras`, the root
    if not (folder / CONFIG_NAME).exists():  # before everything in it is looked at
        raise InputError(f"{folder} is not a run folder: {CONFIG_NAME} is missing")
    config = read_config(folder)
    record = read_object(path.parent.parent / f"{path.parent.name}.json", RECORD)
    settings = settings_of(config)
    flat = to_flat(settings)
    shared = {**asdict(settings.front_end)}
    shared |= {name: flat[name] for name in ("path_kernels", "feature_scaling")}
    used = [*record.get("train", ()), *record.get("validation", ())]
    if record["chosen_on"] == "test":
        used += record["test"]
    return _model(
        path,
        config["classes"],
        settings=shared,
        corpus=config["corpus"]["name"],
        trained=frozenset(used) if record.get("train") else None,
        is_first=flat["start_from"] == "none",
    )


def _from_tflite(path: Path) -> StartingModel:
    """A starting model without its record: an exported file."""
    metadata = read_metadata(path)
    kind = (metadata or {}).get("precision"), (metadata or {}).get("input")
    if metadata is None or kind != ("float32", "features"):
        raise InputError(f"--start_from must be {ALLOWED}, got {path}")
    scaling = "corpus" if metadata.get("voices") else "none"
    return _model(
        path,
        metadata["classes"],
        settings={
            **asdict(FrontEnd(**metadata["front_end"])),
            "feature_scaling": scaling,
        },
        corpus=str((metadata.get("corpus") or {}).get("name")),
        is_on_all=metadata.get("protocol") == "all",
        is_first="started_from" not in metadata,
    )


def _model(path: Path, classes: list[str], **fields: Any) -> StartingModel:
    """Check the class names, and add the digest of the weights."""
    check_class_names(str(path), classes)
    digest = sha256(path)[:DIGITS]
    fields["settings"]["start_from"] = digest
    return StartingModel(path=path, digest=digest, classes=tuple(classes), **fields)
