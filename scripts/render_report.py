"""Make the report page from the result tables (rule render_report)."""

import sys
from datetime import date

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.report import render_report, specs


def main(
    out: str, analyses: list, regions: list, models: list, lexicon=None, insertions=(), **options
) -> None:
    """Run the stage with plain arguments."""
    for name, kind in (("variants", specs.VariantTables), ("evolution", specs.EvolutionTables)):
        options[name] = [kind(**entry) for entry in options.get(name, ())]
    render_report(
        out,
        analyses=[specs.AnalysisTarget(**{**entry, "files": tuple(entry["files"])}) for entry in analyses],
        regions=[specs.RegionSet(**entry) for entry in regions],
        models=[specs.TrainedModel(**entry) for entry in models],
        lexicon=specs.LexiconTables(**{**lexicon, "files": tuple(lexicon["files"])}) if lexicon else None,
        insertions=[specs.InsertionTables(**{**e, "files": tuple(e["files"])}) for e in insertions],
        date=date.today().isoformat(),
        **options,
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        out=smk.output.report,
        analyses=smk.params.analyses,
        regions=smk.params.regions,
        models=smk.params.models,
        **smk.params.options,
    )
