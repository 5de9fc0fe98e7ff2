"""Seqlets: spans whose contributions stand out, called region by region, with p-value and FDR.

TF-MoDISco needs many alike seqlets; a motif that drives few regions is lost. Here every span stands alone.
tangermeme's ``recursive_seqlets`` calls them: its null is a span of independent draws from all contributions
handed to it, so all regions are handed to it at once, and p-values depend on no block or chunk. How many
spans are called among permuted contributions gives the false discovery rate.
"""

from __future__ import annotations

import dataclasses
import importlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.chunks.spans import ERROR, span_errors
from cislex.errors import ConfigError
from cislex.files.tables import has_coordinates, open_hdf5, read_regions, write_table
from cislex.files.text_tables import read_numbers
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger
from cislex.motifs.matching import read_databases
from cislex.motifs.modisco_scores import check_block
from cislex.motifs.seqlet_names import NAME_COLUMNS, name_seqlets
from cislex.regions.extraction import bed_names
from cislex.regions.strands import on_genome
from cislex.wording import counted

COLUMNS = [
    *("chrom", "start", "end", "name", "strand", "sign", "p", "q", "contribution", "sequence"),
    *NAME_COLUMNS,
]
_FOUND = ["row", "start", "end", "sign", "p", "q", "contribution"]
#: Contributions are permuted until about so many values have been seen, at least once, at most so often.
PERMUTED_VALUES, MOST_PERMUTATIONS = 1_000_000, 100
#: Values of hypothetical contributions that are read at once: 128 MB.
READ_VALUES = 32_000_000

logger = get_logger("seqlets")


@dataclasses.dataclass(frozen=True)
class SeqletSettings:
    """What counts as a seqlet.

    Parameters
    ----------
    max_q
        Greatest false discovery rate of a seqlet.
    max_p
        Greatest p-value of every span inside a seqlet: a smaller one gives shorter seqlets.
    min_length, max_length
        Bases of a seqlet.
    window
        Length of the centre of each region that is searched; None: all of it.
    """

    max_q: float = 0.05
    max_p: float = 0.01
    min_length: int = 4
    max_length: int = 25
    window: int | None = None

    def __post_init__(self) -> None:
        for key in ("max_q", "max_p"):
            if not 0 < getattr(self, key) <= 1:
                raise ConfigError(f"seqlets.{key} is {getattr(self, key)}; expected more than 0, at most 1")
        if not 1 <= self.min_length <= self.max_length:
            raise ConfigError(
                f"seqlets: min_length is {self.min_length} and max_length {self.max_length}; expected "
                "1 ≤ min_length ≤ max_length"
            )


def call_seqlets(
    attributions: str | Path,
    out: str | Path,
    settings: SeqletSettings | None = None,
    *,
    databases: Mapping[str, str | Path] | None = None,
    words: str | Path | None = None,
    threads: int = 1,
) -> pd.DataFrame:
    """Call the significant seqlets of every region and name them.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the target.
    out
        ``seqlets.tsv.gz`` to write (docs/output.md): one row a seqlet, sorted by position.
    settings
        The defaults when None.
    databases
        MEME files of known motifs by name; may be none.
    words
        ``lexicon.meme``; None: there is no lexicon.
    threads
        Threads of numba.

    Returns
    -------
    pandas.DataFrame
        The table as written.

    Raises
    ------
    ConfigError
        When a setting is out of bounds, or the window is longer than the regions.
    InputError
        When contributions are not finite, or a MEME file is malformed or empty.
    """
    settings = settings or SeqletSettings()
    known = read_databases(databases or {})
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        regions = read_regions(handle)
        place = _window(handle["hypothetical"].shape[2], settings)
        found = find_seqlets(read_contributions(handle, place, str(attributions)), settings)
        found[["start", "end"]] += place.start
        named = name_seqlets(handle, found, known, words, threads=threads)
        found["sequence"] = _letters(handle, found)
        errors = span_errors(handle, *(found[name].to_numpy(np.int64) for name in ("row", "start", "end")))
    table = _placed(pd.concat([found, named], axis=1), regions, errors)
    write_table(table, out)
    logger.info(
        "%s in %d of %s, %d of a word of the lexicon",
        counted(len(table), "seqlet"), found["row"].nunique(), counted(len(regions), "region"),
        (table["word"] != "").sum(),
    )  # fmt: skip
    return table


