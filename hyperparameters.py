"""The published values of Light-SERNet, one field each, with units and reasons.

Every value a run depends on lives here and travels as an argument. The defaults are
those of the released code (Aftab et al., ICASSP 2022, arXiv 2110.03435), which produced
the published results; where the paper's text differs the field says so.
"""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INPUT_TYPES = ("mfcc", "spectrogram", "mel_spectrogram")
LOSS_NAMES = ("cross_entropy", "focal")
AUDIO_TYPES = ("all", "impro", "script")
WINDOWS = ("hann", "hamming")
SELECTIONS = ("best", "last")
PROTOCOL_NAMES = ("published", "paper", "random", "speaker", "session", "all")


def option(default: Any, help_text: str, **constraint: Any) -> Any:
    """Declare a field whose help text and constraint the command line reads.

    Args:
        default: The published value.
        help_text: Unit and meaning, a few words.
        **constraint: `choices` (allowed values), `low` or `above` (inclusive and
            exclusive lower limit), `high` (inclusive upper limit), `flags` (the
            original's option names, where they are not `--<field>`).

    Returns:
        A dataclass field.
    """
    return field(default=default, metadata={"help": help_text, **constraint})


class InputError(ValueError):
    """A mistake in what the user gave: shown as one line, exit status 2."""


# Declared type: what a value must be an instance of, in code and in words.
KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a finite number"),
    str: (str, "text"),
}


