"""Helical periodicity: does a preference along the DNA return every 8 to 13 bp?

A series of values along the DNA is clipped (a single preferred distance is no period), freed from its trend
(a cubic, and a smooth mean over about two turns of the helix) and compared with waves of each period. The
statistic is the power of a wave over that of the background, which is what neighbouring bases have in common:
the spectrum of the autocovariance up to a turn of the helix, tapered. The null is series with this background
and no more, drawn anew and treated alike. So values that are smooth along the DNA are no period, nor is a
spike or a step, which has power at every period.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from cislex.syntax.placed_hits import Ints
from cislex.syntax.settings import SyntaxSettings
from cislex.syntax.statistics import Floats

Complexes = NDArray[np.complex128]

#: About a turn of the helix, bp. A shortest series has four.
TURN = 10
#: Standard deviation of the smooth mean, bp: a wave of 13 bp loses 1.5 % of its amplitude, one of 30 bp half.
TREND = 6.0
#: Lags of the background, bp: at 6 bp the taper (Parzen's) leaves a quarter, at 10 bp one hundredth.
LAGS = 12
#: Values are clipped at this many robust standard deviations from their median.
CLIP = 3.0
#: Waves that are compared, evenly spaced in frequency.
WAVES = 51
#: Series that are drawn at once; after each batch, a p-value that is clearly large is not refined.
FIRST_BATCH = 100
BATCH = 500
ENOUGH = 20


@dataclass(frozen=True)
class Period:
    """The strongest wave of a series.

    Attributes
    ----------
    period
        bp.
    power
        Share of the series' variance that the wave explains, 0 to 1.
    autocorrelation
        Of the series, at the whole number of bases nearest to the period.
    p
        Share of drawn series with a wave that stands out as much from the background.
    """

    period: float
    power: float
    autocorrelation: float
    p: float


def find_period(values: Floats, positions: Ints, settings: SyntaxSettings, *, key: str) -> Period | None:
    """Find the strongest period of a series.

    Parameters
    ----------
    values, positions
        The series and where its values lie, in bp, ascending; shape (n,). A gap, such as the motif itself
        between the two flanks, begins a new piece.
    settings
        Periods and numbers of drawn series.
    key
        Names the series: with ``settings.seed`` it decides what is drawn.

    Returns
    -------
    Period | None
        None if the series is constant or shorter than four turns.
    """
    pieces = np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) > 1) + 1)
    if len(values) < 4 * TURN or np.ptp(values) == 0:
        return None
    values = clipped(values)
    bent = np.concatenate([_without_bend(values[own]) for own in pieces])
    if float(bent @ bent) <= 1e-12 * float(values @ values):
        return None
    flat = _without_trend(bent, pieces)
    frequencies = np.linspace(1 / settings.longest_period, 1 / settings.shortest_period, WAVES)
    waves = _Waves(positions, pieces, frequencies)
    ratios = waves.over_background(flat)
    best = int(np.argmax(ratios))
    power = 2 * float(waves.power(flat)[best]) / (len(flat) * float(flat @ flat))
    period = float(1 / frequencies[best])
    p = _drawn_p(flat, positions, waves, float(ratios[best]), settings, key)
    return Period(period, min(1.0, power), _autocorrelation(flat, pieces, round(period)), p)


class _Waves:
    """Waves of each frequency, and the power of a series beside that of its background."""

    def __init__(self, positions: Ints, pieces: list[Ints], frequencies: Floats) -> None:
        self.pieces = pieces
        self.waves: Complexes = np.exp(-2j * np.pi * np.outer(positions, frequencies))
        lags = np.arange(LAGS)
        near, far = 1 - 6 * (lags / LAGS) ** 2 * (1 - lags / LAGS), 2 * (1 - lags / LAGS) ** 3
        self.taper = np.where(2 * lags <= LAGS, near, far)
        cosines = np.cos(2 * np.pi * np.outer(lags, frequencies)) * np.where(lags > 0, 2, 1)[:, None]
        self.cosines = cosines * self.taper[:, None]

    def power(self, series: Floats) -> Floats:
        """Power of each wave in series, shape (…, n)."""
        return np.abs(series @ self.waves) ** 2

    def autocovariance(self, series: Floats) -> Floats:
        """Sums of products at each lag, within the pieces: shape (…, LAGS)."""
        parts = (series[..., own] for own in self.pieces)
        size = fft.next_fast_len(max(map(len, self.pieces)) + LAGS, real=True)
        spectrum = sum(np.abs(fft.rfft(part, size)) ** 2 for part in parts)
        return np.asarray(fft.irfft(spectrum, size)[..., :LAGS])

    def over_background(self, series: Floats) -> Floats:
        """Power of each wave over what the tapered autocovariance expects."""
        background = self.autocovariance(series) @ self.cosines
        return self.power(series) / np.maximum(background, 1e-12 * (series**2).sum(axis=-1)[..., None])


def clipped(values: Floats) -> Floats:
    """Values within ``CLIP`` robust standard deviations of their median."""
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle)) or np.std(values)
    return np.clip(values, middle - CLIP * spread, middle + CLIP * spread)


def _without_bend(values: Floats) -> Floats:
    """Subtract a cubic: slopes and bends are no preference."""
    place = np.linspace(-1, 1, len(values))
    basis = np.linalg.qr(np.vander(place, min(4, len(values))))[0]
    return np.asarray(values - basis @ (basis.T @ values))


def _without_trend(series: Floats, pieces: list[Ints]) -> Floats:
    """Subtract a Gaussian mean over neighbours in the same piece along the last axis."""
    reach = round(4 * TREND)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / TREND) ** 2)
    flat = np.empty(series.shape)
    for own in pieces:
        part = series[..., own]
        sums = ndimage.convolve1d(part, kernel, axis=-1, mode="constant")
        weights = ndimage.convolve1d(np.ones(len(own)), kernel, mode="constant")
        flat[..., own] = part - sums / weights
    return flat


def _autocorrelation(series: Floats, pieces: list[Ints], lag: int) -> float:
    products, size = 0.0, 0
    for own in pieces:
        part = series[own]
        products += float(part[:-lag] @ part[lag:])
        size += max(0, len(part) - lag)
    return products / max(size, 1) / float(np.mean(series**2))


def _drawn_p(
    flat: Floats, positions: Ints, waves: _Waves, observed: float, settings: SyntaxSettings, key: str
) -> float:
    """Share of series with the background alone whose strongest wave stands out as much."""
    digest = hashlib.blake2b(f"{settings.seed}\0{key}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    lags = waves.autocovariance(flat) * waves.taper
    where = positions - positions[0]
    size = fft.next_fast_len(int(where[-1]) + 1 + LAGS, real=True)
    around = np.zeros(size)
    around[:LAGS], around[1 - LAGS :] = lags, lags[:0:-1]
    amplitude = np.sqrt(np.maximum(fft.rfft(around).real, 0))
    made = greater = 0
    while made < settings.permutations and greater < ENOUGH:
        batch = min(BATCH if made else FIRST_BATCH, settings.permutations - made)
        drawn = fft.irfft(fft.rfft(random.standard_normal((batch, size))) * amplitude, size)[:, where]
        strongest = waves.over_background(_without_trend(drawn, waves.pieces)).max(axis=1)
        greater += int(np.sum(strongest >= observed * (1 - 1e-9)))
        made += batch
    return (greater + 1) / (made + 1)
