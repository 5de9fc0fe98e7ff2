"""Write the weights of a model that scans for the planted motifs (rule plant_model)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.demo.planted_model import plant_model


def main(planted: str, weights: str, *, assays: dict) -> None:
    """Run the stage with plain arguments."""
    plant_model(planted, weights, assays=assays)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.motifs, smk.output.weights, assays=smk.params.assays)
