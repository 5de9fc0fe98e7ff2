"""The table of splice sites of yeast (resources/yeast_introns.*.bed) and the genome around them."""

from __future__ import annotations

from pathlib import Path

from pyfaidx import Fasta

RESOURCES = Path(__file__).resolve().parents[1] / "resources"
#: Bases on either side of a site in a window.
CONTEXT = 5000
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def sites(kind: str) -> dict[str, tuple[str, int, str]]:
    """Chromosome, 0-based position and strand of the exon's last (donors) or first base, by gene."""
    found = {}
    for line in (RESOURCES / f"yeast_introns.{kind}.bed").read_text().splitlines():
        chromosome, start, end, gene, _, strand = line.split("\t")
        assert int(end) == int(start) + 1
        assert gene not in found
        found[gene] = (chromosome, int(start), strand)
    return found


def windows(genome: Path, kind: str, context: int = CONTEXT) -> dict[str, str]:
    """Bases around each site, 5′ to 3′ on its strand, by gene; the site is base ``context``."""
    found = {}
    with Fasta(str(genome)) as sequences:
        for gene, (chromosome, position, strand) in sites(kind).items():
            window = str(sequences[chromosome][position - context : position + context + 1]).upper()
            found[gene] = window if strand == "+" else window[::-1].translate(_COMPLEMENT)
    return found
