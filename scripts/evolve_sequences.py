"""Edit sequences until a model's prediction rises or falls (rule evolve_sequences)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin, deadline

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.design.evolve import EvolutionJob, evolve_sequences
from cislex.design.records import EvolutionFiles


def main(weights: dict, inputs: dict, files: dict, job: dict, **options: object) -> None:
    """Run the stage with plain arguments; ``inputs`` by what they are."""
    evolve_sequences(weights, EvolutionFiles(**files), EvolutionJob(**job), **inputs, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    analysis = smk.config["evolution"][smk.wildcards.evolution]["analysis"]
    incomplete = smk.config["analyses"][analysis]["qc"]["allow_incomplete"]
    names = ("sequences", "predictions", "fasta", "keep")
    main(
        dict(zip(smk.params.folds, smk.input.weights, strict=True)),
        {name: smk.input[name] for name in names if smk.input[name]},
        dict(smk.output.items()),
        {**smk.params.job, "allow_incomplete": incomplete},
        model=smk.params.model,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        threads=smk.threads,
        deadline=deadline(smk.resources.runtime),
    )
