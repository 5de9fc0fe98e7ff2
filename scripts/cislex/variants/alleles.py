"""Which variants can be scored, and one form for those that files write in different ways.

An insertion into a repeat can be written at any of its copies, with any bases of the genome around it. The
form used here has no base that both alleles share at an end, and lies as far left as the sequence stays the
same (Tan, Abecasis & Kang 2015). What is computed from it does not depend on how a file was normalised.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import announce, get_logger
from cislex.regions.genome import UNKNOWN, encode_letters
from cislex.regions.intervals import genome_name
from cislex.regions.row_ledger import RowLedger
from cislex.variants.context import Context

logger = get_logger(__name__)

MISMATCH = ("error", "drop")
#: Columns of ``dropped_variants.tsv``; ``pos`` is 1-based.
DROPPED_COLUMNS = ["source_line", "chrom", "pos", "ref", "alt", "id", "reason", "detail"]
#: Bases compared at a time when an indel is moved.
_STEP = 64


def check_variants(
    table: pd.DataFrame,
    context: Context,
    *,
    aliases: Mapping[str, str] | None = None,
    on_mismatch: str = "error",
    source: str | Path = "variants",
) -> RowLedger:
    """Find the alleles that can be scored, and bring them into one form.

    Parameters
    ----------
    table
        Of :func:`cislex.variants.vcf.read_variants`.
    context
        The genome.
    aliases
        Other names of chromosomes.
    on_mismatch
        Whether a REF that is not what the genome has is an ``error``, or dropped (``drop``).
    source
        What the table comes from, for messages.

    Returns
    -------
    RowLedger
        With ``peaks`` the table, its ``chrom`` as the genome names it and three more columns: ``at`` (int64,
        0-based), ``before`` and ``after``, the bases that the variant takes out and puts in there. Reasons:
        ``no_alternative`` (gVCF blocks, ``.``, ``<*>``, ``<NON_REF>``), ``spanning_deletion`` (``*``),
        ``symbolic_allele`` (others in brackets, breakends), ``not_bases``, ``same_alleles``,
        ``unknown_chromosome``, ``outside_chromosome``, ``unknown_reference`` (the genome has an N there),
        ``swapped_alleles`` (ALT is what the genome has) and ``reference_mismatch``.

    Raises
    ------
    InputError
        When a REF is not the genome's and ``on_mismatch`` is ``error``.
    """
    if on_mismatch not in MISMATCH:
        raise ConfigError(f"on_mismatch: found {on_mismatch!r}, expected one of {', '.join(MISMATCH)}")
    known = context.genome.lengths
    names = {name: genome_name(name, known, aliases) for name in table["chrom"].unique()}
    ledger = RowLedger(table.assign(chrom=table["chrom"].map(names), at=table["start"], before="", after=""))
    _drop_by_letters(ledger)
    _drop_by_place(ledger, known)
    _normalise(ledger, context)
    wrong = np.isin(ledger.reason, ["reference_mismatch", "swapped_alleles"])
    if wrong.any():
        _tell_mismatches(ledger, wrong, on_mismatch, source)
    return ledger


def dropped_table(ledger: RowLedger) -> pd.DataFrame:
    """The alleles that are not scored, and why: ``DROPPED_COLUMNS``."""
    lost = ~ledger.alive
    table = ledger.peaks[lost]
    table = table.assign(pos=table["start"] + 1, reason=ledger.reason[lost], detail=ledger.detail[lost])
    return table[DROPPED_COLUMNS].reset_index(drop=True)


def _drop_by_letters(ledger: RowLedger) -> None:
    ref, alt = ledger.peaks["ref"], ledger.peaks["alt"]
    ledger.drop(
        alt.isin(["", ".", "<*>", "<NON_REF>"]).to_numpy(bool), "no_alternative", "no other allele is given"
    )
    ledger.drop(
        (alt == "*").to_numpy(bool), "spanning_deletion", "a deletion in another row takes this base out"
    )
    symbolic = alt.str.contains(r"[<>\[\]]") | alt.str.fullmatch(r"\.[A-Z]+|[A-Z]+\.")
    ledger.drop(symbolic.to_numpy(bool), "symbolic_allele", "the allele is not written as bases")
    bases = ref.str.fullmatch(f"[{BASES}]+") & alt.str.fullmatch(f"[{BASES}]+")
    ledger.drop(
        (~bases).to_numpy(bool), "not_bases", f"REF and ALT must be one or more of {', '.join(BASES)}"
    )
    ledger.drop((ref == alt).to_numpy(bool), "same_alleles", "REF and ALT are the same")


def _drop_by_place(ledger: RowLedger, lengths: Mapping[str, int]) -> None:
    table = ledger.peaks
    ledger.drop(~table["chrom"].isin(list(lengths)).to_numpy(bool), "unknown_chromosome", "not in the genome")
    size = table["chrom"].map(lambda name: lengths.get(name, 0)).to_numpy(np.int64)
    start, width = table["start"].to_numpy(np.int64), table["ref"].str.len().to_numpy(np.int64)
    outside = (start < 0) | (start + width > size)
    ledger.drop(
        outside,
        "outside_chromosome",
        np.array([f"chromosome of {n} bp" for n in size], dtype=object)[outside],
    )


def _normalise(ledger: RowLedger, context: Context) -> None:
    """Compare REF with the genome and write ``at``, ``before`` and ``after``, in the genome's order."""
    table = ledger.peaks
    at = table["at"].to_numpy(np.int64, copy=True)
    before, after = np.full(len(table), "", dtype=object), np.full(len(table), "", dtype=object)
    chroms, starts = table["chrom"].to_numpy(object), table["start"].to_numpy(np.int64)
    refs, alts = table["ref"].to_numpy(object), table["alt"].to_numpy(object)
    rows = ledger.rows
    faults: dict[str, list[tuple[int, str]]] = {}
    for row in rows[np.lexsort((starts[rows], pd.factorize(chroms[rows])[0]))]:
        chrom, start, ref, alt = chroms[row], int(starts[row]), refs[row], alts[row]
        found = context.codes(chrom, start, start + max(len(ref), len(alt)))
        if fault := _fault(found, ref, alt):
            faults.setdefault(fault, []).append((int(row), _letters(found[: len(ref)])))
            continue
        at[row], before[row], after[row] = normalised(context, chrom, start, ref, alt)
    for reason, listed in faults.items():
        details = np.array([f"the genome has {text}" for _, text in listed], dtype=object)
        ledger.drop(np.array([row for row, _ in listed], dtype=np.int64), reason, details)
    ledger.peaks = table.assign(at=at, before=before, after=after)


