"""Find the motifs in the attributions of one target (rule find_motifs)."""

import os
import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
    # With OpenMP, numba's first choice, modisco-lite does not fork processes for its clusterings.
    os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
from cislex.motifs.discovery import ModiscoSettings, find_motifs


def main(attributions: str, out: str, threads: int, **settings: int | float | None) -> None:
    """Run the stage with plain arguments."""
    find_motifs(attributions, out, ModiscoSettings(**settings), threads=threads)  # type: ignore[arg-type]


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.attributions, smk.output.motifs, smk.threads, **smk.params.settings)
