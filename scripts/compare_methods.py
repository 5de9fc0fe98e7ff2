"""Compare attribution methods on the same regions (rule compare_methods)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.comparison.compare import Analysis, ComparisonFiles, compare_methods
from cislex.comparison.scores import Source


def main(analyses: list, files: dict, **options: object) -> None:
    """Run the stage with plain arguments: of each analysis its name, files, settings and tables."""
    given = {
        name: Analysis({target: Source(path, uncorrected) for target, path in paths.items()}, *settings)
        for name, paths, uncorrected, *settings in analyses
    }
    compare_methods(given, ComparisonFiles(**files), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    targets, names = smk.params.targets, ("comparison", "regions", "methods", "curves", "words", "logos")
    analyses = []
    for place, (name, source) in enumerate(smk.params.sources.items()):
        own = smk.input.attributions[place * len(targets) : (place + 1) * len(targets)]
        measured = smk.input.measured[3 * place].rpartition("/")[0] if smk.input.measured else None
        settings = (source["uncorrected"], source["described"], measured, smk.input.inspections[place])
        analyses.append((name, dict(zip(targets, own, strict=True)), *settings))
    files = {name: smk.output[name] for name in names}
    main(analyses, files, truth=smk.input.truth or None, **smk.params.options)
