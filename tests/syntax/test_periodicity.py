"""Periods: a wave is found with its period; noise, spikes, steps and slopes are none."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.syntax.periodicity import find_period
from cislex.syntax.settings import SyntaxSettings

POSITIONS = np.arange(10, 151)
FEW = SyntaxSettings(permutations=199)


@pytest.mark.parametrize("period", [9.0, 10.5, 12.0])
def test_a_wave_in_noise_is_found_with_its_period(period: float) -> None:
    noise = np.random.default_rng(0).normal(size=len(POSITIONS))
    found = find_period(np.cos(2 * np.pi * POSITIONS / period) + noise, POSITIONS, SyntaxSettings(), key="")
    assert found is not None
    assert found.period == pytest.approx(period, abs=0.3)
    assert found.p < 0.01
    assert found.autocorrelation > 0.1


def test_a_pure_wave_explains_all_of_the_variance() -> None:
    found = find_period(np.cos(2 * np.pi * POSITIONS / 10.5), POSITIONS, FEW, key="")
    assert found is not None
    assert found.power > 0.9


FLANKS = np.concatenate([np.arange(-150, -9), np.arange(10, 151)])


@pytest.mark.parametrize("positions", [POSITIONS, FLANKS], ids=["distances", "flanks"])
@pytest.mark.parametrize("smooth", [1, 4, 6])
def test_noise_has_no_period_also_where_it_is_smooth_along_the_dna(
    positions: np.ndarray, smooth: int
) -> None:
    random = np.random.default_rng(1)
    few = SyntaxSettings(permutations=39)
    p = []
    for number in range(70):
        noise = random.normal(size=len(positions) + smooth - 1)
        values = np.convolve(noise, np.ones(smooth) / smooth, "valid")
        found = find_period(values, positions, few, key=str(number))
        assert found is not None
        p.append(found.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert np.mean(np.array(p) <= 0.5) > 0.1


@pytest.mark.parametrize("shape", ["spike", "step", "slope", "decay"])
def test_what_does_not_return_is_no_period(shape: str) -> None:
    random = np.random.default_rng(2)
    added = {
        "spike": 30.0 * (POSITIONS == 40),
        "step": 10.0 * (POSITIONS < 31),
        "slope": -0.1 * POSITIONS,
        "decay": 10 * np.exp(-POSITIONS / 30),
    }[shape]
    p = []
    for number in range(40):
        found = find_period(random.normal(size=141) + added, POSITIONS, FEW, key=str(number))
        p.append(1.0 if found is None else found.p)
    assert np.mean(np.array(p) < 0.05) <= 0.1


def test_a_series_too_short_or_constant_has_no_period() -> None:
    assert find_period(np.ones(141), POSITIONS, FEW, key="") is None
    assert find_period(np.arange(39.0) % 10, np.arange(39), FEW, key="") is None


def test_a_period_depends_on_the_seed_and_the_name_alone() -> None:
    values = np.random.default_rng(3).normal(size=141)
    one, two = (find_period(values, POSITIONS, FEW, key="a") for _ in range(2))
    assert one == two
