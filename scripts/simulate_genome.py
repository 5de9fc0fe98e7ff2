"""Simulate a genome and assays whose motifs are known (rule simulate_genome)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.demo.simulation import SimulationOptions, simulate_genome


def main(
    *, genome: str, peaks: dict[str, str], truth: str, motifs: str, grammar: str, seed: int, options: dict
) -> None:
    """Run the stage with plain arguments; ``options`` are fields of SimulationOptions."""
    simulate_genome(genome, peaks, truth, motifs, grammar, seed=seed, options=SimulationOptions(**options))


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        genome=smk.output.genome,
        peaks=dict(zip(smk.params.options["assays"], smk.output.peaks, strict=True)),
        truth=smk.output.truth,
        motifs=smk.output.motifs,
        grammar=smk.output.grammar,
        seed=smk.params.seed,
        options=smk.params.options,
    )
