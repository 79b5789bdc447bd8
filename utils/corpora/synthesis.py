"""Speech-like sound from a list of phones: voiced and unvoiced source, vocal tract.

Harmonics of F0 and narrow bands of noise, each weighted by the magnitude response of
four formants (Fant 1960): the terminal-analogue synthesiser of Klatt (1980) in additive
form, without feedback filters.

The bytes are the same everywhere because only operations that IEEE 754 rounds exactly
touch the samples (+, −, ×, ÷, √, integers, and the legacy generator's raw doubles). Not
`np.sin`, `np.exp`, `np.sum`, `np.interp`, `np.convolve` or BLAS, whose last bits depend
on the processor.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 80  # 5 ms, the step of the control tracks
HARMONICS_TO_HZ = 5000.0  # above it speech is noise
NOISE_CENTRES_HZ = tuple(range(500, 8000, 1000))
KNOT_SAMPLES = 16  # noise drawn at 1 kHz fills a band of about 1 kHz
TABLE_BITS = 13
PHASE_BITS = 32
FORMANT_4_HZ = 3500.0
HIGHER_FORMANTS_HZ = 1500.0  # where those above the fourth add 6 dB

# Name: duration in ms, F1, F2, F3 in Hz, voicing, noise, centre of the noise in Hz.
# Formants of German vowels: adult men, rounded, after Sendlmeier & Seebode,
# "Formantkarten des deutschen Vokalsystems" (2006), F3 after Fant (1960); consonants
# have their locus or, for nasals and the lateral, their own resonances.
PHONES = {
    "a:": (120, 720, 1260, 2500, 1.0, 0.0, 2500),
    "a": (80, 680, 1300, 2480, 1.0, 0.0, 2500),
    "e:": (120, 370, 2030, 2620, 0.9, 0.0, 2500),
    "i:": (110, 290, 2150, 2900, 0.8, 0.0, 2500),
    "I": (70, 350, 1830, 2550, 0.8, 0.0, 2500),
    "o:": (118, 380, 780, 2400, 0.95, 0.0, 2500),
    "O": (75, 540, 1020, 2450, 0.95, 0.0, 2500),
    "u:": (115, 310, 800, 2300, 0.8, 0.0, 2500),
    "@": (55, 430, 1500, 2480, 0.7, 0.0, 2500),
    "6": (60, 560, 1290, 2450, 0.7, 0.0, 2500),
    "m": (65, 260, 1050, 2200, 0.4, 0.0, 2500),
    "n": (60, 260, 1500, 2500, 0.4, 0.0, 2500),
    "N": (65, 270, 2000, 2600, 0.4, 0.0, 2500),
    "l": (55, 340, 1350, 2650, 0.5, 0.0, 2500),
    "v": (50, 290, 1100, 2300, 0.35, 0.1, 4500),
    "s": (85, 290, 1700, 2600, 0.0, 0.5, 6000),
    "S": (90, 290, 1800, 2400, 0.0, 0.55, 3200),
    "h": (50, 500, 1400, 2500, 0.05, 0.3, 1800),
    "b": (45, 250, 900, 2200, 0.12, 0.05, 1000),
    "d": (40, 250, 1750, 2600, 0.12, 0.1, 4000),
    "t": (25, 300, 1750, 2600, 0.0, 0.45, 4500),
    "k": (25, 300, 1900, 2300, 0.0, 0.4, 2200),
    "_": (45, 300, 1500, 2500, 0.0, 0.0, 2500),  # closure of a plosive, or a pause
}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How one utterance is spoken.

    Attributes:
        pitch_hz: Mean F0.
        pitch_range: Excursion of F0 as a share of `pitch_hz`.
        pitch_fall: Share of the excursion that F0 falls from start to end; negative
            rises.
        rate: Phones are this many times faster than in `PHONES`.
        lengthening: Stressed vowels are this many times longer still.
        peak: Largest absolute sample, up to 1.
        corner_hz: Corner of the glottal spectrum; low is soft, high is pressed.
        breath: Aspiration noise beside the voice, 0 to 1.
        jitter: Irregularity of F0 from frame to frame, a share of F0.
        tremor: Depth of a 6 Hz modulation of F0, a share of F0.
        tract: Formants are this many times those of an adult man.
        damping: Formants are this many times as wide; nasal or lax voices are damped.
    """

    pitch_hz: float
    pitch_range: float
    pitch_fall: float
    rate: float
    lengthening: float
    peak: float
    corner_hz: float
    breath: float
    jitter: float
    tremor: float
    tract: float
    damping: float


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Control parameters, one value a frame of 5 ms; all (frames,) but `formants_hz`.

    Attributes:
        formants_hz: (frames, 4).
        voicing: Gain of the voiced source.
        noise: Gain of the fricative source.
        noise_hz: Centre of its spectrum.
        stress: 1 inside a stressed vowel, smooth at its edges.
    """

    formants_hz: FloatArray
    voicing: FloatArray
    noise: FloatArray
    noise_hz: FloatArray
    stress: FloatArray


def synthesise(
    sentence: str, delivery: Delivery, generator: np.random.RandomState
) -> FloatArray:
    """Speak a sentence.

    Args:
        sentence: Names of `PHONES` between spaces; `'` before a stressed vowel. It
            should begin and end with `_`, lest the sound be cut off.
        delivery: How it is spoken.
        generator: Source of noise and irregularity.

    Returns:
        (samples,) at 16 kHz, float64, within ±`delivery.peak`.
    """
    tracks = phone_tracks(sentence, delivery)
    pitch_hz = pitch_track(tracks.stress, delivery, generator)
    sound = voiced(tracks, pitch_hz, delivery) + unvoiced(tracks, delivery, generator)
    return sound * (delivery.peak / np.abs(sound).max())


def phone_tracks(sentence: str, delivery: Delivery) -> Tracks:
    """Lay the phones of a sentence along time and let them run into each other."""
    rows, frames = [], []
    for token in sentence.split():
        duration_ms, *targets = PHONES[token.removeprefix("'")]
        is_stressed = token.startswith("'")
        stretch = (delivery.lengthening if is_stressed else 1.0) / delivery.rate
        samples = duration_ms * stretch * SAMPLE_RATE_HZ / 1000
        frames.append(max(2, round(samples / FRAME_SAMPLES)))
        rows.append([*targets, is_stressed])
    f1, f2, f3, voicing, noise, noise_hz, stress = np.repeat(
        np.array(rows, np.float64), frames, axis=0
    ).T
    formants = [smooth(track, 4) for track in (f1, f2, f3)]
    formants.append(np.full_like(f1, FORMANT_4_HZ))
    return Tracks(
        formants_hz=np.stack(formants, axis=1) * delivery.tract,
        voicing=smooth(voicing, 1),
        noise=smooth(noise, 1),
        noise_hz=noise_hz,
        stress=smooth(stress, 6),
    )


def smooth(track: FloatArray, reach: int) -> FloatArray:
    """Mean over `reach` frames before and after; the ends are held."""
    padded = np.pad(track, reach, mode="edge")
    total = np.zeros_like(track)
    for start in range(2 * reach + 1):
        total = total + padded[start : start + len(track)]
    return total / (2 * reach + 1)


def pitch_track(
    stress: FloatArray, delivery: Delivery, generator: np.random.RandomState
) -> FloatArray:
    """F0 in Hz, (frames,): declination, accents, slow drift, tremor and jitter."""
    count = len(stress)
    time = np.arange(count) / count
    drift = smooth(generator.random_sample(count) - 0.5, 8)
    contour = delivery.pitch_fall * (0.5 - time) + stress - 0.4 + drift
    jitter = smooth(generator.random_sample(count) - 0.5, 1)
    turns_per_frame = 6.0 * FRAME_SAMPLES / SAMPLE_RATE_HZ
    tremor = oscillate(np.full(count, turns_per_frame))
    ratio = (
        1.0
        + delivery.pitch_range * contour
        + 2.0 * delivery.jitter * jitter
        + delivery.tremor * tremor
    )
    return delivery.pitch_hz * np.maximum(ratio, 0.5)


def voiced(tracks: Tracks, pitch_hz: FloatArray, delivery: Delivery) -> FloatArray:
    """Harmonics of F0 under glottal slope, lip radiation and formants, (samples,)."""
    count = int(HARMONICS_TO_HZ / pitch_hz.min())
    frequency_hz = pitch_hz[:, None] * np.arange(1, count + 1)  # (frames, harmonics)
    ratio = frequency_hz / delivery.corner_hz
    gains = (
        tracks.voicing[:, None]
        * (0.7 + 0.3 * tracks.stress[:, None])
        * (ratio / (1.0 + ratio * ratio))
        * vocal_tract(frequency_hz, tracks.formants_hz, delivery.damping)
        * (frequency_hz < HARMONICS_TO_HZ)
    )
    phase = integrate(at_sample_rate(pitch_hz) / SAMPLE_RATE_HZ)
    sound = np.zeros(len(phase))
    for column in range(count):
        wave = sine(phase * (column + 1))  # the product wraps with the phase
        sound = sound + at_sample_rate(gains[:, column]) * wave
    return sound


def unvoiced(
    tracks: Tracks, delivery: Delivery, generator: np.random.RandomState
) -> FloatArray:
    """Aspiration through the formants and friction at its own place, (samples,)."""
    count = len(tracks.voicing) * FRAME_SAMPLES
    centres_hz = np.array(NOISE_CENTRES_HZ, np.float64)
    frequency_hz = np.ones((len(tracks.voicing), 1)) * centres_hz
    tract = vocal_tract(frequency_hz, tracks.formants_hz, delivery.damping)
    distance = (frequency_hz - tracks.noise_hz[:, None]) / 1200.0
    friction = tracks.noise[:, None] / (1.0 + distance * distance)
    gains = delivery.breath * tracks.voicing[:, None] * tract + friction
    sound = np.zeros(count)
    for column, centre_hz in enumerate(centres_hz):
        knots = 2.0 * generator.random_sample(count // KNOT_SAMPLES) - 1.0
        carrier = oscillate(np.full(count, centre_hz / SAMPLE_RATE_HZ))
        noise = at_sample_rate(knots, KNOT_SAMPLES) * carrier
        sound = sound + at_sample_rate(gains[:, column]) * noise
    return sound


def vocal_tract(
    frequency_hz: FloatArray, formants_hz: FloatArray, damping: float
) -> FloatArray:
    """Magnitude response of the formants, 1 at 0 Hz (Fant 1960).

    Those above the fourth only lift the upper spectrum: a parabola stands for them.

    Args:
        frequency_hz: (frames, frequencies).
        formants_hz: (frames, formants).
        damping: Factor on the bandwidths, 50 Hz + 4 % of the formant.

    Returns:
        (frames, frequencies).
    """
    ratio = frequency_hz / HIGHER_FORMANTS_HZ
    response = 1.0 + ratio * ratio
    for formant_hz in formants_hz.T[:, :, None]:
        half_width = (25.0 + 0.02 * formant_hz) * damping
        square = half_width * half_width
        below, above = frequency_hz - formant_hz, frequency_hz + formant_hz
        poles = (below * below + square) * (above * above + square)
        response = response * ((formant_hz * formant_hz + square) / np.sqrt(poles))
    return response


def at_sample_rate(track: FloatArray, step: int = FRAME_SAMPLES) -> FloatArray:
    """Straight lines through the values of a track, (len(track) · step,)."""
    rise = np.append(track[1:], track[-1]) - track
    ramp = np.arange(step) / step
    return (track[:, None] + rise[:, None] * ramp).ravel()


def integrate(turns: FloatArray) -> npt.NDArray[np.uint32]:
    """Phase after each step of so many turns; 2^32 is one turn and wraps."""
    steps = np.rint(turns * 2.0**PHASE_BITS).astype(np.uint64)
    return np.cumsum(steps).astype(np.uint32)


def oscillate(turns: FloatArray) -> FloatArray:
    """Sine whose phase advances by so many turns a step."""
    return sine(integrate(turns))


def sine(phase: npt.NDArray[np.uint32]) -> FloatArray:
    """Sine of a phase, 2^32 a turn."""
    return sine_table()[phase >> (PHASE_BITS - TABLE_BITS)]


@functools.cache
def sine_table() -> FloatArray:
    """One period; rounded far above the last bits, in which math.sin varies."""
    size = 2**TABLE_BITS
    return np.array([round(math.sin(2 * math.pi * i / size), 7) for i in range(size)])
