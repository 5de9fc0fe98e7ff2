"""Run one chunk of an in-silico experiment by one fold of the model (rule insert_chunk)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin, deadline

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.insertions.chunk import InsertionJob, insert_chunk


def main(plan: str, weights: str, out: str, job: dict, **options: object) -> None:
    """Run the stage with plain arguments."""
    insert_chunk(plan, weights, out, InsertionJob(**job), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    main(
        smk.input.plan,
        smk.input.weights,
        smk.output.chunk,
        {**smk.params.job, "chunk": int(smk.wildcards.chunk), "fold": smk.wildcards.fold},
        model=smk.params.model,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        threads=smk.threads,
        deadline=deadline(smk.resources.runtime),
    )
