"""How unusual effects are: against the same substitutions in shuffled contexts, and against other sequences.

The null: windows around a variant are shuffled so that dinucleotides stay, its bases are put back, and both
alleles are compared as before. All variants of a kind (substitutions; indels) share the effects of their
nulls, taken over shifts, strands and folds as those of the variants are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError
from cislex.multiple_testing import adjust_p_values
from cislex.provenance import locus_seeds
from cislex.training.negatives import shuffle_codes
from cislex.variants.windows import Stretches

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Variants in shuffled contexts.

    Attributes
    ----------
    variant
        (K,) int64: which variant.
    seed
        (K,) int64: of the shuffle.
    indel
        (K,) bool: the kind.
    """

    variant: NDArray[np.int64]
    seed: NDArray[np.int64]
    indel: NDArray[np.bool_]


def is_indel(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a variant changes the length, (N,)."""
    found: NDArray[np.bool_] = (table["before"].str.len() != table["after"].str.len()).to_numpy(bool)
    return found


def draw_contexts(table: pd.DataFrame, *, size: int, seed: int = 0) -> Draws:
    """Choose variants and seeds of the null; independent of the order of variants.

    Parameters
    ----------
    table
        The variants.
    size
        Contexts of each kind that there is. Variants take turns, so each is in the null almost equally often.
    seed
        Of the choice and of the shuffles.
    """
    if size < 1:
        raise ConfigError(f"null size: found {size}, expected at least 1 context")
    ends = table["at"] + table["before"].str.len()
    change = table["before"] + ">" + table["after"]
    keys = locus_seeds("null", table["chrom"], table["at"], ends, change, seed)
    indel, variants, seeds = is_indel(table), [], []
    first = ~table.duplicated(["chrom", "at", "before", "after"]).to_numpy(bool)
    for kind in (False, True):
        rows = np.flatnonzero((indel == kind) & first)
        if not len(rows):
            continue
        ties = (change.iloc[rows], table["at"].iloc[rows], table["chrom"].iloc[rows])
        rows = rows[np.lexsort((*ties, keys[rows]))]
        turn, which = np.divmod(np.arange(size), len(rows))
        variants.append(rows[which])
        seeds.append(keys[rows[which]] + turn)
    chosen = np.concatenate(variants) if variants else np.zeros(0, dtype=np.int64)
    return Draws(chosen, np.concatenate(seeds) if seeds else chosen, indel[chosen])


def shuffled(stretches: Stretches, seeds: NDArray[np.int64]) -> Stretches:
    """The same variants in shuffled contexts, one for each seed.

    Every window that shares a variant's context shows the same shuffle; no two variants share one.
    """
    codes = shuffle_codes(stretches.codes, seeds)
    columns = np.arange(codes.shape[1])[None] - stretches.pad - stretches.place[:, None]
    own = (columns >= 0) & (columns < stretches.before[:, None])
    return replace(stretches, codes=np.where(own, stretches.codes, codes), loci=np.arange(len(codes)))


def empirical_p(effects: Values, null: Values) -> Values:
    """Two-sided p-values: (1 + null effects at least as large in absolute value) / (1 + all of them).

    Parameters
    ----------
    effects
        (N,).
    null
        (M,), M at least 1.
    """
    if not len(null):
        raise InputError("null: found no effects, expected at least one")
    ordered = np.sort(np.abs(null))
    reached = len(ordered) - np.searchsorted(ordered, np.abs(effects), side="left")
    p: Values = (1 + reached) / (1 + len(ordered))
    return p


def significance(
    effects: Values, indel: NDArray[np.bool_], null: Values, draws: Draws
) -> tuple[Values, Values]:
    """P-values and Benjamini-Hochberg false discovery rates of variants.

    Parameters
    ----------
    effects, indel
        (N,) each.
    null
        (K,): effects of the draws.

    Returns
    -------
    p, q : float64 (N,)
        p of each variant against the nulls of its kind; q over all variants.
    """
    p = np.ones(len(effects))
    for kind in _kinds(indel):
        p[indel == kind] = empirical_p(effects[indel == kind], null[draws.indel == kind])
    return p, adjust_p_values(p)


def _kinds(indel: NDArray[np.bool_]) -> Iterator[bool]:
    return (kind for kind in (False, True) if (indel == kind).any())


def quantiles(values: Values, background: Values) -> Values:
    """Share of the background below each value, equal ones counted half, (N,).

    Raises
    ------
    InputError
        When the background is empty or has a value that is no number.
    """
    ordered = np.sort(np.asarray(background, dtype=np.float64))
    if not len(ordered) or not np.isfinite(ordered).all():
        raise InputError(
            f"background: found {len(ordered)} predictions, {int((~np.isfinite(ordered)).sum())} of them not "
            "finite; expected at least one, all finite"
        )
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    found: Values = below / (2 * len(ordered))
    return found