def _fault(found: NDArray[np.uint8], ref: str, alt: str) -> str:
    """Why a REF is not the genome's; empty where it is."""
    own = _letters(found)
    if own.startswith(ref):
        return ""
    if (found[: len(ref)] == UNKNOWN).any():
        return "unknown_reference"
    return "swapped_alleles" if own.startswith(alt) else "reference_mismatch"


def _letters(codes: NDArray[np.uint8]) -> str:
    return "".join(f"{BASES}N"[code] for code in codes)


def normalised(context: Context, chrom: str, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Return one form of a variant: where, the bases taken out and the bases put in (either may be empty).

    Parameters
    ----------
    context
        The genome, which has ``ref`` at ``start``.
    chrom, start
        Where REF begins, 0-based.
    ref, alt
        Different alleles.
    """
    shared = 0
    while shared < min(len(ref), len(alt)) and ref[-1 - shared] == alt[-1 - shared]:
        shared += 1
    ref, alt = ref[: len(ref) - shared], alt[: len(alt) - shared]
    first = 0
    while first < min(len(ref), len(alt)) and ref[first] == alt[first]:
        first += 1
    start, ref, alt = start + first, ref[first:], alt[first:]
    if ref and alt:
        return start, ref, alt
    moved = encode_letters((ref or alt).encode(), where="allele")
    shift = _room(context, chrom, start, moved)
    text = _letters(np.roll(moved, shift))
    return start - shift, text if ref else "", text if alt else ""


def _room(context: Context, chrom: str, start: int, moved: NDArray[np.uint8]) -> int:
    """How far left the bases of an indel at ``start`` can move with the same sequence as the result."""
    shift = 0
    while shift < start:
        size = min(_STEP, start - shift)
        leftwards = context.codes(chrom, start - shift - size, start - shift)[::-1]
        wanted = moved[::-1][(shift + np.arange(size)) % len(moved)]
        same = leftwards == wanted  # unknown bases are no base of an allele
        if not same.all():
            return shift + int(np.argmin(same))
        shift += size
    return shift


def _tell_mismatches(
    ledger: RowLedger, wrong: NDArray[np.bool_], on_mismatch: str, source: str | Path
) -> None:
    table = ledger.peaks[wrong]
    first = offenders(
        f"line {line}: {chrom}:{start + 1} REF {ref} ALT {alt}, {detail}"
        for line, chrom, start, ref, alt, detail in zip(
            *(table[name] for name in ("source_line", "chrom", "start", "ref", "alt")),
            ledger.detail[wrong],
            strict=True,
        )
    )
    swapped = int((ledger.reason == "swapped_alleles").sum())
    compared = int(ledger.alive.sum() + wrong.sum())
    text = f"{source}: REF differs from the genome in {int(wrong.sum())} of {compared} alleles: {first}"
    if swapped:
        text += f"; in {swapped} of them ALT is what the genome has: REF and ALT are swapped"
    if on_mismatch == "drop":
        announce(logger, logging.WARNING, f"{text}; they are dropped")
        return
    raise InputError(
        f"{text}; use the genome that the variants were called on, check that positions count as the header "
        "says (pos from 1, start from 0), or set on_mismatch: drop"
    )
