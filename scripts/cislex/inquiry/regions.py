"""What a genome and a peak file tell: format, summits, and whether their chromosomes have the same names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.regions.genome import Genome
from cislex.regions.peaks import read_peak_file

#: Chromosome and length in bp by which an assembly is known, and the JASPAR group of its organism.
ASSEMBLIES = {
    "hg38": ("chr1", 248_956_422, "vertebrates"),
    "hg19": ("chr1", 249_250_621, "vertebrates"),
    "mm39": ("chr1", 195_154_279, "vertebrates"),
    "mm10": ("chr1", 195_471_971, "vertebrates"),
    "dm6": ("chr2L", 23_513_712, "insects"),
    "ce11": ("chrI", 15_072_434, "nematodes"),
    "sacCer3": ("chrI", 230_218, "fungi"),
}
#: Roman numbers from 1.
ROMAN = (
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"),
    *("XI", "XII", "XIII", "XIV", "XV", "XVI", "XVII", "XVIII", "XIX", "XX"),
)


@dataclass(frozen=True)
class RegionFacts:
    """What was found out about a genome and a peak file.

    Attributes
    ----------
    format
        Of the peak file: ``bed``, ``narrowPeak`` or ``summits``; None without a peak file.
    peaks
        Number of its usable rows.
    malformed
        Number of rows that cannot be used.
    summits
        Whether its rows have summits.
    unknown
        Names of its chromosomes that the genome lacks, with the number of peaks on each.
    aliases
        Such names and the genome's name for each, see :func:`match_names`.
    beyond
        Number of peaks that end beyond their chromosome: of another assembly, perhaps.
    genome
        Length of each chromosome in bp; empty without a genome.
    assembly, group
        Name of the assembly at the UCSC Genome Browser and JASPAR group of the organism, if the length of a
        chromosome tells them.
    """

    format: str | None = None
    peaks: int = 0
    malformed: int = 0
    summits: bool = False
    unknown: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    beyond: int = 0
    genome: Mapping[str, int] = field(default_factory=dict)
    assembly: str | None = None
    group: str | None = None

    @property
    def lost(self) -> int:
        """Peaks on chromosomes that neither the genome has nor an alias names."""
        return sum(count for name, count in self.unknown.items() if name not in self.aliases)


def ask_regions(genome: str | Path | None, peaks: str | Path | None) -> RegionFacts:
    """Find out what a genome and a peak file tell.

    Parameters
    ----------
    genome
        FASTA, plain or bgzipped; None: not known yet.
    peaks
        BED, narrowPeak or summits, plain or gzipped; None: not known yet.

    Returns
    -------
    RegionFacts
        What was found.

    Raises
    ------
    InputError
        When a file is missing or malformed.

    Examples
    --------
    >>> ask_regions("hg38.fa", "peaks.narrowPeak").assembly  # doctest: +SKIP
    'hg38'
    """
    lengths: dict[str, int] = {}
    if genome is not None:
        require_file(genome, what="genome")
        with Genome(genome) as opened:
            lengths = dict(opened.lengths)
        if not lengths:
            raise InputError(f"genome: {genome} holds no sequence; expected FASTA, plain or bgzipped")
    assembly, group = recognise_assembly(lengths)
    if peaks is None:
        return RegionFacts(genome=lengths, assembly=assembly, group=group)
    require_file(peaks, what="peaks")
    _refuse_sequences(peaks)
    found = read_peak_file(peaks, malformed="drop")
    rows = found.rows
    counts = {str(name): int(count) for name, count in rows["chrom"].value_counts().items()}
    unknown = {name: count for name, count in counts.items() if name not in lengths} if lengths else {}
    aliases = match_names(unknown, lengths)
    named = rows["chrom"].map(lambda name: aliases.get(name, name))
    ends = named.map(lengths).astype("float64") if lengths else rows["end"]
    return RegionFacts(
        format=str(rows.attrs["format"]),
        peaks=len(rows),
        malformed=len(found.dropped),
        summits=bool((rows["summit"] >= 0).mean() > 0.5),
        unknown=unknown,
        aliases=aliases,
        beyond=int((rows["end"] > ends).sum()),
        genome=lengths,
        assembly=assembly,
        group=group,
    )


def recognise_assembly(lengths: Mapping[str, int]) -> tuple[str | None, str | None]:
    """Name of an assembly and JASPAR group of its organism, by the length of one chromosome.

    Both are None where no assembly of ``ASSEMBLIES`` fits; names without ``chr`` give the group alone, since
    the browser knows them by other names.
    """
    for assembly, (chrom, length, group) in ASSEMBLIES.items():
        if lengths.get(chrom) == length:
            return assembly, group
        if lengths.get(chrom.removeprefix("chr")) == length:
            return None, group
    return None, None


def match_names(names: Iterable[str], genome: Mapping[str, int]) -> dict[str, str]:
    """The genome's name for each name that differs from it only in ``chr`` or in its kind of number.

    Parameters
    ----------
    names
        Names that the genome lacks.
    genome
        Chromosomes of the genome by name.

    Returns
    -------
    dict
        ``{"4": "chr4"}``, ``{"chr4": "4"}`` or ``{"chr4": "chrIV"}``. Roman numbers are taken for such where
        the genome has them from I to IX: else X may be a sex chromosome.
    """
    roman = {prefix for prefix in ("chr", "") if all(prefix + number in genome for number in ROMAN[:9])}
    found = {}
    for name in names:
        short = name.removeprefix("chr")
        others = [f"chr{name}", short]
        if short.isascii() and short.isdigit() and 0 < int(short) <= len(ROMAN):
            others += [prefix + ROMAN[int(short) - 1] for prefix in sorted(roman)]
        there = [other for other in others if other in genome]
        if there:
            found[name] = there[0]
    return found


def _refuse_sequences(path: str | Path) -> None:
    with open(path, "rb") as handle:
        head = handle.read(8)
    if head.startswith(b">"):
        raise InputError(
            f"peaks: {path} is FASTA; expected BED, narrowPeak or summits. For sequences given directly set "
            "regions.<name>.fasta in the config (config/README.md)"
        )
    if head.startswith(b"\x89HDF"):
        raise InputError(
            f"peaks: {path} is HDF5; expected BED, narrowPeak or summits. For sequences given directly set "
            "regions.<name>.hdf5 in the config (config/README.md)"
        )
