"""Links out of the page: loci in a genome browser, DOIs, matrices of JASPAR. Nothing is loaded from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

#: Identifiers of JASPAR's matrices.
JASPAR = re.compile(r"\b(?:MA|UN)\d{4}\.\d+\b")
#: A locus as the page writes it, 0-based and half-open.
LOCUS = re.compile(r"([^\s:]+):([\d,]+)–([\d,]+)")


@dataclass(frozen=True)
class Links:
    """Makes links.

    Parameters
    ----------
    assembly
        Name of the genome's assembly at the UCSC Genome Browser, such as ``hg38`` or ``sacCer3``; None: loci
        are no links.
    """

    assembly: str | None = None

    def locus(self, text: str) -> Markup:
        """Link a locus such as ``chrIV:1,200–1,400 (+)`` to the browser."""
        found = LOCUS.match(text)
        if self.assembly is None or found is None:
            return escape(text)
        chrom, start, end = found[1], int(found[2].replace(",", "")), int(found[3].replace(",", ""))
        browser = f"https://genome.ucsc.edu/cgi-bin/hgTracks?db={quote(self.assembly)}"
        place = quote(f"{chrom}:{start + 1}-{end}")
        return _link(f"{browser}&position={place}", text)

    def doi(self, doi: str) -> Markup:
        """Link a DOI."""
        return _link(f"https://doi.org/{quote(doi)}", f"doi:{doi}")

    def matrix(self, name: str) -> Markup:
        """Link an identifier of JASPAR; other ones are text."""
        return self.matrices(name) if JASPAR.fullmatch(name) else escape(name)

    def matrices(self, text: str) -> Markup:
        """Link every identifier of JASPAR in a text."""
        parts, last = [], 0
        for found in JASPAR.finditer(text):
            parts += [escape(text[last : found.start()]), _link(_jaspar(found[0]), found[0])]
            last = found.end()
        return Markup("").join([*parts, escape(text[last:])])


def _jaspar(matrix: str) -> str:
    return f"https://jaspar.elixir.no/matrix/{matrix}/"


def _link(address: str, text: str) -> Markup:
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(address, text)
