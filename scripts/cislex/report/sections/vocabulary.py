"""Section about the vocabulary of all targets: the words of the lexicon, and which target uses which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from cislex.errors import StorageError
from cislex.files.tables import open_hdf5
from cislex.report.facts import cell, count, equation, probability
from cislex.report.figures.motif_logos import motif_logo
from cislex.report.places import target_anchor
from cislex.report.sections.methods_sentences import some
from cislex.report.sections.motifs import database_label
from cislex.report.specs import LexiconTables
from cislex.report.tables import numbers, read_table
from cislex.report.template import capital

#: Words and targets that the tables hold.
WORDS_SHOWN, TARGETS_SHOWN = 300, 200
#: Shares below this are not written into their cell.
LEAST_WRITTEN = 0.005


@dataclass(frozen=True)
class WordRow:
    """A word as the table shows it; ``logo`` is None where no file has its matrix."""

    name: str
    word: str
    logo: Markup | None
    sign: str
    consensus: str
    match: str
    matrix: str
    seqlets: int
    targets: str

    @property
    def search(self) -> str:
        """What a search finds it by."""
        return " ".join(filter(None, [self.name, f"word {self.word}", self.match.strip("–"), self.consensus]))


@dataclass(frozen=True)
class HeatCell:
    """Use of a word by a target: the share as the cell writes it, its strength (0 to 1), and the seqlets."""

    written: str
    strength: float
    seqlets: int


@dataclass(frozen=True)
class HeatMap:
    """Use of words (rows) by targets (columns): names and ids of the targets, each word's row and cells."""

    targets: list[tuple[str, str]]
    rows: list[tuple[WordRow, list[HeatCell]]]


@dataclass(frozen=True)
class VocabularyView:
    """The lexicon in a few sentences, its words and composites, and a heat map of words by targets.

    Parameters
    ----------
    text, left_out
        Ready to print; the latter says what the page leaves out, empty: nothing.
    words, composites
        Rows of the table.
    heat_map
        Shares of each target's seqlets in each word, composites included; None with one target.
    """

    spec: LexiconTables
    text: str
    left_out: str
    words: list[WordRow]
    composites: list[WordRow]
    heat_map: HeatMap | None


def describe_vocabulary(spec: LexiconTables | None) -> VocabularyView | None:
    """Read the lexicon; ``None`` where none was made, or where it holds no word."""
    if spec is None:
        return None
    columns = ["word", "name", "sign", "n_patterns", "n_seqlets", "composite_of"]
    words = read_table(spec.words, what="lexicon", columns=columns)
    if words.empty:
        return None
    used = ["word", "analysis", "target", "n_seqlets", "n_patterns"]
    usage = read_table(spec.usage, what="usage of the lexicon", columns=used)
    several = usage["analysis"].nunique() > 1
    targets = usage["analysis"] + " / " + usage["target"] if several else usage["target"]
    shown = words.iloc[:WORDS_SHOWN]
    names = list(dict.fromkeys(targets))
    is_composite = words["composite_of"] != ""
    logos = _logos(shown, spec)
    databases = set(words["database"]) - {""} if "database" in words else set()
    rows = [
        _row(row, len(names), logos.get(row["word"]), several=len(databases) > 1)
        for _, row in shown.iterrows()
    ]
    composite = [bool(found) for found in is_composite.iloc[:WORDS_SHOWN]]
    return VocabularyView(
        spec=spec,
        text=_sentence(words, is_composite, len(names)) + _of_single_folds(words, usage, spec.folds),
        left_out=_left_out(len(words) - len(shown), len(names) - TARGETS_SHOWN),
        words=[row for row, found in zip(rows, composite, strict=True) if not found],
        composites=[row for row, found in zip(rows, composite, strict=True) if found],
        heat_map=_heat_map(rows, usage.assign(column=targets), names) if len(names) > 1 else None,
    )


