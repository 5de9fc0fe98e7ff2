"""Make the report page from the result tables (rule render_report)."""

import sys
from datetime import date

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.report import render_report, specs


def main(out: str, analyses: list, regions: list, models: list, lexicon=None, **options) -> None:
    """Run the stage with plain arguments."""
    render_report(
        out,
        analyses=_made(specs.AnalysisTarget, analyses),
        regions=_made(specs.RegionSet, regions),
        models=_made(specs.TrainedModel, models),
        lexicon=_made(specs.LexiconTables, [lexicon])[0] if lexicon else None,
        **{name: _made(kind, options.pop(name, ())) for name, kind in specs.EXPERIMENTS.items()},
        date=date.today().isoformat(),
        **options,
    )


def _made(kind, entries) -> list:
    return [kind(**{**e, "files": tuple(e["files"])} if "files" in e else e) for e in entries]


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        out=smk.output.report,
        analyses=smk.params.analyses,
        regions=smk.params.regions,
        models=smk.params.models,
        **smk.params.options,
    )
