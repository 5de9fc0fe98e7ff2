"""Who uses which word: seqlets, regions, contributions and hits of every word in every target."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.annotated_matrix import write_h5ad
from cislex.files.tables import open_hdf5, read_regions, require_file, write_table
from cislex.files.text_tables import read_numbers
from cislex.lexicon.patterns import PLACES
from cislex.lexicon.recall import Seqlets, seqlet_recall
from cislex.logs import get_logger
from cislex.motifs.hits import read_hits
from cislex.wording import counted

COLUMNS = [
    *("word", "name", "analysis", "target", "n_seqlets", "n_hits", "n_regions", "mean_contribution", "sign"),
    *("n_patterns", "n_hit_regions", "mean_hit_contribution", "seqlet_recall"),
]
MEANS = ("mean_contribution", "mean_hit_contribution", "seqlet_recall")
COUNTS = ("n_seqlets", "n_hits", "n_regions", "n_patterns", "n_hit_regions")
#: Layers of ``usage.h5ad`` and the columns that they are.
LAYERS = {
    "seqlets": "n_seqlets",
    "regions": "n_regions",
    "mean_contribution": "mean_contribution",
    "hits": "n_hits",
    "hit_regions": "n_hit_regions",
    "mean_hit_contribution": "mean_hit_contribution",
    "seqlet_recall": "seqlet_recall",
}
#: Columns of ``lexicon.tsv`` that describe the rows of ``usage.h5ad``.
DESCRIBED = ("name", "sign", "consensus", "match", "database", "composite_of", "n_seqlets", "n_targets")
TEXTS = (
    *("word", "name", "sign", "consensus", "match", "database", "composite_of", "match_name", "flagged"),
    *("pattern", "analysis", "target", "orientation", "motif", "left_out"),
)

logger = get_logger("lexicon")


@dataclasses.dataclass(frozen=True)
class LexiconInputs:
    """What ``combine_lexicon`` wrote: ``lexicon.tsv``, ``lexicon_members.tsv`` and ``lexicon.h5``."""

    words: str | Path
    members: str | Path
    modisco: str | Path


@dataclasses.dataclass(frozen=True)
class UsageSource:
    """A target and its hits.

    Parameters
    ----------
    analysis, target
        As in the lexicon.
    hits
        ``hits.bed.gz``, called with the words of the lexicon; None: not called.
    attributions
        ``attributions.h5``, for the places of its regions; None: which seqlets are hit is not asked.
    """

    analysis: str
    target: str
    hits: str | Path | None = None
    attributions: str | Path | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Analysis and target."""
        return self.analysis, self.target


def summarise_usage(
    lexicon: LexiconInputs, sources: Iterable[UsageSource], table: str | Path, matrix: str | Path
) -> pd.DataFrame:
    """Count seqlets, hits and regions of each word in each target, in any order of targets.

    Parameters
    ----------
    lexicon
        Its files.
    sources
        All targets of the lexicon.
    table
        ``usage.tsv`` to write: one row for each word and target, zeros included (docs/output.md).
    matrix
        ``usage.h5ad`` to write: the same as an annotated matrix of words and targets.

    Returns
    -------
    pandas.DataFrame
        The table as written.

    Raises
    ------
    InputError
        When the files are not of one lexicon and its targets, or hits were not called with its words.
    StorageError
        When a file is broken.
    """
    ordered = sorted(sources, key=lambda source: source.key)
    words = read_numbers(require_file(lexicon.words, what="lexicon"), texts=TEXTS)
    members = read_numbers(require_file(lexicon.members, what="members of the lexicon"), texts=TEXTS)
    with open_hdf5(lexicon.modisco, what="lexicon") as handle:
        numbers = _numbers(handle, ordered)
        used = members[members["word"] != ""].groupby(["word", "analysis", "target"])
        patterns = {tuple(map(str, key)): rows for key, rows in used}
        placed = {word["word"]: _read_seqlets(handle, word["pattern"]) for word in words.to_dict("records")}
        parts = []
        for source in ordered:
            hits = None if source.hits is None else _read_hits(source.hits, words, lexicon)
            parts.append(_usage_of(source, words, patterns, placed, numbers[source.key], hits))
    frame = pd.concat(parts, ignore_index=True)
    places = {word: place for place, word in enumerate(words["word"])}
    frame = frame.sort_values("word", key=lambda column: column.map(places), kind="stable", ignore_index=True)
    write_table(frame, table)
    _write_matrix(frame, words, ordered, matrix)
    number = counted(len(words), "word or composite", "words and composites")
    logger.info("%s in %s", number, counted(len(ordered), "target"))
    return frame