def flags_of(item: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The command-line names of a field: the original's, or its own."""
    flags: tuple[str, ...] = item.metadata.get("flags", (f"--{item.name}",))
    return flags


def check(settings: Any) -> None:
    """Hold every field of a settings object to its declared type and limits.

    A whole number given for a real one becomes real: 7 and 7.0 are the same setting
    and must have the same digest.

    Args:
        settings: An instance of one of this module's dataclasses.

    Raises:
        InputError: Names the option, what is allowed and what came.
    """
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        kind, words = KINDS[item.type]
        fits = isinstance(value, kind)
        fits &= isinstance(value, bool) == (item.type is bool)  # True is an int, too
        fits = fits and (item.type is not float or _is_finite(value))
        fault = _fault(value, item.metadata) if fits else words
        if fault:
            flags = "/".join(flags_of(item))
            raise InputError(f"{flags} must be {fault}, got {value!r}")
        convert: Any = item.type
        object.__setattr__(settings, item.name, convert(value))  # frozen from here on


def _is_finite(value: numbers.Real) -> bool:
    """Whether a number is finite as a float, too: JSON knows longer ones."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _fault(value: Any, limits: Mapping[str, Any]) -> str:
    """What the limits allow where the value breaks one; else empty."""
    if "choices" in limits and value not in limits["choices"]:
        return f"one of {', '.join(map(str, limits['choices']))}"
    if "low" in limits and value < limits["low"]:
        return f"at least {limits['low']}"
    if "above" in limits and value <= limits["above"]:
        return f"above {limits['above']:g}"
    if "high" in limits and value > limits["high"]:
        return f"at most {limits['high']}"
    return ""


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """From 16 kHz samples to the network's input."""

    input_type: str = option(
        "mfcc", "network input", choices=INPUT_TYPES, flags=("-it", "--input_type")
    )
    duration_s: float = option(
        3.0,
        "segment length, s",
        above=0.0,
        high=3600.0,
        flags=("-id", "--input_durations"),
    )
    # upper limits: a model file says its own values, and memory follows from them
    sample_rate_hz: int = option(16_000, "sample rate, Hz", low=1, high=192_000)
    normalise_percentile: float = option(
        99.9, "percentile of |x| lifted to full scale, %", above=0.0, high=100.0
    )
    window: str = option("hann", "window; the paper's text: hamming", choices=WINDOWS)
    frame_length_samples: int = option(
        1024, "frame, samples (64 ms)", low=2, high=65_536
    )
    hop_samples: int = option(256, "hop, samples (16 ms)", low=1, high=65_536)
    fft_size: int = option(1024, "FFT length, samples", low=2, high=65_536)
    num_mel_bins: int = option(128, "mel bands", low=1, high=4096)
    mel_low_hz: float = option(80.0, "lowest mel edge, Hz; paper: 40", low=0.0)
    mel_high_hz: float = option(7600.0, "highest mel edge, Hz", above=0.0)
    log_offset: float = option(1e-6, "added to mel before the logarithm", above=0.0)
    num_mfcc: int = option(40, "cepstral coefficients kept", low=1, high=4096)
    mfcc_limit: float = option(10.0, "coefficients are clipped to ± this", above=0.0)

    def __post_init__(self) -> None:
        check(self)
        if self.duration_samples < self.frame_length_samples:
            raise InputError(
                f"-id/--input_durations must be at least one frame, "
                f"{self.frame_length_samples / self.sample_rate_hz:g} s, "
                f"got {self.duration_s!r}"
            )
        if self.fft_size < self.frame_length_samples:
            raise InputError(
                f"--fft_size must be at least --frame_length_samples "
                f"({self.frame_length_samples}), got {self.fft_size}"
            )
        nyquist_hz = self.sample_rate_hz / 2
        if not self.mel_low_hz < self.mel_high_hz <= nyquist_hz:
            raise InputError(
                f"--mel_low_hz and --mel_high_hz must rise up to {nyquist_hz:g} Hz, "
                f"got {self.mel_low_hz:g} and {self.mel_high_hz:g}"
            )
        if self.num_mfcc > self.num_mel_bins:
            raise InputError(
                f"--num_mfcc must be at most --num_mel_bins ({self.num_mel_bins}), "
                f"got {self.num_mfcc}"
            )

    @property
    def duration_samples(self) -> int:
        """Segment length in samples; 48,000 at 3 s."""
        return int(self.duration_s * self.sample_rate_hz)

    @property
    def num_frames(self) -> int:
        """Whole frames in a segment, no padding at the end; 184 at 3 s."""
        usable = self.duration_samples - self.frame_length_samples + self.hop_samples
        return usable // self.hop_samples

    @property
    def num_bins(self) -> int:
        """Frequency bins of the spectrogram; 513."""
        return self.fft_size // 2 + 1

    @property
    def num_features(self) -> int:
        """Features a frame of this input type; 40 for MFCC."""
        return {
            "mfcc": self.num_mfcc,
            "mel_spectrogram": self.num_mel_bins,
            "spectrogram": self.num_bins,
        }[self.input_type]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Network input: (frames, features, 1)."""
        return (self.num_frames, self.num_features, 1)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Light-SERNet V1, and how its loss is made."""

    path_kernels: str = option(
        "11x1,1x9,3x3", "kernels of the three paths, time x frequency; paper: 9x1,1x11"
    )
    dropout: float = option(0.3, "dropout before the last layer", low=0.0, high=0.99)
    l2: float = option(1e-6, "L2 weight of the body's kernels", low=0.0)
    batch_norm_momentum: float = option(
        0.99, "Keras default; less with few steps an epoch", low=0.0, high=0.9999
    )
    loss_name: str = option(
        "cross_entropy", "loss", choices=LOSS_NAMES, flags=("-ln", "--loss_name")
    )
    focal_gamma: float = option(2.0, "focusing parameter (Lin et al. 2017)", low=0.0)

    def __post_init__(self) -> None:
        check(self)
        _ = self.kernels

    @property
    def kernels(self) -> tuple[tuple[int, int], ...]:
        """`path_kernels` as ((11, 1), (1, 9), (3, 3)).

        Raises:
            InputError: The text is not a list of TIMExFREQUENCY kernels.
        """
        try:
            pairs = [kernel.split("x") for kernel in self.path_kernels.split(",")]
            sizes = tuple((int(time), int(frequency)) for time, frequency in pairs)
        except ValueError as error:
            raise InputError(
                f"--path_kernels must look like 11x1,1x9,3x3, got {self.path_kernels!r}"
            ) from error
        if min(min(size) for size in sizes) < 1:
            raise InputError(
                f"--path_kernels must be 1 or larger, got {self.path_kernels!r}"
            )
        return sizes


@dataclass(frozen=True, kw_only=True)
class Training:
    """Schedule and stream of batches."""

    epochs: int = option(300, "epochs a fold", low=1)
    batch_size: int = option(32, "utterances a step; every batch is full", low=1)
    learning_rate: float = option(1e-4, "Adam's first rate", above=0.0)
    decay_rate: float = option(0.15, "the rate falls by exp(-this) ...", low=0.0)
    decay_every_epochs: int = option(20, "... each time this many epochs pass", low=1)
    decay_start_epoch: int = option(60, "... from this epoch (0-based)", low=0)
    seed: int = option(42, "of folds, weights, order, dropout", low=0, high=2**31 - 1)
    mixed_precision: bool = option(False, "float16 arithmetic, for GPUs")

    def __post_init__(self) -> None:
        check(self)

    def learning_rate_at(self, epoch: int) -> float:
        """The rate of one epoch: 1e-4 · exp(−0.15 · max(0, epoch // 20 − 2)).

        Args:
            epoch: 0-based.

        Returns:
            Adam's learning rate.
        """
        since_start = epoch - self.decay_start_epoch
        drops = max(0, since_start // self.decay_every_epochs + 1)
        return self.learning_rate * math.exp(-self.decay_rate * drops)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which utterances, cut how, and who tests whom."""

    dataset_name: str = option("DEMO", "corpus", flags=("-dn", "--dataset_name"))
    audio_type: str = option(
        "all", "part of the corpus", choices=AUDIO_TYPES, flags=("-at", "--audio_type")
    )
    segment_mode: int = option(
        1, "1: the centre of an utterance; 0: every whole segment", choices=(0, 1)
    )
    protocol: str = option("published", "kind of folds", choices=PROTOCOL_NAMES)
    select: str = option(
        "best", "epoch kept, where there is a choice", choices=SELECTIONS
    )
    num_folds: int = option(10, "folds (K)", low=2)
    test_share: float = option(
        0.2, "hold-out share of protocol `paper`", above=0.0, high=0.9
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that affects the result of a run, and nothing else."""

    data: Data = Data()
    front_end: FrontEnd = FrontEnd()
    network: Network = Network()
    training: Training = Training()


def groups_of(settings: Settings) -> dict[str, Any]:
    """The groups of settings by name: data, front_end, network, training."""
    return {
        group.name: getattr(settings, group.name)
        for group in dataclasses.fields(settings)
    }


def to_flat(settings: Settings) -> dict[str, Any]:
    """All settings by name, in declared order.

    Args:
        settings: Complete settings.

    Returns:
        `{"dataset_name": "EMO-DB", ..., "mixed_precision": False}`; names are unique
        over the groups.
    """
    return {
        item.name: getattr(group, item.name)
        for group in groups_of(settings).values()
        for item in dataclasses.fields(group)
    }


def from_flat(values: dict[str, Any]) -> Settings:
    """Settings from some values by name; the others keep the published value.

    Args:
        values: As from `to_flat`, possibly only a part.

    Raises:
        InputError: A name that is no setting, or a value out of its limits.
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
