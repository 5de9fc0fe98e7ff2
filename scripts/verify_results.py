"""Read every file of a results folder again (rule verify_results)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.verification.verify import verify_results


def main(*, folder: str, out: str, threads: int, options: dict) -> None:
    """Run the stage with plain arguments."""
    verify_results(folder, out, threads=threads, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        folder=smk.params.folder,
        out=smk.output.table,
        threads=smk.threads,
        options=smk.params.options,
    )
