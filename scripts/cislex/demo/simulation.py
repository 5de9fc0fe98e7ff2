"""Simulate a genome and two assays whose peaks are driven by known motifs.

- ``insulator``: a peak is made by one CTCF site, in either orientation.
- ``enhancer``: a peak is made by an AP-1 (FOS::JUN) and a SPI1 site together, ``spacing`` apart, AP-1
  always upstream, the pair in either orientation.
- Decoys make no peak: single AP-1 and SPI1 sites, and GATA1 sites, alone or within either assay's peaks.

The background is a first-order Markov chain. Sites are drawn from JASPAR's matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import ConfigError
from cislex.files.tables import atomic_path, write_table, write_text
from cislex.logs import get_logger

logger = get_logger(__name__)

ASSAYS = ("enhancer", "insulator")
#: JASPAR base ids of the planted motifs by their part.
MOTIFS = {"ctcf": "MA0139", "ap1": "MA0099", "spi1": "MA0080", "gata1": "MA0035"}
RELEASE = "JASPAR2026"
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
        Peaks of each of the two assays.
    decoys
        Decoy places outside peaks, a third each single AP-1, single SPI1 and GATA1 sites; None: one and a
        half times ``peaks_per_assay``.
    peak_width
        Width of a peak (bp).
    jitter
        Largest distance of a summit from the middle of its sites (bp).
    spacing
        Least and most bases between the two sites of an enhancer.
    gata_fraction
        Fraction of peaks that also hold a GATA1 decoy.
    """

    chromosomes: int = 6
    chromosome_length: int = 500_000
    peaks_per_assay: int = 1_200
    decoys: int | None = None
    peak_width: int = 240
    jitter: int = 15
    spacing: tuple[int, int] = (16, 36)
    gata_fraction: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", tuple(self.spacing))
        if self.decoys is None:
            object.__setattr__(self, "decoys", self.peaks_per_assay * 3 // 2)
        slots = self.chromosomes * (self.chromosome_length // SLOT - 2)
        wanted = 2 * self.peaks_per_assay + (self.decoys or 0)
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


@dataclass(frozen=True)
class Motif:
    """A motif: ``matrix_id``, ``name`` and probabilities float64 (4, w)."""

    matrix_id: str
    name: str
    probabilities: NDArray[np.float64]

    def sample(self, rng: np.random.Generator) -> NDArray[np.int8]:
        """One site: codes int8 (w,)."""
        cumulative = self.probabilities.cumsum(0)
        draws = rng.random(self.probabilities.shape[1])
        return np.minimum((draws > cumulative).sum(0), 3).astype(np.int8)


def load_motifs(release: str = RELEASE) -> dict[str, Motif]:
    """The planted motifs by part (keys of MOTIFS), newest version in a JASPAR release; offline."""
    from pyjaspar import jaspardb

    database = jaspardb(release=release)
    motifs = {}
    for part, base_id in MOTIFS.items():
        found = database.fetch_motif_by_id(base_id)
        if found is None:
            raise ConfigError(f"simulate: {release} has no matrix {base_id}")
        counts = np.array([found.counts[base] for base in BASES], dtype=np.float64)
        motifs[part] = Motif(found.matrix_id, found.name, counts / counts.sum(0))
    return motifs


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

    def width(self, part: str) -> int:
        """Width of a motif (bp)."""
        return int(self.motifs[part].probabilities.shape[1])

    def strand(self) -> str:
        """Either strand."""
        return "+-"[int(self.rng.integers(2))]

    def add_peak(self, chrom: str, middle: int, assay: str, name: str) -> None:
        """Plant what makes a peak of the assay, and call the peak."""
        strand = self.strand()
        parts = ["ctcf"] if assay == "insulator" else ["ap1", "spi1"]
        gap = (
            int(self.rng.integers(self.options.spacing[0], self.options.spacing[1] + 1))
            if len(parts) > 1
            else 0
        )
        if strand == "-":
            parts = parts[::-1]
        start = middle - (sum(map(self.width, parts)) + gap) // 2
        score = 0.0
        for part in parts:
            score += self.plant(chrom, start, part, strand, assay=assay, peak=name)
            start += self.width(part) + gap
        if self.rng.random() < self.options.gata_fraction:
            # Beyond the sites, yet within the peak: a motif often seen there that does nothing.
            side = int(self.rng.choice([-1, 1])) * int(self.rng.integers(50, 80))
            self.plant(chrom, middle + side, "gata1", self.strand(), peak=name)
        summit = middle + int(self.rng.integers(-self.options.jitter, self.options.jitter + 1))
        left = summit - self.options.peak_width // 2 + int(self.rng.integers(-10, 11))
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
        Motifs by part (keys of MOTIFS); default: JASPAR's.

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
    planter = _Planter(options, motifs or load_motifs(), seed)
    slots = iter(planter.slots())
    for assay in ASSAYS:
        for number in range(options.peaks_per_assay):
            chrom, middle = next(slots)
            planter.add_peak(chrom, middle, assay, f"{assay}_{number + 1}")
    for number in range(options.decoys or 0):
        chrom, middle = next(slots)
        planter.plant(chrom, middle, ("ap1", "spi1", "gata1")[number % 3], planter.strand())
    truth = _in_order(pd.DataFrame(planter.truth, columns=TRUTH_COLUMNS), list(planter.genome))
    peaks = _in_order(pd.DataFrame(planter.peaks), list(planter.genome))
    tables = {assay: _narrowpeak(peaks[peaks["assay"] == assay], options.peak_width) for assay in ASSAYS}
    return planter.genome, tables, truth


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


def meme_text(motifs: dict[str, Motif]) -> str:
    """The motifs in minimal MEME format."""
    lines = ["MEME version 4", "", f"ALPHABET= {BASES}", "", "strands: + -", ""]
    for motif in motifs.values():
        width = motif.probabilities.shape[1]
        lines.append(f"MOTIF {motif.matrix_id} {motif.name}")
        lines.append(f"letter-probability matrix: alength= 4 w= {width} nsites= 1000 E= 0")
        lines += [" ".join(f"{value:.6f}" for value in column) for column in motif.probabilities.T]
        lines.append("")
    return "\n".join(lines)


def simulate_genome(
    genome: str | Path,
    peaks: dict[str, str | Path],
    truth: str | Path,
    motifs: str | Path,
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
        Written: narrowPeak path by assay (ASSAYS).
    seed
        Seed of everything.
    options
        Size; default: ``SimulationOptions()``.
    """
    planted = load_motifs()
    sequences, tables, sites = simulate(options or SimulationOptions(), seed=seed, motifs=planted)
    write_fasta(sequences, genome)
    for assay in ASSAYS:
        with atomic_path(peaks[assay]) as temporary:
            tables[assay].to_csv(temporary, sep="\t", header=False, index=False)
    write_table(sites, truth)
    write_text(meme_text(planted), motifs)
    logger.info(
        "%d chromosomes of %d bp, %s peaks, %d planted sites",
        len(sequences),
        len(next(iter(sequences.values()))),
        " and ".join(f"{len(table)} {assay}" for assay, table in tables.items()),
        len(sites),
    )
