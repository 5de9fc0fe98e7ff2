"""Extract fixed-length windows from a peak file (rule extract_regions)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.regions.extraction import RegionOptions, extract_regions


def main(*, peaks: str, fasta: str, regions: str, dropped: str, options: dict, **files: str | None) -> None:
    """Run the stage with plain arguments; ``options`` are the fields of RegionOptions."""
    extract_regions(peaks, fasta, regions, dropped, options=RegionOptions(**options), **files)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        peaks=smk.input.peaks,
        fasta=smk.input.fasta,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        aliases=smk.input.get("aliases"),
        blacklist=smk.input.get("blacklist"),
        regions=smk.output.regions,
        dropped=smk.output.dropped,
        adjusted=smk.output.get("adjusted"),
        options=smk.params.options,
    )
