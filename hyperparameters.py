"""The published values of Light-SERNet, with units, limits and reasons.

Every value that a run depends on is declared here and travels as an argument. The
defaults are those of the released code (Aftab et al., ICASSP 2022, arXiv 2110.03435),
which produced the published results. If the paper's text differs, the field says so.
"""

import dataclasses
import math
import numbers
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INPUT_TYPES = ("mfcc", "spectrogram", "mel_spectrogram")
LOSS_NAMES = ("cross_entropy", "focal")
AUDIO_TYPES = ("all", "impro", "script")
WINDOWS = ("hann", "hamming")
SELECTIONS = ("best", "last")
PROTOCOL_NAMES = ("published", "paper", "random", "speaker", "session", "all")
SCALINGS = ("none", "corpus", "voice")
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("steps", "cosine")
TEACHERS = ("none", "functionals")
KERNEL = re.compile("([1-9][0-9]*)x([1-9][0-9]*)")  # TIMExFREQUENCY

# Declared type of a setting: the type its values must have, in code and in words.
KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a finite number"),
    str: (str, "text"),
}


class InputError(ValueError):
    """A user's mistake: scripts print it as one line and exit with status 2."""


def option(default: Any, help_text: str, **constraint: Any) -> Any:
    """Declare a setting together with its help text and its limits.

    Args:
        default: The published value.
        help_text: Meaning and unit, as `--help` shows them.
        **constraint: `choices` (allowed values), `low` (inclusive lower limit),
            `above` (exclusive lower limit), `high` (inclusive upper limit), `flags`
            (the original code's option names, if they are not `--<field>`).
    """
    return field(default=default, metadata={"help": help_text, **constraint})


