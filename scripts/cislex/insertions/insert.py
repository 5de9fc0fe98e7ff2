"""Effects of all constructs and sites, from the chunks of all folds, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.tables import open_hdf5, write_table
from cislex.insertions.constructs import Grid
from cislex.insertions.effects import Estimate, estimate, rounding, scale_of
from cislex.insertions.inserts import Insert
from cislex.insertions.plan_files import Plan, read_plan
from cislex.insertions.sites import site_effects
from cislex.logs import get_logger
from cislex.multiple_testing import adjust_p_values
from cislex.targets import targets
from cislex.wording import counted

Values = NDArray[np.float64]

INSERTION_COLUMNS = [
    *("target", "kind", "word_a", "name_a", "word_b", "name_b", "orientation", "distance"),
    *("n", "before", "effect", "low", "high", "p", "q", "expected"),
    *("cooperativity", "cooperativity_low", "cooperativity_high", "cooperativity_p", "cooperativity_q"),
    *("spread", "scale", "start_a", "start_b"),
]
#: What is estimated of the sites of a word: each has a mean, an interval, p and q.
SITE_EFFECTS = ("own", "moved", "context")
CONTEXT_COLUMNS = [
    *("target", "word", "name", "n"),
    *(f"{what}{end}" for what in SITE_EFFECTS for end in ("", "_low", "_high", "_p", "_q")),
]
logger = get_logger("insertions")


def insert_motifs(
    plan: str | Path,
    chunks: Mapping[str, Sequence[str | Path]],
    out: str | Path,
    contexts: str | Path,
    sites: str | Path,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    precision: str = "float32",
) -> None:
    """Write the tables of an experiment.

    Parameters
    ----------
    plan
        ``plan.h5``.
    chunks
        Chunk files of each fold, in order.
    out
        Written: ``insertions.tsv``, one row for each construct and target. Predictions are means over the
        folds; ``spread`` is the standard deviation of the effect over them.
    contexts, sites
        Written: one row for each word with sites and target, and one for each site.
    wanted
        Settings of each target.
    precision
        In which the model was computed.

    Raises
    ------
    StorageError
        A chunk is missing, or is of another plan.
    """
    found = read_plan(plan)
    grid = found.grid()
    tables, swaps = [], []
    per_site = found.sites.regions.assign(
        word=[found.inserts[word].identifier for word in found.sites.word],
        word_name=[found.inserts[word].name for word in found.sites.word],
    ).rename(columns={"name": "region", "word_name": "name"})
    digest = found.digest()
    for name, target in targets.all_from_config(wanted).items():
        folds = np.stack([_read(paths, "insertions", name, digest) for paths in chunks.values()])
        scale = scale_of(target)
        tables.append(effect_table(found.inserts, grid, folds, precision).assign(target=name, scale=scale))
        if found.site_settings is not None:
            values = np.mean([_read(paths, "sites", name, digest) for paths in chunks.values()], axis=0)
            own, moved = site_effects(values)
            swaps.append(context_table(found, values, precision).assign(target=name))
            per_site = per_site.assign(**{f"{name}.own": own, f"{name}.moved": moved})
    write_table(pd.concat(tables, ignore_index=True)[INSERTION_COLUMNS], out)
    swapped = pd.concat(swaps, ignore_index=True) if swaps else pd.DataFrame(columns=CONTEXT_COLUMNS)
    write_table(swapped[CONTEXT_COLUMNS], contexts)
    first = ["chrom", "start", "end", "name", "strand", "word", "region"]
    write_table(per_site[[*first, *(c for c in per_site.columns if c not in first)]], sites)
    _log(found, tables)


def _read(paths: Sequence[str | Path], kind: str, target: str, digest: str) -> Values:
    """Predictions of all chunks of a fold."""
    parts = []
    for path in paths:
        with open_hdf5(path, what="chunk of insertions", datasets=(f"{kind}/{target}",)) as handle:
            if handle.attrs["plan"] != digest:
                raise StorageError(f"{path}: belongs to another plan; delete it and run again")
            parts.append(handle[f"{kind}/{target}"][...])
    return np.concatenate(parts)


def effect_table(inserts: Sequence[Insert], grid: Grid, folds: Values, precision: str) -> pd.DataFrame:
    """Effects and co-operativity of all constructs of a target.

    Parameters
    ----------
    inserts, grid
        What was put where.
    folds
        Predictions of F folds, (F, n, C).
    precision
        In which they were computed: differences within its rounding are none.
    """
    table, values = grid.table, folds.mean(axis=0)
    before = values[:, :1]
    columns = table["construct"].to_numpy(np.int64)
    found = estimate(values[:, columns] - before, rounding(precision, values[:, columns], before))
    by_fold = (folds[:, :, columns] - folds[:, :, :1]).mean(axis=1)
    pair = (table["kind"] == "pair").to_numpy()
    result = pd.DataFrame(
        {
            "kind": table["kind"],
            **_names(inserts, table["insert_a"], "a"),
            **_names(inserts, table["insert_b"], "b"),
            "orientation": table["orientation"],
            "distance": table["distance"],
            "n": len(values),
            "before": before.mean(),
            "effect": found.mean,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "q": _by_kind(found.p, pair),
            "spread": by_fold.std(axis=0) if len(folds) > 1 else np.nan,
            "start_a": table["start_a"],
            "start_b": table["start_b"],
        }
    )
    alone = [table.loc[pair, name].to_numpy(np.int64) for name in ("alone_a", "alone_b")]
    both, a, b = (values[:, chosen] for chosen in (columns[pair], *alone))
    together = estimate(both - a - b + before, rounding(precision, both, a, b, before))
    added = {
        "expected": (a + b - 2 * before).mean(axis=0),
        "cooperativity": together.mean,
        "cooperativity_low": together.low,
        "cooperativity_high": together.high,
        "cooperativity_p": together.p,
        "cooperativity_q": adjust_p_values(together.p),
    }
    for name, numbers in added.items():
        result[name] = np.nan
        result.loc[pair, name] = numbers
    return result


def _names(inserts: Sequence[Insert], numbers: pd.Series, end: str) -> dict[str, list[str]]:
    known = [None if pd.isna(number) else inserts[int(number)] for number in numbers]
    return {
        f"word_{end}": ["" if one is None else one.identifier for one in known],
        f"name_{end}": ["" if one is None else one.name for one in known],
    }


def _by_kind(p: Values, pair: NDArray[np.bool_]) -> Values:
    q = np.empty_like(p)
    for kind in (pair, ~pair):
        q[kind] = adjust_p_values(p[kind])
    return q


def context_table(plan: Plan, values: Values, precision: str) -> pd.DataFrame:
    """Effects of each word's sites in their own sequences and in the contexts, and their difference."""
    rows: list[dict[str, Any]] = []
    for number in np.unique(plan.sites.word):
        own = values[plan.sites.word == number]
        at_home, moved = site_effects(own)
        tolerance = rounding(precision, np.abs(own).max(axis=1))
        row: dict[str, Any] = {"word": plan.inserts[number].identifier, "name": plan.inserts[number].name}
        row["n"] = len(own)
        for what, differences in zip(SITE_EFFECTS, (at_home, moved, at_home - moved), strict=True):
            row |= _columns(what, estimate(differences, tolerance[:, None]))
        rows.append(row)
    table = pd.DataFrame(rows, columns=[name for name in CONTEXT_COLUMNS if name != "target"])
    for what in SITE_EFFECTS:
        table[f"{what}_q"] = adjust_p_values(table[f"{what}_p"].to_numpy(np.float64))
    return table


def _columns(what: str, found: Estimate) -> dict[str, float]:
    parts = {"": found.mean, "_low": found.low, "_high": found.high, "_p": found.p}
    return {f"{what}{end}": float(values[0]) for end, values in parts.items()}


def _log(plan: Plan, tables: Sequence[pd.DataFrame]) -> None:
    table = pd.concat(tables, ignore_index=True)
    called = table[table["q"] < 0.05]["kind"].value_counts()
    both = int((table["cooperativity_q"] < 0.05).sum())
    pairs = int((table["kind"] == "pair").sum())
    logger.info(
        "%s in %s, %s together: %d of %s and %d of %s at q < 0.05; %s from what the motifs do alone",
        counted(len(plan.inserts), "motif"), counted(len(plan.backgrounds), "background"),
        counted(len(tables), "target"), called.get("single", 0), counted(len(table) - pairs, "single effect"),
        called.get("pair", 0), counted(pairs, "arrangement of pairs", "arrangements of pairs"),
        counted(both, "arrangement differs", "arrangements differ"),
    )  # fmt: skip