def _logos(words: pd.DataFrame, spec: LexiconTables) -> dict[str, Markup]:
    """Contribution logos of the words' cores."""
    if spec.matrices is None:
        return {}
    found = {}
    with open_hdf5(spec.matrices, what="lexicon") as handle:
        for row in words.to_dict("records"):
            if f"{row['pattern']}/contrib_scores" not in handle:
                raise StorageError(f"{spec.matrices} lacks {row['pattern']}, which {spec.words} names")
            scores = handle[f"{row['pattern']}/contrib_scores"][:]
            core = scores[int(row["trim_start"]) : int(row["trim_end"])]
            label = f"Contribution logo of {row['name']}"
            found[row["word"]] = motif_logo(core.T.astype(np.float64), label=label)
    return found


def _row(row: pd.Series, targets: int, logo: Markup | None, *, several: bool) -> WordRow:
    """A row of the table; with ``several`` databases it says which one a match is from."""
    matrix = match = row.get("match", "")
    if match:
        source = f", {database_label(row['database'])}" if several else ""
        q = equation(cell(row.get("match_q", ""), probability), "q")
        match = f"{row.get('match_name') or match} ({match}{source}), {q}"
    return WordRow(
        name=row["name"],
        word=row["word"],
        logo=logo,
        sign=row["sign"],
        consensus=row.get("consensus", ""),
        match=match or "–",
        matrix=matrix,
        seqlets=int(row["n_seqlets"]),
        targets=f"{row['n_targets']} of {targets}" if row.get("n_targets") else "",
    )


def _sentence(words: pd.DataFrame, is_composite: pd.Series, targets: int) -> str:
    simple = words[~is_composite]
    shared = int((numbers(simple, "n_targets") > 1).sum())
    patterns = int(numbers(words, "n_patterns").sum())
    said = f"{count(patterns, 'pattern')} of {count(targets, 'target')}: {count(len(simple), 'word')}"
    composites = int(is_composite.sum())
    said += f" and {count(composites, 'composite')}" if composites else ""
    more = f"{count(shared, 'word')} {'is' if shared == 1 else 'are'} used by more than one target."
    return f"{said}. {capital(more)}" if targets > 1 else f"{said}."


def _of_single_folds(words: pd.DataFrame, usage: pd.DataFrame, groups: Sequence[Sequence[str]]) -> str:
    """What analyses of single folds say of words that one fold alone has; empty: there are none."""
    found = usage[numbers(usage, "n_patterns") > 0]
    parts = []
    for group in groups:
        of_group = found[found["analysis"].isin(group)]
        folds = of_group.groupby("word")["analysis"].nunique()
        names = words.set_index("word")["name"]
        single = [names[word] for word in words["word"] if folds.get(word) == 1]
        number, verb = f"{len(single):,}" if single else "none", "has" if len(single) == 1 else "have"
        parts.append(
            f" Of {len(folds):,} words and composites of {some(group)} (one fold each), {number} {verb} "
            f"patterns in one fold alone{': ' + some(single) if single else ''}."
        )
    return "".join(parts)


def _left_out(words: int, targets: int) -> str:
    parts = [count(words, "word")] if words > 0 else []
    parts += [count(targets, "target")] if targets > 0 else []
    return f"Not shown: {' and '.join(parts)}; the tables have all of them." if parts else ""


def _heat_map(words: Sequence[WordRow], usage: pd.DataFrame, targets: list[str]) -> HeatMap:
    seqlets = usage.assign(n=numbers(usage, "n_seqlets")).pivot_table(
        index="word", columns="column", values="n", aggfunc="sum", fill_value=0
    )
    total = seqlets.sum(axis=0).reindex(targets).to_numpy(np.float64)[:TARGETS_SHOWN]
    columns, index = targets[:TARGETS_SHOWN], [row.word for row in words]
    counts = seqlets.reindex(index=index, columns=columns, fill_value=0).to_numpy(np.float64)
    shares = counts / np.where(total > 0, total, 1.0)
    most = float(shares.max(initial=0.0)) or 1.0
    cells = [
        [
            HeatCell(f"{100 * share:.0f}" if share >= LEAST_WRITTEN else "", float(share / most), int(n))
            for share, n in zip(row, ns, strict=True)
        ]
        for row, ns in zip(shares, counts, strict=True)
    ]
    ids = dict(zip(usage["column"], map(target_anchor, usage["analysis"], usage["target"]), strict=True))
    return HeatMap([(name, ids[name]) for name in columns], list(zip(words, cells, strict=True)))
