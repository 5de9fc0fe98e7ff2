"""Every splice site of the table of config/spliceai.yaml is one: checked against the genome."""

from __future__ import annotations

from pathlib import Path

import pytest
from Bio.Seq import Seq
from yeast_introns import CONTEXT, sites, windows

#: Length of each intron, and the beginning of the protein, which the exons encode only when joined there.
INTRONS = {
    "ACT1": (309, "MDSEVAALVIDNGSGMCKAGFAG"),
    "RPL28": (511, "MPSRFTKTRKHRGHVSAGKGRIGKHRKHPG"),
    "TUB1": (116, "MREVISINVGQAGCQIGNACWELYS"),
    "RPS17A": (398, "MGRVRTKTVKRASKALIERYYPK"),
    "RPL25": (414, "MAPSAKATAAKKAVVKGTNGKKALK"),
    "RPS11B": (511, "MSTELTVQSERAFQKQPHIFNNPKVKTSKRTK"),
}


def test_both_tables_have_the_same_genes() -> None:
    donors, acceptors = sites("donors"), sites("acceptors")
    assert list(donors) == list(acceptors) == list(INTRONS)
    for gene, (length, _) in INTRONS.items():
        chromosome, donor, strand = donors[gene]
        assert acceptors[gene] == (chromosome, donor + (length + 1) * (1 if strand == "+" else -1), strand)


@pytest.mark.parametrize("gene", sorted(INTRONS))
def test_a_row_is_a_splice_site_of_its_gene(gene: str, shared_data: Path) -> None:
    length, protein = INTRONS[gene]
    window = windows(shared_data / "yeast" / "sacCer3.fa.gz", "donors")[gene]
    before, intron, after = (
        window[: CONTEXT + 1], window[CONTEXT + 1 : CONTEXT + 1 + length], window[CONTEXT + 1 + length :]
    )  # fmt: skip
    acceptor = windows(shared_data / "yeast" / "sacCer3.fa.gz", "acceptors")[gene]
    assert acceptor[CONTEXT:].startswith(after[:1000])
    assert acceptor[:CONTEXT].endswith(intron[-50:])
    assert intron.startswith("GTATG")
    assert intron.endswith("AG")
    assert 15 <= length - intron.rindex("TACTAAC") <= 70, "the branch point is close to the acceptor"
    coding = len(protein) * 3
    starts = [
        start
        for start in range(CONTEXT + 2 - coding, CONTEXT + 1)
        if str(Seq((before + after)[start : start + coding]).translate()) == protein
    ]
    assert len(starts) == 1
    assert str(Seq(window[starts[0] : starts[0] + coding]).translate()) != protein
