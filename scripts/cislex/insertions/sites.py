"""Real sites of words: cut out of their own sequence, and moved into other contexts at the same place.

Of each site and each of m contexts there are three sequences besides the site's own: the own one with the
site's bases replaced (*ablated*), the context, and the context with the site's bases (*moved*). The effect in
the own sequence is f(own) − f(ablated), in the others f(moved) − f(context), means over the m contexts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError
from cislex.insertions.backgrounds import Codes, seed_of
from cislex.logs import get_logger
from cislex.sequences.shuffles import shuffled_codes
from cislex.sequences.store import SequenceStore
from cislex.syntax.placed_hits import PlacedHits, place_hits

ABLATIONS = ("background", "shuffle", "dinucleotide_shuffle")
logger = get_logger("sites")

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """Which sites are cut out and moved, and how.

    Parameters
    ----------
    n
        Sites of each word, at most, drawn at random.
    contexts
        Backgrounds of each site.
    ablation
        What takes the place of a site: the bases that the context has there (``background``), or a shuffle of
        the site's own bases (``shuffle``, or ``dinucleotide_shuffle``, which leaves short sites little room).
    seed
        Of the draws.
    """

    n: int = 100
    contexts: int = 10
    ablation: str = "background"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ablation not in ABLATIONS:
            raise ConfigError(
                f"sites.ablation: found {self.ablation!r}, expected one of {', '.join(ABLATIONS)}"
            )
        if min(self.n, self.contexts) < 1:
            raise ConfigError(f"sites: found n {self.n} and contexts {self.contexts}, expected 1 or more")


@dataclass(frozen=True)
class Sites:
    """Sites in their sequences.

    Attributes
    ----------
    word
        Number of each site's insert, (h,).
    sequences
        The sequences that they lie in, codes (h, L).
    start, end
        Where, 0-based half-open, (h,).
    contexts
        Numbers of each site's backgrounds, (h, m).
    regions
        ``chrom, start, end, name, strand`` of each site on the genome; the name is that of its region.
    """

    word: Ints
    sequences: Codes
    start: Ints
    end: Ints
    contexts: Ints
    regions: pd.DataFrame

    def __len__(self) -> int:
        return len(self.word)


def choose_sites(
    hits: str | Path,
    regions: str | Path,
    store: SequenceStore,
    words: Sequence[str],
    settings: SiteSettings,
    *,
    backgrounds: int,
    left_out: Collection[str] = (),
) -> Sites:
    """Draw sites of each word among its hits.

    Parameters
    ----------
    hits, regions
        ``hits.bed.gz`` of a target, and ``regions.bed``. Hits that give way to an overlapping one do not
        count.
    store
        Sequences of the regions.
    words
        Identifiers of the words, as the hits have them; one without hits, or ``""``, has no sites.
    settings
        How many.
    backgrounds
        How many there are.
    left_out
        Words whose hits do not count, such as composites.

    Raises
    ------
    ConfigError
        There are fewer backgrounds than contexts.
    InputError
        Regions and sequences are not of one analysis.
    """
    if settings.contexts > backgrounds:
        raise ConfigError(f"sites.contexts: found {settings.contexts}; there are {backgrounds} backgrounds")
    placed = place_hits(hits, regions, left_out=left_out)
    if (len(placed.regions), placed.length) != (store.n, store.length):
        raise InputError(
            f"{regions}: {len(placed.regions)} regions of {placed.length} bp; {store.path} has {store.n} of "
            f"{store.length} bp: they are not of one analysis"
        )
    starts = _starts(placed)
    chosen: list[tuple[int, int]] = []
    for number, word in enumerate(words):
        found = _draw(placed, starts, store, word, settings)
        if word and not found:
            logger.warning("%s: no site to cut out, as %s has no hit of it", word, hits)
        chosen += [(number, hit) for hit in found]
    return _collect(placed, starts, store, chosen, settings, backgrounds)


def _starts(hits: PlacedHits) -> Ints:
    """First base of each hit in its sequence, which on the minus strand is the reverse complement."""
    length = hits.length
    minus = (hits.regions["strand"] == "-").to_numpy()[hits.region]
    centre = np.where(minus, length - 1 - length // 2, length // 2)
    return np.asarray((hits.offset + 2 * centre + 1 - hits.width) // 2)


def _draw(
    hits: PlacedHits, starts: Ints, store: SequenceStore, word: str, settings: SiteSettings
) -> list[int]:
    """Numbers of up to n hits of a word, without unknown bases in their sequences."""
    if word not in hits.words:
        return []
    own = hits.slices()[hits.words.index(word)]
    order = np.random.default_rng(seed_of(settings.seed, "sites", word)).permutation(own.stop - own.start)
    found: list[int] = []
    for hit in own.start + order:
        row = int(hits.region[hit])
        if store.read(row, row + 1)[0].any(axis=0).all():
            found.append(int(hit))
        if len(found) == settings.n:
            break
    return sorted(found)


def _collect(
    hits: PlacedHits,
    starts: Ints,
    store: SequenceStore,
    chosen: Sequence[tuple[int, int]],
    settings: SiteSettings,
    backgrounds: int,
) -> Sites:
    word, hit = np.array(chosen, np.int64).reshape(-1, 2).T
    row, start, width = hits.region[hit], starts[hit], hits.width[hit]
    codes = [store.read(int(one), int(one) + 1)[0].argmax(axis=0) for one in row]
    contexts = [
        np.random.default_rng(seed_of(settings.seed, "contexts", one, first)).permutation(backgrounds)
        for one, first in zip(row, start, strict=True)
    ]
    own = hits.regions.iloc[row].reset_index(drop=True)
    minus = (own["strand"] == "-").to_numpy()
    begin = np.where(minus, own["end"].to_numpy() - start - width, own["start"].to_numpy() + start)
    strand = np.where(minus, -hits.strand[hit], hits.strand[hit])
    places = {"chrom": own["chrom"], "start": begin, "end": begin + width, "name": own["name"]}
    return Sites(
        word,
        np.array(codes, np.uint8).reshape(len(hit), store.length),
        start,
        start + width,
        np.array(contexts, np.int64).reshape(len(hit), backgrounds)[:, : settings.contexts],
        pd.DataFrame(places | {"strand": np.where(strand < 0, "-", "+")}),
    )


def site_sequences(sites: Sites, number: int, backgrounds: Codes, settings: SiteSettings) -> Codes:
    """The 1 + 3 m sequences of a site: its own; m ablated; the m contexts; these with the site.

    Parameters
    ----------
    sites, number
        The site.
    backgrounds
        All of them, codes (n, L).
    settings
        How sites are ablated.
    """
    own, place = sites.sequences[number], slice(int(sites.start[number]), int(sites.end[number]))
    contexts = backgrounds[sites.contexts[number]]
    ablated = np.repeat(own[None], len(contexts), axis=0)
    if settings.ablation == "background":
        ablated[:, place] = contexts[:, place]
    else:
        ablated[:, place] = _shuffles(own[place], len(contexts), settings, (number, place.start))
    moved = contexts.copy()
    moved[:, place] = own[place]
    return np.concatenate([own[None], ablated, contexts, moved])


def _shuffles(site: Codes, n: int, settings: SiteSettings, key: tuple[int, int]) -> Codes:
    """Shuffles of a site's bases, codes (n, w); every one that keeps the counts is as likely."""
    seeds = np.array([seed_of(settings.seed, "ablation", *key)], np.int64)
    both = settings.ablation == "dinucleotide_shuffle"
    return shuffled_codes(site[None], seeds, n, dinucleotides=both, uniform=True)[0]


def site_effects(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Effects in the own sequence and in the contexts, (h,) each, from predictions (h, 1 + 3 m)."""
    m = (values.shape[1] - 1) // 3
    own, ablated, contexts, moved = np.split(values, [1, 1 + m, 1 + 2 * m], axis=1)
    return own[:, 0] - ablated.mean(axis=1), (moved - contexts).mean(axis=1)
