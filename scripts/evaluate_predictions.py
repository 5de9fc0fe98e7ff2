"""Compare predictions with labels of the same regions (rule evaluate_predictions)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.prediction.evaluate import evaluate_predictions


def main(predictions: str, regions: str, observed: str, evaluation: str, **options: object) -> None:
    """Run the stage with plain arguments (see cislex.prediction.evaluate)."""
    evaluate_predictions(predictions, regions, observed, evaluation, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        predictions=smk.input.predictions,
        regions=smk.input.regions,
        observed=smk.output.observed,
        evaluation=smk.output.evaluation,
        chromosomes=smk.input.get("chromosomes"),
        aliases=smk.input.get("aliases"),
        **smk.params.options,
    )
