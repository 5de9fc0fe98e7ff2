"""Section about contrasts: which hits and words contribute more to one of two targets or models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from cislex.errors import StorageError
from cislex.report.facts import count, number, probability
from cislex.report.figures.contrast import COLOURS, scatter
from cislex.report.specs import ContrastTables
from cislex.report.tables import count_rows, numbers, read_table

#: Hits that are drawn, words and hits that are listed, and the false discovery rate of what is counted.
DRAWN, WORDS, TOP, LEVEL = 1000, 15, 10, 0.05
BLOCK_ROWS = 200_000
TEXTS = ("chrom", "name", "strand")
NUMBERS = ("start", "end", "first", "second", "difference", "error", "p", "q")


@dataclass(frozen=True)
class ContrastView:
    """One contrast; ``figure`` is None where there is no hit. Rows are ready to print."""

    spec: ContrastTables
    first: str
    second: str
    text: str
    figure: Markup | None
    drawn: str
    words: list[tuple[str, ...]]
    words_left: str
    top_text: str
    top: list[tuple[str, ...]]


@dataclass(frozen=True)
class _Hits:
    """What is kept of all hits: numbers, those that differ most, and every so many of them."""

    total: int
    tested: int
    higher: int
    lower: int
    top: pd.DataFrame
    some: pd.DataFrame


def describe_contrasts(specs: Sequence[ContrastTables]) -> list[ContrastView]:
    """Read the tables of all contrasts."""
    return [_describe(spec) for spec in specs]


def _describe(spec: ContrastTables) -> ContrastView:
    sides, hits = _sides(spec), _read_hits(spec.hits)
    first, second = (_label(side) for side in sides)
    columns = ["word", "name", "hits", "regions", "first", "second", "difference", "p", "q"]
    words = read_table(spec.words, what="words of contrasts", columns=columns)
    words = words.assign(**{name: numbers(words, name) for name in columns[2:]})
    frequent = words.sort_values("hits", ascending=False, kind="stable")["name"].head(len(COLOURS))
    words = words.sort_values(["p", "hits"], ascending=[True, False], kind="stable")
    relative = ", relative" if _is_scaled(sides) else ""
    chart = None
    if hits.total:
        chart = scatter(
            hits.some["first"].to_numpy(np.float64),
            hits.some["second"].to_numpy(np.float64),
            list(hits.some["name"]),
            named=list(frequent),
            x_label=f"contribution to {first}{relative}",
            y_label=f"contribution to {second}{relative}",
            label=f"Contributions of hits to {first} and {second}",
        )
    left = len(words) - WORDS
    return ContrastView(
        spec,
        first,
        second,
        _sentence(sides, hits),
        chart,
        f" ({len(hits.some):,} of {hits.total:,} hits)" if len(hits.some) < hits.total else "",
        [_word(row) for row in words.head(WORDS).to_dict("records")],
        count(left, "word") if left > 0 else "",
        "Hits with the clearest differences:" if hits.tested else "Hits with the greatest differences:",
        [_hit(row) for row in hits.top.to_dict("records")],
    )


def _sides(spec: ContrastTables) -> list[dict[str, Any]]:
    columns = ["side", "analysis", "target", "folds", "has_hits", "scale"]
    table = read_table(spec.sides, what="sides of contrasts", columns=columns)
    if list(table["side"]) != ["first", "second"]:
        raise StorageError(f"report: contrasts: {spec.sides}: expected the sides first and second")
    table = table.assign(folds=numbers(table, "folds"), scale=numbers(table, "scale"))
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _label(side: dict[str, Any]) -> str:
    return f"{side['analysis']} / {side['target']}"


def _is_scaled(sides: Sequence[dict[str, Any]]) -> bool:
    return any(side["scale"] != 1 for side in sides)


def _sentence(sides: Sequence[dict[str, Any]], hits: _Hits) -> str:
    first, second = (_label(side) for side in sides)
    owner = next(_label(side) for side in sides if side["has_hits"] == "True")
    texts = [f"{count(hits.total, 'hit')} of {owner}; the difference is {first} minus {second}."]
    texts[0] = texts[0][0].upper() + texts[0][1:]
    if _is_scaled(sides):
        scales = " and ".join(number(side["scale"]) for side in sides)
        texts.append(f"Each side is divided by its mean |contribution| over these hits ({scales}).")
    if hits.tested:
        texts.append(
            f"{hits.higher:,} contribute more to {first} and {hits.lower:,} more to {second} (q ≤ {LEVEL:g}; "
            "t-tests with an upper bound of the error over folds)."
        )
    elif hits.total:
        texts.append(
            "Single hits are not tested: that needs the spread over two folds or more on both sides."
        )
    return " ".join(texts)


def _word(row: dict[Any, Any]) -> tuple[str, ...]:
    whole = (f"{row['hits']:,.0f}", f"{row['regions']:,.0f}")
    values = (number(row[name]) for name in ("first", "second", "difference"))
    return row["name"], *whole, *values, probability(row["q"])


def _hit(row: dict[Any, Any]) -> tuple[str, ...]:
    place = f"{row['chrom']}:{row['start']:,}-{row['end']:,} ({row['strand'].replace('-', '−')})"
    values = (number(row[name]) for name in ("first", "second", "difference", "error"))
    return place, row["name"], *values, probability(row["q"])


def _read_hits(path: str | Path) -> _Hits:
    """Read the hits in blocks, of which little is kept."""
    step = max(1, -(-(count_rows(path, what="hits of contrasts") - 1) // DRAWN))
    total = tested = higher = lower = 0
    some, top = [], pd.DataFrame(columns=[*TEXTS, *NUMBERS])
    for block in _blocks(path):
        called = block["q"] <= LEVEL
        total, tested = total + len(block), tested + int(block["p"].notna().sum())
        higher += int((called & (block["difference"] > 0)).sum())
        lower += int((called & (block["difference"] < 0)).sum())
        some.append(block[block.index % step == 0])
        best = block if top.empty else pd.concat([top, block], ignore_index=True)
        order = np.lexsort((-best["difference"].abs(), best["p"]))  # hits without p last
        top = best.iloc[order[:TOP]]
    return _Hits(total, tested, higher, lower, top, pd.concat(some) if some else top)


def _blocks(path: str | Path) -> Iterator[pd.DataFrame]:
    kinds: dict[str, Any] = {**dict.fromkeys(TEXTS, "str"), **dict.fromkeys(NUMBERS, "float64")}
    kinds |= {"start": "int64", "end": "int64"}
    missing = {name: [""] for name in NUMBERS}
    try:
        with pd.read_csv(
            path, sep="\t", usecols=list(kinds), dtype=kinds, keep_default_na=False, na_values=missing,
            quoting=3, chunksize=BLOCK_ROWS,
        ) as reader:  # fmt: skip
            yield from reader
    except (ValueError, OSError, EOFError) as error:
        raise StorageError(f"report: contrasts: {path} is not a complete table of hits: {error}") from error


def contrast_words(specs: Sequence[ContrastTables]) -> str:
    """How contrasts were made, for the section on methods; empty without one."""
    if not specs:
        return ""
    sides = [_sides(spec) for spec in specs]
    texts = [
        "Contributions to two targets, or by two models, were summed over the bases of each hit. Words were "
        "tested by Wilcoxon's signed-rank test of one mean difference per region; regions that overlap "
        "counted as one."
    ]
    if any(min(side["folds"] for side in both) > 1 for both in sides):
        texts.append(
            "Single hits were tested by t-tests over folds, with the sum of upper bounds of both standard "
            "errors and the degrees of freedom of the side with fewer folds."
        )
    if any(_is_scaled(both) for both in sides):
        texts.append("Where units differ, each side was divided by its mean absolute contribution over hits.")
    return " ".join([*texts, "False discovery rates are those of Benjamini and Hochberg."])
