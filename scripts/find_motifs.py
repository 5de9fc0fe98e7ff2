"""Find the motifs in the attributions of one target (rule find_motifs)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    import os

    from cislex.logs import redirect

    redirect(snakemake.log[0])  # noqa: F821
    from cislex.motif_io import numba_environment

    os.environ.update(numba_environment(snakemake.threads))  # noqa: F821
from cislex.motifs import ModiscoSettings, find_motifs


def main(attributions: str, out: str, threads: int, **settings: int | float | None) -> None:
    """Run the stage with plain arguments."""
    find_motifs(attributions, out, ModiscoSettings(**settings), threads=threads)  # type: ignore[arg-type]


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.attributions, smk.output.motifs, smk.threads, **smk.params.settings)