def flags_of(item: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The command-line names of a setting."""
    flags: tuple[str, ...] = item.metadata.get("flags", (f"--{item.name}",))
    return flags


class SettingsGroup:
    """A group of settings, checked when it is made.

    Each value is converted to its declared type: 7 and 7.0 seconds are the same setting
    and must give the same hash.

    Raises:
        InputError: A value is not allowed; names the option and what is allowed.
    """

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if allowed := _violated(value, item.type, item.metadata):
                raise _refusal("/".join(flags_of(item)), allowed, repr(value))
            convert: Any = item.type
            object.__setattr__(self, item.name, convert(value))  # frozen from here on


def _violated(value: Any, declared: Any, limits: Mapping[str, Any]) -> str:
    """What is allowed, in words, if the value is not; else empty."""
    kind, words = KINDS[declared]
    # bool is a subclass of int
    if not isinstance(value, kind) or isinstance(value, bool) != (declared is bool):
        return words
    if declared is float and not abs(value) <= sys.float_info.max:
        return words
    if "choices" in limits and value not in limits["choices"]:
        return f"one of {', '.join(map(str, limits['choices']))}"
    if "low" in limits and value < limits["low"]:
        return f"at least {limits['low']}"
    if "above" in limits and value <= limits["above"]:
        return f"above {limits['above']:g}"
    if "high" in limits and value > limits["high"]:
        return f"at most {limits['high']}"
    return ""


def _refusal(names: str, allowed: str, given: object) -> InputError:
    """The error for a value that is not allowed."""
    return InputError(f"{names} must be {allowed}, got {given}")


@dataclass(frozen=True, kw_only=True)
class FrontEnd(SettingsGroup):
    """From 16 kHz samples to the network's input."""

    input_type: str = option(
        "mfcc", "network input", choices=INPUT_TYPES, flags=("-it", "--input_type")
    )
    duration_s: float = option(
        3.0,
        "segment length in seconds",
        above=0.0,
        high=3600.0,
        flags=("-id", "--input_durations"),
    )
    # The upper limits below bound the memory that a foreign model file can ask for.
    sample_rate_hz: int = option(16_000, "sample rate in Hz", low=1, high=192_000)
    normalise_percentile: float = option(
        99.9, "percentile of |x| lifted to full scale, %", above=0.0, high=100.0
    )
    window: str = option("hann", "STFT window; paper: hamming", choices=WINDOWS)
    frame_length_samples: int = option(
        1024, "STFT frame in samples (64 ms)", low=2, high=65_536
    )
    hop_samples: int = option(256, "STFT hop in samples (16 ms)", low=1, high=65_536)
    fft_size: int = option(1024, "FFT length in samples", low=2, high=65_536)
    num_mel_bins: int = option(128, "number of mel bands", low=1, high=4096)
    mel_low_hz: float = option(80.0, "lowest mel frequency in Hz; paper: 40", low=0.0)
    mel_high_hz: float = option(7600.0, "highest mel frequency in Hz", above=0.0)
    log_offset: float = option(1e-6, "added to mel before the logarithm", above=0.0)
    num_mfcc: int = option(40, "number of MFCCs kept", low=1, high=4096)
    mfcc_limit: float = option(10.0, "MFCCs are clipped to ± this value", above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        frame, nyquist_hz = self.frame_length_samples, self.sample_rate_hz / 2
        if self.duration_samples < frame:
            shortest = f"at least one frame, {frame / self.sample_rate_hz:g} s"
            raise _refusal("-id/--input_durations", shortest, self.duration_s)
        if self.fft_size < frame:
            allowed = f"at least --frame_length_samples ({frame})"
            raise _refusal("--fft_size", allowed, self.fft_size)
        if not self.mel_low_hz < self.mel_high_hz <= nyquist_hz:
            raise _refusal(
                "--mel_low_hz and --mel_high_hz",
                f"in rising order and at most {nyquist_hz:g} Hz",
                f"{self.mel_low_hz:g} and {self.mel_high_hz:g}",
            )
        if self.num_mfcc > self.num_mel_bins:
            allowed = f"at most --num_mel_bins ({self.num_mel_bins})"
            raise _refusal("--num_mfcc", allowed, self.num_mfcc)

    @property
    def duration_samples(self) -> int:
        """Segment length in samples; 48,000 at 3 s."""
        return int(self.duration_s * self.sample_rate_hz)

    @property
    def num_frames(self) -> int:
        """Whole frames per segment, without padding at the end; 184 at 3 s."""
        usable = self.duration_samples - self.frame_length_samples + self.hop_samples
        return usable // self.hop_samples

    @property
    def num_bins(self) -> int:
        """Frequency bins of the spectrogram; 513."""
        return self.fft_size // 2 + 1

    @property
    def num_features(self) -> int:
        """Features per frame; 40 for MFCC."""
        sizes = (self.num_mfcc, self.num_bins, self.num_mel_bins)
        return dict(zip(INPUT_TYPES, sizes, strict=True))[self.input_type]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Network input: (frames, features, 1)."""
        return (self.num_frames, self.num_features, 1)


@dataclass(frozen=True, kw_only=True)
class Network(SettingsGroup):
    """Light-SERNet V1 and its loss."""

    path_kernels: str = option(
        "11x1,1x9,3x3", "kernels of the paths, time x frequency; paper: 9x1,1x11,3x3"
    )
    dropout: float = option(
        0.3, "dropout rate before the last layer", low=0.0, high=0.99
    )
    l2: float = option(1e-6, "L2 weight of the body's kernels", low=0.0)
    batch_norm_momentum: float = option(
        0.99, "lower it if an epoch has few steps", low=0.0, high=0.9999
    )
    loss_name: str = option(
        "cross_entropy", "loss", choices=LOSS_NAMES, flags=("-ln", "--loss_name")
    )
    focal_gamma: float = option(2.0, "focusing parameter of the focal loss", low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.kernels

    @property
    def kernels(self) -> tuple[tuple[int, int], ...]:
        """`path_kernels` as ((11, 1), (1, 9), (3, 3)).

        Raises:
            InputError: The text is not a list of TIMExFREQUENCY kernels.
        """
        parts = [part.strip() for part in self.path_kernels.split(",")]
        matches = [match for part in parts if (match := KERNEL.fullmatch(part))]
        if len(matches) < len(parts):
            given = repr(self.path_kernels)
            raise _refusal("--path_kernels", "a list such as 11x1,1x9,3x3", given)
        return tuple((int(match[1]), int(match[2])) for match in matches)


@dataclass(frozen=True, kw_only=True)
class Training(SettingsGroup):
    """Schedule, batches and seed."""

    epochs: int = option(300, "epochs per fold", low=1)
    batch_size: int = option(32, "utterances per step; every batch is full", low=1)
    learning_rate: float = option(1e-4, "Adam's first learning rate", above=0.0)
    decay_rate: float = option(0.15, "each decay multiplies it by exp(-this)", low=0.0)
    decay_every_epochs: int = option(20, "epochs from one decay to the next", low=1)
    decay_start_epoch: int = option(60, "epoch of the first decay (0-based)", low=0)
    seed: int = option(
        42, "seed of folds, weights, order and dropout", low=0, high=2**31 - 1
    )
    mixed_precision: bool = option(False, "compute in float16, for GPUs")
    optimizer: str = option("adam", "optimiser", choices=OPTIMIZERS)
    weight_decay: float = option(0.0, "AdamW's weight decay per step", low=0.0)
    schedule: str = option(
        "steps", "decay: steps, as published, or half a cosine", choices=SCHEDULES
    )
    warm_up: float = option(
        0.1, "cosine: share of the steps with a rising rate", low=0.0, high=0.9
    )
    weight_average: float = option(
        0.0, "momentum of averaged weights, e.g. 0.99; 0: none", low=0.0, high=0.9999
    )
    start_from: str = option(
        "none", "begin with the weights of a model: a run, its .keras, or a .tflite"
    )
    frozen_stages: int = option(
        0, "stages of that model that do not learn: 1 is the paths", low=0, high=6
    )
    teacher: str = option("none", "who gives the soft labels", choices=TEACHERS)
    teacher_share: float = option(
        0.5, "share of a label that comes from the teacher", low=0.0, high=1.0
    )

    def learning_rate_at(self, epoch: int) -> float:
        """Rate of a 0-based epoch: 1e-4 · exp(−0.15 · max(0, epoch // 20 − 2)).

        Schedule `steps` only.
        """
        since_start = epoch - self.decay_start_epoch
        drops = max(0, since_start // self.decay_every_epochs + 1)
        return self.learning_rate * math.exp(-self.decay_rate * drops)


@dataclass(frozen=True, kw_only=True)
class Data(SettingsGroup):
    """The utterances, how they are cut, and how test sets are chosen."""

    dataset_name: str = option("DEMO", "corpus", flags=("-dn", "--dataset_name"))
    audio_type: str = option(
        "all", "part of the corpus", choices=AUDIO_TYPES, flags=("-at", "--audio_type")
    )
    segment_mode: int = option(
        1,
        "1 the centre, 0 whole segments, 2 overlapping ones",
        choices=(0, 1, 2),
    )
    protocol: str = option("published", "how to split", choices=PROTOCOL_NAMES)
    select: str = option("best", "epoch whose weights are kept", choices=SELECTIONS)
    num_folds: int = option(10, "number of folds", low=2, high=10_000)
    test_share: float = option(
        0.2, "share that protocol `paper` tests on", above=0.0, high=0.9
    )


@dataclass(frozen=True, kw_only=True)
class Inputs(SettingsGroup):
    """How features are scaled and varied on their way to the network."""

    feature_scaling: str = option(
        "none",
        "standardise features by corpus or voice",
        choices=SCALINGS,
    )
    speeds: str = option(
        "", "factors of playing speed to train on as well, e.g. 0.84,0.92,1.09,1.19"
    )
    speed_share: float = option(
        0.5,
        "share, of those not in a room, played at one of the speeds",
        low=0.0,
        high=1.0,
    )
    rooms: int = option(
        0, "copies in other rooms, with noise, to train on as well", low=0, high=100
    )
    room_share: float = option(
        0.5, "share of utterances heard in one of these rooms", low=0.0, high=1.0
    )
    shift_frames: int = option(
        0, "shift each utterance by up to this many frames", low=0, high=1000
    )
    masks: int = option(
        0, "stretches of frames, and bands of features, to hide", low=0, high=100
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.speed_factors

    @property
    def speed_factors(self) -> tuple[float, ...]:
        """`speeds` as (0.84, 0.92); 1.19 is faster and higher, in 1/1.19 of the time.

        Raises:
            InputError: The text is not a list of factors from 0.5 to 2, without 1.
        """
        try:
            factors = tuple(float(part) for part in self.speeds.split(",") if part)
        except ValueError:
            factors = (math.nan,)
        if not all(0.5 <= factor <= 2.0 and factor != 1.0 for factor in factors):
            allowed = "a list of factors from 0.5 to 2 without 1, such as 0.84,1.19"
            raise _refusal("--speeds", allowed, repr(self.speeds))
        return factors


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that affects the result of a run, and nothing else."""

    data: Data = Data()
    front_end: FrontEnd = FrontEnd()
    network: Network = Network()
    training: Training = Training()
    inputs: Inputs = Inputs()

    def __post_init__(self) -> None:
        scaling, loss = self.inputs.feature_scaling, self.network.loss_name
        if scaling != "none" and self.front_end.input_type == "spectrogram":
            raise _refusal("--feature_scaling", "none with -it spectrogram", scaling)
        if self.training.teacher != "none" and loss != "cross_entropy":
            raise _refusal("-ln with --teacher", "cross_entropy", loss)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A named bundle of settings; each may also be given alone.

    Attributes:
        meaning: One line for users.
        values: The settings that differ from the published ones.
    """

    meaning: str
    values: Mapping[str, Any]


_SHORT = {
    "epochs": 40,
    "learning_rate": 1e-3,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "weight_average": 0.99,
    "batch_norm_momentum": 0.9,
    "select": "last",
    "speeds": "0.84,0.89,0.94,1.06,1.12,1.19",
    "shift_frames": 12,
}
_NEW_VOICE = {
    **_SHORT,
    "segment_mode": 2,
    "feature_scaling": "voice",
    "teacher": "functionals",
    "teacher_share": 0.8,
}
_STUDIO = {**_NEW_VOICE, "masks": 2, "epochs": 100}
RECIPES = {
    "published": Recipe(meaning="as released", values={}),
    "short": Recipe(
        meaning="varied speed",
        values={**_SHORT, "feature_scaling": "corpus"},
    ),
    "new_voice": Recipe(
        meaning="scaled by voice",
        values=_NEW_VOICE,
    ),
    "studio": Recipe(
        meaning="new_voice, longer, masked",
        values=_STUDIO,
    ),
    "any_room": Recipe(
        meaning="new_voice in noise",
        values={**_NEW_VOICE, "rooms": 4},
    ),
    "any_device": Recipe(
        meaning="studio in noise",
        values={**_STUDIO, "rooms": 4},
    ),
    "fine_tune": Recipe(
        meaning="for --start_from",
        values={
            "epochs": 20,
            "learning_rate": 1e-3,
            "optimizer": "adamw",
            "weight_decay": 0.01,
            "schedule": "cosine",
            "batch_norm_momentum": 0.9,
            "select": "last",
        },
    ),
}


# Settings that say what is asked of a run, not how it trains
QUESTION = ("dataset_name", "protocol", "select", "loss_name", "seed")


def recipe_of(values: Mapping[str, Any]) -> str | None:
    """The recipe by which a run was trained; None if as published, or by another.

    Args:
        values: As from `to_flat`.
    """
    published = to_flat(Settings())
    trained = {k: v for k, v in values.items() if k not in QUESTION}
    differing = {k: v for k, v in trained.items() if v != published[k]}
    for name, recipe in RECIPES.items():
        wanted = {k: v for k, v in recipe.values.items() if k not in QUESTION}
        if wanted and wanted == differing:
            return name
    return None


def groups_of(settings: Settings) -> dict[str, Any]:
    """The groups of settings by name: data, front_end, network, training, inputs."""
    groups = dataclasses.fields(settings)
    return {group.name: getattr(settings, group.name) for group in groups}


def to_flat(settings: Settings) -> dict[str, Any]:
    """All settings by name, in declared order: `{"dataset_name": "EMO-DB", ...}`.

    Names are unique across the groups.
    """
    return {
        item.name: getattr(group, item.name)
        for group in groups_of(settings).values()
        for item in dataclasses.fields(group)
    }


def from_flat(values: dict[str, Any]) -> Settings:
    """Settings from values by name; the others keep their published values.

    Args:
        values: All or some of the values that `to_flat` returns.

    Raises:
        InputError: An unknown name, or a value that is not allowed.
    """
    rest = dict(values)
    made: dict[str, Any] = {}
    for name, published in groups_of(Settings()).items():
        fields = {item.name for item in dataclasses.fields(published)}
        chosen = {field: rest.pop(field) for field in fields & rest.keys()}
        made[name] = dataclasses.replace(published, **chosen)
    if rest:
        raise InputError(f"no such setting: {', '.join(sorted(rest))}")
    return Settings(**made)


def non_default(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the published values, by name."""
    published = to_flat(Settings())
    return {k: v for k, v in to_flat(settings).items() if v != published[k]}