def _window(length: int, settings: SeqletSettings) -> slice:
    width = length if settings.window is None else settings.window
    if width > length:
        raise ConfigError(f"seqlets.window is {width}, but regions are {length} bases long")
    low = (length - width) // 2
    return slice(low, low + width)


def read_contributions(handle: h5py.File, place: slice, where: str) -> NDArray[np.float32]:
    """Contributions of the observed bases, float32 (N, L); read in blocks.

    Raises
    ------
    InputError
        When values are not finite, or sequences not one-hot.
    """
    count = handle["hypothetical"].shape[0]
    total = np.zeros((count, place.stop - place.start), dtype=np.float32)
    step = max(1, READ_VALUES // (4 * total.shape[1]))
    for first in range(0, count, step):
        hypothetical, sequences = (
            unpack_rows(handle[name], first, first + step)[..., place]
            for name in ("hypothetical", "sequences")
        )
        hypothetical = hypothetical.astype(np.float32, copy=False)
        check_block(sequences, hypothetical, first, where)
        np.einsum("ncl,ncl->nl", hypothetical, sequences, out=total[first : first + step])
    return total


def find_seqlets(contributions: NDArray[np.float32], settings: SeqletSettings) -> pd.DataFrame:
    """Seqlets of both signs, with p-values and false discovery rates.

    Parameters
    ----------
    contributions
        float32 (N, L); permuted in place, so that the memory of one array is enough.
    settings
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        ``row start end sign p q contribution``, sorted by row and start; positions in the given window.
    """
    if not contributions.size or contributions.shape[1] < settings.min_length:
        return _table(pd.DataFrame(columns=_FOUND))
    raised = _called(contributions, settings)
    lowered = _called(np.negative(contributions, out=contributions), settings)
    lowered["contribution"] *= -1
    lowered = lowered[~_overlaps(lowered, raised, contributions.shape[1])]
    repeats = int(np.clip(np.ceil(PERMUTED_VALUES / contributions.size), 1, MOST_PERMUTATIONS))
    # Copies of the same values have the same null, so that one call serves all permutations.
    drawn = contributions if repeats == 1 else np.tile(contributions, (repeats, 1))
    _permute(drawn, len(contributions))
    chance = {"-": _called(drawn, settings)["p"].to_numpy()}  # the negated ones, as before
    chance["+"] = _called(np.negative(drawn, out=drawn), settings)["p"].to_numpy()
    parts = []
    for sign, called in (("+", raised), ("-", lowered)):
        rate = false_discovery_rates(called["p"].to_numpy(), chance[sign], repeats)
        parts.append(called.assign(sign=sign, q=rate)[rate <= settings.max_q])
    return _table(pd.concat(parts).sort_values(["row", "start"], kind="stable"))


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of seqlets in their types, rows numbered anew."""
    made = {
        **{name: frame[name].to_numpy(np.int64) for name in ("row", "start", "end")},
        "sign": frame["sign"].to_numpy(str),
        **{name: frame[name].to_numpy(np.float64) for name in ("p", "q", "contribution")},
    }
    return pd.DataFrame(made)


def false_discovery_rates(
    p: NDArray[np.float64], chance: NDArray[np.float64], repeats: int
) -> NDArray[np.float64]:
    """Share of chance among the seqlets that are at least as significant, for each seqlet.

    Parameters
    ----------
    p
        p-values of seqlets.
    chance
        p-values of the seqlets that were called in ``repeats`` permutations of the same contributions.

    Returns
    -------
    numpy.ndarray
        float64, as ``p``: (seqlets by chance + 1) / repeats over seqlets, the smallest over all laxer
        thresholds; at most 1.
    """
    order = np.argsort(p, kind="stable")
    ranked, chance = p[order], np.sort(chance)
    by_chance = (np.searchsorted(chance, ranked, side="right") + 1) / repeats
    rates = np.minimum(by_chance / np.searchsorted(ranked, ranked, side="right"), 1.0)
    found = np.empty_like(p)
    found[order] = np.minimum.accumulate(rates[::-1])[::-1]
    return found


def _called(contributions: NDArray[np.float32], settings: SeqletSettings) -> pd.DataFrame:
    """tangermeme's seqlets of positive sums, in the order of regions."""
    found = _tangermeme().recursive_seqlets(
        contributions,
        threshold=settings.max_p,
        min_seqlet_len=settings.min_length,
        max_seqlet_len=min(settings.max_length, contributions.shape[1]),
    )
    names = {"example_idx": "row", "p-value": "p", "attribution": "contribution"}
    return found.rename(columns=names).sort_values(["row", "start"], ignore_index=True)


def _tangermeme() -> ModuleType:
    """The module that calls seqlets; its machine code is kept on disk, since it takes half a minute."""
    from cislex.runtime.compilation import compile_module_once

    module = importlib.import_module("tangermeme.seqlet")
    compile_module_once(module, cache=True)
    return module


def _overlaps(these: pd.DataFrame, others: pd.DataFrame, length: int) -> NDArray[np.bool_]:
    """Whether each seqlet shares a base with one of the others, which are disjoint and sorted."""
    if not len(others):
        return np.zeros(len(these), dtype=bool)
    begin = (others["row"] * length + others["start"]).to_numpy()
    finish = (others["row"] * length + others["end"]).to_numpy()
    last = np.searchsorted(begin, (these["row"] * length + these["end"]).to_numpy()) - 1
    return (last >= 0) & (finish[last] > (these["row"] * length + these["start"]).to_numpy())


def _permute(contributions: NDArray[np.float32], count: int) -> None:
    """Permute the positions of each row in place: of copies of ``count`` regions, each copy in its own way.

    Seeds are the regions' contents, so that the order of regions does not matter.
    """
    for number, row in enumerate(contributions):
        seed = (zlib.crc32(row.tobytes()), number // count)
        np.random.Generator(np.random.PCG64(seed)).shuffle(row)


def _letters(handle: h5py.File, found: pd.DataFrame) -> list[str]:
    """Observed bases under each seqlet, as in the region."""
    letters = np.frombuffer(b"NACGT", dtype=np.uint8)
    texts: list[str] = []
    step = max(1, READ_VALUES // (4 * max(1, handle["sequences"].shape[2])))
    rows = found["row"].to_numpy()
    for first in range(0, handle["sequences"].shape[0], step):
        chosen = slice(*np.searchsorted(rows, [first, first + step]))
        if chosen.start == chosen.stop:
            continue
        block = handle["sequences"][first : first + step]
        coded = letters[np.where(block.any(axis=1), block.argmax(axis=1) + 1, 0)]
        texts += [
            coded[row - first, start:end].tobytes().decode()
            for row, start, end in found.loc[
                chosen.start : chosen.stop - 1, ["row", "start", "end"]
            ].to_numpy()
        ]
    return texts


def _placed(
    found: pd.DataFrame, regions: pd.DataFrame, errors: NDArray[np.float64] | None = None
) -> pd.DataFrame:
    """Seqlets on the genome, sorted by position; of sequences given directly, within them."""
    if not has_coordinates(regions):
        regions = regions.assign(chrom=bed_names(regions))
    where = regions.iloc[found["row"]].reset_index(drop=True)
    is_minus = (where["strand"] == "-").to_numpy()
    start, end = on_genome(where, found["start"], found["end"])
    turned = found["strand"].map({"+": "-", "-": "+", ".": "."})
    table = found.assign(
        chrom=where["chrom"],
        start=start,
        end=end,
        name=where["name"],
        strand=np.where(is_minus, turned, found["strand"]),
        **({} if errors is None else {ERROR: errors}),
    )
    columns = COLUMNS if errors is None else [*COLUMNS, ERROR]
    return table.sort_values(["chrom", "start", "end", "name"], ignore_index=True)[columns]


def read_seqlets(path: str | Path) -> pd.DataFrame:
    """Read ``seqlets.tsv.gz``; numbers that are not there are NaN."""
    names = ("match", "match_name", "database", "word", "word_name", "null")
    return read_numbers(path, texts=("chrom", "name", "strand", "sign", "sequence", *names))
