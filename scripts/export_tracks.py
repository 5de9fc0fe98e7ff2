"""Write contributions as a bigWig (rule export_tracks)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.exports.tracks import export_tracks


def main(attributions: str, chromosomes: str, out: str) -> None:
    """Run the stage with plain arguments."""
    export_tracks(attributions, None, out, chromosomes=chromosomes)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.attributions, smk.input.chromosomes, smk.output.track)
