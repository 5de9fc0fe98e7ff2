"""P-values, false discovery rates and quantiles follow their definitions; the null keeps what it promises."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.variants.alleles import check_variants
from cislex.variants.context import Context
from cislex.variants.significance import (
    draw_contexts,
    empirical_p,
    is_indel,
    quantiles,
    shuffled,
    significance,
)
from cislex.variants.windows import WindowOptions, cut_windows, drop_unfit, read_stretches
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import percentileofscore
from variants_genome import open_context, random_variants

OPTIONS = WindowOptions(length=40, shifts=(0, 3))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return open_context(tmp_path_factory.mktemp("genome"))


@pytest.fixture(scope="module")
def table(context: Context) -> pd.DataFrame:
    ledger = check_variants(random_variants(30), context)
    drop_unfit(ledger, context.genome.lengths, OPTIONS)
    return ledger.peaks[ledger.alive].reset_index(drop=True)


whole = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30)


@given(effects=whole, null=whole)
def test_p_counts_null_effects_at_least_as_large(effects: list[float], null: list[float]) -> None:
    expected = [(1 + sum(abs(n) >= abs(e) for n in null)) / (1 + len(null)) for e in effects]
    assert empirical_p(np.array(effects), np.array(null)).tolist() == expected


@given(values=whole, background=whole)
def test_quantiles_count_equal_values_half(values: list[float], background: list[float]) -> None:
    expected = [percentileofscore(background, value, kind="mean") / 100 for value in values]
    np.testing.assert_allclose(quantiles(np.array(values), np.array(background)), expected, atol=1e-12)


def test_p_and_q_follow_their_definitions(table: pd.DataFrame) -> None:
    """p: nulls of the same kind; q: least p n / rank of all p as large (Benjamini & Hochberg 1995)."""
    draws = draw_contexts(table, size=50)
    rng = np.random.default_rng(0)
    effects, null = rng.normal(size=len(table)), rng.normal(size=len(draws.variant)) * (1 + draws.indel)
    indel = is_indel(table)
    p, q = significance(effects, indel, null, draws)
    for i, effect in enumerate(effects):
        same = np.abs(null[draws.indel == indel[i]])
        assert p[i] == (1 + (same >= abs(effect)).sum()) / (1 + len(same))
        rates = [p[j] * len(p) / (p <= p[j]).sum() for j in range(len(p)) if p[j] >= p[i]]
        np.testing.assert_allclose(q[i], min(1, *rates))


def test_p_of_effects_from_the_null_itself_is_uniform() -> None:
    rng = np.random.default_rng(3)
    p = empirical_p(rng.normal(size=4000), rng.normal(size=4000))
    for level in (0.01, 0.05, 0.5):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(2 * level * (1 - level) / 4000)


def test_each_variant_is_in_the_null_about_equally_often(table: pd.DataFrame) -> None:
    draws = draw_contexts(table, size=47)
    indel = is_indel(table)
    assert Counter(draws.indel.tolist()) == {False: 47, True: 47}
    assert (indel[draws.variant] == draws.indel).all()
    for kind in (False, True):
        rows = (indel == kind) & ~table.duplicated(["at", "before", "after"])
        times = np.bincount(draws.variant[draws.indel == kind], minlength=len(table))[rows]
        assert times.sum() == 47
        assert times.max() - times.min() <= 1
    assert len(set(zip(draws.variant, draws.seed, strict=True))) == len(draws.seed)


def test_the_null_does_not_depend_on_the_order_of_variants(table: pd.DataFrame) -> None:
    order = np.random.default_rng(0).permutation(len(table))
    a, b = draw_contexts(table, size=40), draw_contexts(table.iloc[order].reset_index(drop=True), size=40)
    columns = ["at", "before", "after"]
    assert (
        table[columns].iloc[order[b.variant]].values.tolist()
        == table[columns].iloc[a.variant].values.tolist()
    )
    assert b.seed.tolist() == a.seed.tolist()
    assert draw_contexts(table, size=40, seed=1).seed.tolist() != a.seed.tolist()


def test_shuffled_contexts_keep_the_alleles_and_the_dinucleotides(
    context: Context, table: pd.DataFrame
) -> None:
    stretches = read_stretches(table, context, OPTIONS)
    found = shuffled(stretches, np.arange(len(table)))
    changed = 0
    for i in range(len(table)):
        first = stretches.pad + stretches.place[i]
        own = slice(first, first + stretches.before[i])
        assert (found.codes[i, own] == stretches.codes[i, own]).all()
        assert ((found.codes[i] == 4) == (stretches.codes[i] == 4)).all()
        changed += (found.codes[i] != stretches.codes[i]).mean() > 0.3
        # Outside of the alleles' own columns and of those beside them, dinucleotides were only moved.
        inside = np.flatnonzero(stretches.codes[i] != 4)
        counts = [
            Counter(zip(row[inside[:-1]].tolist(), row[inside[1:]].tolist(), strict=True))
            for row in (stretches.codes[i], found.codes[i])
        ]
        assert sum((counts[0] - counts[1]).values()) <= stretches.before[i] + 1
    assert changed > len(table) / 2
    pairs = cut_windows(found, OPTIONS)
    assert len(pairs.rows) == 4 * len(table), "no two shuffles share a window"


def test_a_shuffle_does_not_depend_on_what_else_is_in_the_block(
    context: Context, table: pd.DataFrame
) -> None:
    together = cut_windows(shuffled(read_stretches(table, context, OPTIONS), np.arange(len(table))), OPTIONS)
    for i in (0, len(table) - 1):
        alone = cut_windows(
            shuffled(read_stretches(table.iloc[i : i + 1], context, OPTIONS), np.array([i])), OPTIONS
        )
        rows = {together.rows[r].tobytes() for r in together.alternative[together.variant == i]}
        assert {row.tobytes() for row in alone.rows[alone.alternative]} == rows


def test_what_cannot_be_compared_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="null size: found 0"):
        draw_contexts(table, size=0)
    with pytest.raises(InputError, match="background: found 2 predictions, 1 of them not finite"):
        quantiles(np.zeros(2), np.array([1, np.nan]))
