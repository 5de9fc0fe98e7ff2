"""Prepare an experiment: read the motifs, make the backgrounds, draw the sites, lay out the constructs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cislex.errors import ConfigError, offenders
from cislex.files.tables import write_table
from cislex.insertions.backgrounds import BackgroundSettings, make_backgrounds
from cislex.insertions.constructs import GridSettings, make_grid
from cislex.insertions.inserts import Insert, read_inserts, read_words
from cislex.insertions.plan_files import Plan, no_sites, write_plan
from cislex.insertions.sites import SiteSettings, choose_sites
from cislex.logs import get_logger
from cislex.sequences.store import SequenceStore
from cislex.syntax.vocabulary import read_vocabulary
from cislex.wording import counted

INSERT_COLUMNS = ["word", "name", "source", "width", "inserted"]
logger = get_logger("insertions")


@contextmanager
def under(key: str) -> Iterator[None]:
    """Put the key of an experiment before the keys with which errors of its settings begin.

    Parameters
    ----------
    key
        ``insertions.mine``; empty: none.
    """
    try:
        yield
    except ConfigError as error:
        if not key:
            raise
        raise ConfigError(f"{key}.{error}") from error


def prepare_insertions(
    sequences: str | Path,
    out: str | Path,
    table: str | Path,
    *,
    words: str | Sequence[str] | None = None,
    lexicon: tuple[str | Path, str | Path] | None = None,
    meme: str | Path | None = None,
    strings: Mapping[str, str] | None = None,
    form: str = "consensus",
    grid: GridSettings | None = None,
    backgrounds: BackgroundSettings | None = None,
    sites: SiteSettings | None = None,
    hits: str | Path | None = None,
    regions: str | Path | None = None,
    **genome: Any,
) -> None:
    """Write the plan of an experiment, and a table of what is inserted.

    Parameters
    ----------
    sequences
        ``sequences.h5`` of the analysis.
    out, table
        Written: ``plan.h5`` and ``inserts.tsv``.
    words, lexicon
        Words of the lexicon (``all``, or words or names), and ``lexicon.tsv`` with ``lexicon.meme``.
    meme, strings, form
        Further motifs, and what is inserted of a motif, see ``inserts.py``.
    grid, backgrounds
        Pairs, and sequences to insert into.
    sites, hits, regions
        Real sites that are cut out and moved: ``hits.bed.gz`` of a target, and ``regions.bed``.
    **genome
        See :func:`cislex.insertions.backgrounds.make_backgrounds`.

    Raises
    ------
    ConfigError, InputError, StorageError
        Before anything is computed on a GPU.
    """
    grid, backgrounds = grid or GridSettings(), backgrounds or BackgroundSettings()
    found: list[Insert] = []
    if words is not None:
        if lexicon is None:
            raise ConfigError("words: there is no lexicon; set lexicon, or insert motifs or strings")
        chosen = None if isinstance(words, str) and words == "all" else words
        found = read_words(*lexicon, [chosen] if isinstance(chosen, str) else chosen, form=form)
    with SequenceStore(sequences) as store:
        inserts = read_inserts(words=found, meme=meme, strings=strings, form=form, length=store.length)
        if not inserts:  # a lexicon may have no word, which must not end a run
            logger.warning("no motif is inserted: the lexicon has no word, and no other motif is given")
        laid_out = make_grid(inserts, grid, store.length)
        constructs = laid_out.constructs
        codes, names = make_backgrounds(backgrounds, store, **genome)
        real = no_sites(store.length)
        if sites is not None:
            if hits is None or regions is None:
                raise ConfigError("sites: hits and regions are needed to cut out sites")
            own = [insert.identifier if insert.source == "lexicon" else "" for insert in inserts]
            left_out = read_vocabulary(lexicon[0]).composites if lexicon else ()
            real = choose_sites(hits, regions, store, own, sites, backgrounds=len(codes), left_out=left_out)
        write_plan(Plan(inserts, grid, codes, names, backgrounds.seed, real, sites), out)
    rows = [(one.identifier, one.name, one.source, one.width, one.letters) for one in inserts]
    write_table(pd.DataFrame(rows, columns=INSERT_COLUMNS), table)
    per_site = 0 if sites is None else 1 + 3 * sites.contexts
    if laid_out.misfits:
        misfits = counted(laid_out.misfits, "distance")
        logger.info("%s of pairs left out, at which they would overlap", misfits)
    if laid_out.without:
        logger.warning("pairs that fit at no distance: %s", offenders(laid_out.without))
    logger.info(
        "%s, %s in %s and %s: %s for each fold",
        counted(len(inserts), "motif"), counted(len(constructs) - 1, "construct"),
        counted(len(codes), "background"), counted(len(real), "site"),
        counted(len(constructs) * len(codes) + per_site * len(real), "sequence"),
    )  # fmt: skip