def _numbers(handle: h5py.File, sources: list[UsageSource]) -> dict[tuple[str, str], int]:
    """The number of each target in ``seqlets/source``."""
    known = [tuple(key) for key in json.loads(handle.attrs["sources"])]
    keys = [source.key for source in sources]
    if sorted(known) != keys:
        wrong = [" / ".join(key) for key in sorted(set(known) ^ set(keys))] or ["a target given twice"]
        raise InputError(
            f"usage: {handle.filename} is the lexicon of other targets: {offenders(wrong)}; combine the "
            "lexicon again"
        )
    return {(str(key[0]), str(key[1])): number for number, key in enumerate(known)}


def _read_hits(path: str | Path, words: pd.DataFrame, lexicon: LexiconInputs) -> pd.DataFrame:
    hits = read_hits(path)
    strange = sorted(set(hits["word"]) - set(words["word"])) if "word" in hits else ["no column `word`"]
    if strange:
        raise InputError(
            f"usage: {path} was not called with the words of {lexicon.words}: {offenders(strange)}; call "
            "hits again"
        )
    return hits


def _usage_of(
    source: UsageSource,
    words: pd.DataFrame,
    patterns: dict[tuple[str, ...], pd.DataFrame],
    placed: Mapping[str, Seqlets | None],
    number: int,
    hits: pd.DataFrame | None,
) -> pd.DataFrame:
    """One row for each word."""
    found = None if hits is None else dict(iter(hits.groupby("word")))
    regions = None if hits is None else _read_places(source.attributions)
    rows = []
    for word in words.to_dict("records"):
        members = patterns.get((word["word"], *source.key))
        seqlets = _of_target(placed[word["word"]], number)
        row = {"word": word["word"], "name": word["name"], "analysis": source.analysis}
        row |= {"target": source.target} | _seqlets(members, word, seqlets)
        if found is not None and not word["composite_of"] and not word["flagged"]:
            own = found.get(word["word"])
            row |= _hits(own)
            if regions is not None and seqlets is not None:
                row["seqlet_recall"] = seqlet_recall(seqlets, word, regions, own)
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(MEANS, float)
    )


def _read_places(path: str | Path | None) -> pd.DataFrame | None:
    if path is None:
        return None
    with open_hdf5(path, what="attributions", datasets=("regions",)) as handle:
        return read_regions(handle)


def _read_seqlets(lexicon: h5py.File, pattern: str) -> Seqlets | None:
    """Where the seqlets of a word lie; None where a file of patterns did not say so."""
    group = lexicon[f"{pattern}/seqlets"]
    return {name: group[name][()] for name in (*PLACES, "source")} if "source" in group else None


def _of_target(seqlets: Seqlets | None, number: int) -> Seqlets | None:
    if seqlets is None:
        return None
    own = seqlets["source"] == number
    return {name: values[own] for name, values in seqlets.items()}


def _seqlets(
    members: pd.DataFrame | None, word: Mapping[Hashable, Any], seqlets: Seqlets | None
) -> dict[str, object]:
    if members is None:
        return {"n_patterns": 0, "n_seqlets": 0, "n_regions": 0, "sign": ""}
    numbers = members["n_seqlets"].to_numpy(np.int64)
    total = int(numbers.sum())
    weighted = float(members["contribution"].to_numpy(np.float64) @ numbers)
    return {
        "n_patterns": len(members),
        "n_seqlets": total,
        "n_regions": None if seqlets is None else len(np.unique(seqlets["example_idx"])),
        "mean_contribution": weighted / total if total else None,
        "sign": word["sign"],
    }


def _hits(hits: pd.DataFrame | None) -> dict[str, object]:
    if hits is None:
        return {"n_hits": 0, "n_hit_regions": 0}
    return {
        "n_hits": len(hits),
        "n_hit_regions": hits["region"].nunique(),
        "mean_hit_contribution": float(hits["contribution"].mean()),
    }


def _write_matrix(
    usage: pd.DataFrame, words: pd.DataFrame, sources: list[UsageSource], path: str | Path
) -> None:
    """Words by targets: ``X`` holds seqlets, layers the rest; NaN where a number is not known."""

    def values(column: str) -> NDArray[np.float64]:
        numbers = usage[column].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        return np.asarray(numbers, np.float64).reshape(len(words), len(sources))

    keys = pd.DataFrame([source.key for source in sources], columns=["analysis", "target"])
    write_h5ad(
        path,
        values("n_seqlets"),
        rows=words.set_index("word")[[name for name in DESCRIBED if name in words]],
        columns=keys.set_index(keys["analysis"] + "/" + keys["target"]),
        layers={layer: values(column) for layer, column in LAYERS.items()},
    )
