"""Predict every region by every fold of a model (rule predict_regions)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.prediction.predict import predict_regions


def main(sequences: str, weights: dict, predictions: str, table: str, **options: object) -> None:
    """Predict, with plain arguments (see cislex.prediction.predict)."""
    predict_regions(sequences, weights, predictions, table, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    main(
        sequences=smk.input.sequences,
        weights=dict(zip(smk.params.folds, smk.input.weights, strict=True)),
        predictions=smk.output.predictions,
        table=smk.output.table,
        threads=smk.threads,
        **smk.params.options,
    )
