"""Helical periodicity: does a preference along the DNA return every 8 to 13 bp?

A series of values along the DNA is clipped (a single preferred distance is no period), freed from its trend
(a running mean over 21 bp, two turns of the helix) and compared with waves of each period. The null keeps
what happens within a turn and breaks what connects the turns: each block of 10 bp is rotated by a random
number of bases. A spike or a step, which has power at every period but in one block only, is therefore no
period.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cislex.syntax.placed_hits import Ints
from cislex.syntax.settings import SyntaxSettings
from cislex.syntax.statistics import Floats

Complexes = NDArray[np.complex128]

#: Bases that are rotated together: about a turn of the helix.
BLOCK = 10
#: Bases of the running mean: two turns.
TREND = 21
#: Values are clipped at this many robust standard deviations from their median.
CLIP = 3.0
#: Waves that are compared, evenly spaced in frequency.
WAVES = 51
#: Permutations that are made at once; after each batch, a p-value that is clearly large is not refined.
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
        Share of permuted series with a wave of at least this power.
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
        Periods and permutations.
    key
        Names the series: with ``settings.seed`` it decides the permutations.

    Returns
    -------
    Period | None
        None if the series is constant or shorter than four turns.
    """
    pieces = np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) > 1) + 1)
    if len(values) < 4 * BLOCK or np.ptp(values) == 0:
        return None
    values = clipped(values)
    series = np.concatenate([_without_bend(values[own]) for own in pieces])
    total = float(series @ series)
    if total <= 1e-12 * float(values @ values):
        return None
    frequencies = np.linspace(1 / settings.longest_period, 1 / settings.shortest_period, WAVES)
    waves = np.exp(-2j * np.pi * np.outer(positions, frequencies))
    # The trend is linear in the series and symmetric: it can as well be taken from the waves, once for all.
    waves = np.concatenate([_without_trend(waves[own]) for own in pieces])
    power = np.abs(series @ waves) ** 2
    best = int(np.argmax(power))
    period = float(1 / frequencies[best])
    p = _permuted_p(series, pieces, waves, float(power[best]), settings, key)
    flat = np.concatenate([_without_trend(series[own, None])[:, 0].real for own in pieces])
    share = min(1.0, 2 * float(power[best]) / (len(series) * float(flat @ flat)))
    return Period(period, share, _autocorrelation(flat, pieces, round(period)), p)


def clipped(values: Floats) -> Floats:
    """Values within ``CLIP`` robust standard deviations of their median."""
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle)) or np.std(values)
    return np.clip(values, middle - CLIP * spread, middle + CLIP * spread)


def _without_bend(values: Floats) -> Floats:
    """Subtract a cubic, so that a slope is not cut up when blocks are rotated."""
    place = np.linspace(-1, 1, len(values))
    basis = np.linalg.qr(np.vander(place, min(4, len(values))))[0]
    return np.asarray(values - basis @ (basis.T @ values))


def _without_trend(columns: Complexes) -> Complexes:
    """Subtract a running mean along the first axis; ends are continued by zeros, so that it is symmetric."""
    half = TREND // 2
    running = np.cumsum(np.pad(columns, ((half + 1, half), (0, 0))), axis=0)
    return np.asarray(columns - (running[TREND:] - running[:-TREND]) / TREND)


def _autocorrelation(series: Floats, pieces: list[Ints], lag: int) -> float:
    products, size = 0.0, 0
    for own in pieces:
        part = series[own]
        products += float(part[:-lag] @ part[lag:])
        size += max(0, len(part) - lag)
    return products / max(size, 1) / float(np.mean(series**2))


def _permuted_p(
    series: Floats,
    pieces: list[Ints],
    waves: Complexes,
    observed: float,
    settings: SyntaxSettings,
    key: str,
) -> float:
    """Share of series with rotated blocks whose strongest wave is as strong."""
    digest = hashlib.blake2b(f"{settings.seed}\0{key}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    blocks = [own[low : low + BLOCK] for own in pieces for low in range(0, len(own), BLOCK)]
    # Transform of each block under each of its rotations, once.
    turned = []
    for block in blocks:
        shifted = np.subtract.outer(np.arange(len(block)), np.arange(len(block))) % len(block)
        turned.append(series[block][shifted] @ waves[block])
    made = greater = 0
    while made < settings.permutations and greater < ENOUGH:
        batch = min(BATCH if made else FIRST_BATCH, settings.permutations - made)
        total = np.zeros((batch, waves.shape[1]), dtype=complex)
        for rotations in turned:
            total += rotations[random.integers(len(rotations), size=batch)]
        greater += int(np.sum(np.max(np.abs(total) ** 2, axis=1) >= observed * (1 - 1e-9)))
        made += batch
    return (greater + 1) / (made + 1)
