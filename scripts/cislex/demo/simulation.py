"""Simulate a genome and assays whose peaks are driven by known motifs.

By default there are two assays; others, of any grammar of :mod:`cislex.demo.grammar`, can be named.

- ``insulator``: a peak is made by one CTCF site, in either orientation.
- ``enhancer``: a peak is made by an AP-1 (FOS::JUN) and a SPI1 site together, ``spacing`` apart, AP-1
  always upstream, the pair in either orientation.
- Decoys make no peak: single sites of each word of a pair, and GATA1 sites, alone or within any assay's
  peaks.

The background is a first-order Markov chain. Sites are drawn from JASPAR's matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.demo.grammar import DEFAULT_ASSAYS, MARGIN, Assay, arrange, assays_from, grammar_table
from cislex.demo.planted_motifs import DECOY, Motif, load_motifs, meme_text
from cislex.errors import ConfigError
from cislex.files.tables import atomic_path, write_table, write_text
from cislex.logs import get_logger

logger = get_logger(__name__)

#: Each planted thing has a stretch of the genome for itself (bp).
SLOT = 400
TRUTH_COLUMNS = ["chrom", "start", "end", "strand", "motif", "name", "assay", "functional", "peak"]
#: Row = base, column = next base (A, C, G, T): AT-rich with few CpG, as animal genomes are.
BACKGROUND = np.array(
    [
        [0.33, 0.17, 0.24, 0.26],
        [0.34, 0.25, 0.05, 0.36],
        [0.28, 0.21, 0.25, 0.26],
        [0.22, 0.19, 0.25, 0.34],
    ]
)


@dataclass(frozen=True)
class SimulationOptions:
    """Size of the simulation.

    Attributes
    ----------
    chromosomes, chromosome_length
        Number of chromosomes (chrS1, chrS2 …) and length of each (bp).
    peaks_per_assay
        Peaks of each assay.
    decoys
        Decoy places outside peaks, in equal parts single sites of each word of a pair and GATA1 sites; None:
        one and a half times ``peaks_per_assay``.
    peak_width
        Width of a peak (bp).
    jitter
        Largest distance of a summit from the middle of its sites (bp).
    spacing
        Least and most bases between the sites of assays that have no spacing of their own.
    gata_fraction
        Fraction of peaks that also hold a GATA1 decoy.
    assays
        What makes the peaks of each assay, or the fields of :class:`cislex.demo.grammar.Assay`.
    """

    chromosomes: int = 6
    chromosome_length: int = 500_000
    peaks_per_assay: int = 1_200
    decoys: int | None = None
    peak_width: int = 240
    jitter: int = 15
    spacing: tuple[int, int] = (16, 36)
    gata_fraction: float = 0.25
    assays: Mapping[str, Assay | Mapping[str, Any]] = field(default_factory=lambda: dict(DEFAULT_ASSAYS))

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", tuple(self.spacing))
        if self.decoys is None:
            object.__setattr__(self, "decoys", self.peaks_per_assay * 3 // 2)
        slots = self.chromosomes * (self.chromosome_length // SLOT - 2)
        wanted = len(self.assays) * self.peaks_per_assay + (self.decoys or 0)
        least = min(self.peaks_per_assay - 1, self.decoys or 0, self.jitter)
        if least < 0 or not 0 <= self.gata_fraction <= 1:
            raise ConfigError(f"simulate: counts and fractions cannot be negative, found {self}")
        if slots < wanted:
            raise ConfigError(
                f"simulate: {wanted} peaks and decoys need {wanted} stretches of {SLOT} bp, but the "
                f"genome has {slots}; use longer or more chromosomes, or fewer peaks"
            )
        if len(self.spacing) != 2 or not 0 <= self.spacing[0] <= self.spacing[1] <= 40:
            raise ConfigError(f"simulate, spacing: found {self.spacing}, expected two numbers from 0 to 40")
        if not 60 <= self.peak_width <= SLOT or self.jitter > self.peak_width // 4:
            raise ConfigError(
                f"simulate: expected peak_width 60 to {SLOT} and jitter up to a quarter of it; found "
                f"{self.peak_width} and {self.jitter}"
            )
        object.__setattr__(self, "assays", assays_from(self.assays, spacing=self.spacing))

    @property
    def grammars(self) -> dict[str, Assay]:
        """The assays, checked."""
        return {name: assay for name, assay in self.assays.items() if isinstance(assay, Assay)}

    @property
    def decoy_parts(self) -> list[str]:
        """Words of pairs, each of which makes no peak alone, and the decoy that never does anything."""
        pairs = [part for a in self.grammars.values() if a.kind in ("pair", "helical") for part in a.words]
        return list(dict.fromkeys([*pairs, DECOY]))

    @property
    def parts(self) -> list[str]:
        """Every part that is planted."""
        return list(dict.fromkeys([*(p for a in self.grammars.values() for p in a.parts), *self.decoy_parts]))


def markov_sequence(length: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """A first-order Markov chain of BACKGROUND: codes int8 (length,)."""
    # The next base for each possible base is drawn for all positions at once; the chain then only looks up.
    draws = rng.random(length)
    following = np.stack([np.searchsorted(row.cumsum()[:3], draws) for row in BACKGROUND], 1).tolist()
    base = int(rng.integers(4))
    chain = bytearray(length)
    for position, choices in enumerate(following):
        base = choices[base]
        chain[position] = base
    return np.frombuffer(bytes(chain), dtype=np.int8).copy()


class _Planter:
    """The genome being written, the sites planted so far and the peaks."""

    def __init__(self, options: SimulationOptions, motifs: dict[str, Motif], seed: int) -> None:
        self.options, self.motifs = options, motifs
        self.rng = np.random.default_rng(seed)
        names = [f"chrS{number + 1}" for number in range(options.chromosomes)]
        self.genome = {name: markov_sequence(options.chromosome_length, self.rng) for name in names}
        self.truth: list[dict[str, object]] = []
        self.peaks: list[dict[str, object]] = []

    def slots(self) -> list[tuple[str, int]]:
        """All stretches in random order: chromosome and middle; chromosome ends stay free."""
        count = self.options.chromosome_length // SLOT
        places = [(chrom, slot * SLOT + SLOT // 2) for chrom in self.genome for slot in range(1, count - 1)]
        return [places[index] for index in self.rng.permutation(len(places))]

    def plant(
        self, chrom: str, start: int, part: str, strand: str, *, assay: str = ".", peak: str = "."
    ) -> float:
        """Write one site and note it; return its log-odds score (bits)."""
        motif = self.motifs[part]
        site = motif.sample(self.rng)
        chance = motif.probabilities[site, np.arange(len(site))]
        end = start + len(site)
        self.genome[chrom][start:end] = site if strand == "+" else 3 - site[::-1]
        self.truth.append(
            {
                "chrom": chrom,
                "start": start,
                "end": end,
                "strand": strand,
                "motif": motif.matrix_id,
                "name": motif.name,
                "assay": assay,
                "functional": assay != ".",
                "peak": peak,
            }
        )
        return float(np.log2(chance / 0.25).sum())

    def strand(self) -> str:
        """Either strand."""
        return "+-"[int(self.rng.integers(2))]

    def add_peak(self, chrom: str, middle: int, assay: str, name: str) -> None:
        """Plant what makes a peak of the assay, and call the peak."""
        options, grammar = self.options, self.options.grammars[assay]
        widths = {part: motif.width for part, motif in self.motifs.items()}
        reach = options.peak_width // 2 - MARGIN
        sites = arrange(
            grammar, self.strand(), middle, widths, self.rng, spacing=options.spacing, reach=reach
        )
        score = 0.0
        for part, start, strand in sites:
            bits = self.plant(chrom, start, part, strand, assay=assay, peak=name)
            score += -bits if part == grammar.lowered_by else bits
        if self.rng.random() < options.gata_fraction:
            # Beyond the sites, yet within the peak: a motif often seen there that does nothing.
            start = middle + int(self.rng.choice([-1, 1])) * int(self.rng.integers(50, 80))
            end = start + widths[DECOY]
            if all(end <= begin or start >= begin + widths[part] for part, begin, _ in sites):
                self.plant(chrom, start, DECOY, self.strand(), peak=name)
        summit = middle + int(self.rng.integers(-options.jitter, options.jitter + 1))
        left = summit - options.peak_width // 2 + int(self.rng.integers(-10, 11))
        signal = max(score, 0.0) * float(self.rng.lognormal(0.0, 0.1))
        self.peaks.append(
            {"assay": assay, "chrom": chrom, "start": left, "summit": summit, "name": name, "signal": signal}
        )


def simulate(
    options: SimulationOptions, *, seed: int, motifs: dict[str, Motif] | None = None
) -> tuple[dict[str, NDArray[np.int8]], dict[str, pd.DataFrame], pd.DataFrame]:
    """Simulate a genome and its assays.

    Parameters
    ----------
    options
        Size.
    seed
        Seed of everything.
    motifs
        Motifs by part (keys of ``planted_motifs.MOTIFS``); default: JASPAR's.

    Returns
    -------
    genome : dict
        Codes (0 A, 1 C, 2 G, 3 T) int8 (length,) by chromosome.
    peaks : dict
        narrowPeak table by assay, in genomic order.
    truth : DataFrame
        TRUTH_COLUMNS, one row per planted site, in genomic order. Decoys have ``functional`` False and
        assay ``.``; ``peak`` names the peak in which a site lies, or ``.``.
    """
    planted = motifs or load_motifs(options.parts)
    _require_room(options, planted)
    planter = _Planter(options, planted, seed)
    slots = iter(planter.slots())
    for assay in options.assays:
        for number in range(options.peaks_per_assay):
            chrom, middle = next(slots)
            planter.add_peak(chrom, middle, assay, f"{assay}_{number + 1}")
    for number in range(options.decoys or 0):
        chrom, middle = next(slots)
        part = options.decoy_parts[number % len(options.decoy_parts)]
        planter.plant(chrom, middle, part, planter.strand())
    truth = _in_order(pd.DataFrame(planter.truth, columns=TRUTH_COLUMNS), list(planter.genome))
    peaks = _in_order(pd.DataFrame(planter.peaks), list(planter.genome))
    tables = {
        assay: _narrowpeak(peaks[peaks["assay"] == assay], options.peak_width) for assay in options.assays
    }
    return planter.genome, tables, truth


def _require_room(options: SimulationOptions, motifs: Mapping[str, Motif]) -> None:
    """The sites of a peak must lie within it, wherever its summit is."""
    widths, room = {part: motif.width for part, motif in motifs.items()}, options.peak_width - 2 * MARGIN
    for name, assay in options.grammars.items():
        longest = assay.widest(widths, spacing=options.spacing)
        if longest > room:
            raise ConfigError(
                f"simulate.assays.{name}: its sites take up to {longest} bp, but peaks have room for {room} "
                f"(peak_width less {2 * MARGIN}); use less spacing, fewer copies or wider peaks"
            )


def _in_order(table: pd.DataFrame, chroms: list[str]) -> pd.DataFrame:
    rank = table["chrom"].map({chrom: number for number, chrom in enumerate(chroms)})
    return table.iloc[np.lexsort((table["start"], rank))].reset_index(drop=True)


def _narrowpeak(peaks: pd.DataFrame, width: int) -> pd.DataFrame:
    score = np.rint(1000 * peaks["signal"] / max(float(peaks["signal"].max()), 1e-9)).astype(int)
    return pd.DataFrame(
        {
            "chrom": peaks["chrom"],
            "start": peaks["start"],
            "end": peaks["start"] + width,
            "name": peaks["name"],
            "score": score,
            "strand": ".",
            "signal": peaks["signal"].round(4),
            "p_value": -1,
            "q_value": -1,
            "summit": peaks["summit"] - peaks["start"],
        }
    )


def write_fasta(genome: dict[str, NDArray[np.int8]], path: str | Path, *, width: int = 60) -> None:
    """Write codes (0–3) of each chromosome as FASTA, ``width`` letters a line, atomically."""
    letters = np.frombuffer(BASES.encode(), dtype=np.uint8)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        for chrom, codes in genome.items():
            text = letters[codes].tobytes()
            lines = b"\n".join(text[begin : begin + width] for begin in range(0, len(text), width))
            handle.write(f">{chrom}\n".encode() + lines + b"\n")


def simulate_genome(
    genome: str | Path,
    peaks: dict[str, str | Path],
    truth: str | Path,
    motifs: str | Path,
    grammar: str | Path | None = None,
    *,
    seed: int = 0,
    options: SimulationOptions | None = None,
) -> None:
    """Write a simulated genome, its peaks and the truth.

    Parameters
    ----------
    genome, truth, motifs
        Written: FASTA, table of planted sites, planted matrices (MEME).
    peaks
        Written: narrowPeak path by assay.
    grammar
        Written: table of what makes the peaks of each assay (GRAMMAR_COLUMNS).
    seed
        Seed of everything.
    options
        Size; default: ``SimulationOptions()``.
    """
    options = options or SimulationOptions()
    planted = load_motifs(options.parts)
    sequences, tables, sites = simulate(options, seed=seed, motifs=planted)
    write_fasta(sequences, genome)
    for assay in options.assays:
        with atomic_path(peaks[assay]) as temporary:
            tables[assay].to_csv(temporary, sep="\t", header=False, index=False)
    write_table(sites, truth)
    write_text(meme_text(planted), motifs)
    if grammar is not None:
        number = options.peaks_per_assay
        table = grammar_table(options.grammars, planted, spacing=options.spacing, peaks=number)
        write_table(table, grammar)
    logger.info(
        "%d chromosomes of %d bp, %s peaks, %d planted sites",
        len(sequences),
        len(next(iter(sequences.values()))),
        " and ".join(f"{len(table)} {assay}" for assay, table in tables.items()),
        len(sites),
    )
