"""Attribute one chunk of regions by one fold of the model (rule attribute_chunk)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin, deadline

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.chunks.attribute import ChunkJob, attribute_chunk


def main(sequences: str, weights: str, out: str, job: dict, model: dict, threads: int, **options) -> None:
    """Run the stage with plain arguments."""
    attribute_chunk(sequences, weights, out, ChunkJob(**job), model=model, threads=threads, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    # Read here and no parameter of the rule: another gate attributes nothing anew.
    gate = smk.config["analyses"][smk.wildcards.analysis]["qc"]
    own = {"chunk": int(smk.wildcards.chunk), "fold": smk.wildcards.fold}
    main(
        sequences=smk.input.sequences,
        weights=smk.input.weights,
        out=smk.output.chunk,
        job={**smk.params.job, **own, "allow_incomplete": gate["allow_incomplete"]},
        model=smk.params.model,
        inspected=smk.input.inspected,
        references=smk.input.number or None,
        windows=smk.input.windows or None,
        threads=smk.threads,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        deadline=deadline(smk.resources.runtime),
        gate=gate,
    )
