"""Say at planning time which regions are too few for TF-MoDISco, whatever the model has learned.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from cislex_workflow.job_resources import Work

#: Seqlets of TF-MoDISco lie at least this far apart (bp): half a sliding window of 20 bp and a flank of 5 bp.
APART = 15


def notices(work: Work) -> Iterator[str]:
    """A line for each analysis whose regions cannot hold as many seqlets as a motif search needs.

    Regions that are not there yet are taken to be many.
    """
    for name, analysis in work.config["analyses"].items():
        motifs = analysis["motifs"]
        if motifs is None:
            continue
        count, length = work.regions(analysis["regions"]), work.length(analysis["regions"])
        width, needed = min(length, motifs["window"] or length), motifs["min_metacluster_size"]
        if count * (width // APART + 1) <= needed:
            yield (
                f"analyses.{name}: {count} regions of {width} bp hold no more than {needed} seqlets, and "
                "TF-MoDISco needs more (motifs.min_metacluster_size). Set motifs: null, "
                "and seqlets: {} to name single seqlets"
            )
