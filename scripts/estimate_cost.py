"""Estimate the cost of a run before it starts (rule estimate_cost)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.cost.disk import StoredPart
from cislex.cost.estimate import AnalysisPlan, ForwardPlan, RegionSource, estimate_cost


def main(
    analyses: dict, regions: dict, inspections: dict, table: str, text: str, predicted: dict, **options
) -> None:
    """Run the stage with plain arguments."""
    forwards = {
        kind: {name: ForwardPlan(**plan) for name, plan in named.items()} for kind, named in predicted.items()
    }
    plans = {
        name: AnalysisPlan(**{**plan, "stored": StoredPart(**plan["stored"])})
        for name, plan in analyses.items()
    }
    sources = {name: RegionSource(**source) for name, source in regions.items()}
    estimate_cost(plans, sources, inspections, table, text, **forwards, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        analyses=smk.params.analyses,
        regions=smk.params.regions,
        inspections=dict(zip(smk.params.analyses, smk.input.inspections, strict=True)),
        table=smk.output.table,
        text=smk.output.text,
        predicted=smk.params.predicted,
        **smk.params.options,
    )
