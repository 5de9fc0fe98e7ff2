"""What a plan of few regions cannot give, whatever the model has learned, said before its first job.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from cislex_workflow.expected_use.work import Work

#: Seqlets of TF-MoDISco lie at least this far apart (bp): half a sliding window of 20 bp and a flank of 5 bp.
APART = 15


def notices(work: Work) -> Iterator[str]:
    """A line for each analysis whose regions are too few for motifs, or for distances between words.

    Regions that are not there yet are taken to be many.
    """
    for name, analysis in work.config["analyses"].items():
        count, length = work.stored(analysis)
        motifs, syntax = analysis["motifs"], analysis["syntax"]
        if motifs is not None:
            width, needed = min(length, motifs["window"] or length), motifs["min_metacluster_size"]
            if count * (width // APART + 1) <= needed:
                yield (
                    f"analyses.{name}: {count} regions of {width} bp hold no more than {needed} seqlets, and "
                    "TF-MoDISco needs more (motifs.min_metacluster_size). Set motifs: null, "
                    "and seqlets: {} to name single seqlets"
                )
        if syntax is not None and count < syntax["min_regions"]:
            yield (
                f"analyses.{name}.syntax: {analysis['regions']} has about {count} regions, and distances are "
                f"tested for words that share {syntax['min_regions']} (min_regions): expect none; "
                "syntax: null omits it"
            )
