"""Make the folder for genome browsers (rule export_browser)."""

import sys
from pathlib import Path

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.exports import browser_specs as specs
from cislex.exports.browser import export_browser


def main(folder: str, targets: list, genome: dict, regions: dict, variants: list, settings: dict) -> None:
    """Run the stage with plain arguments."""
    export_browser(
        folder,
        targets=[specs.BrowserTarget(**_paths(one)) for one in targets],
        genome=specs.BrowserGenome(**_paths(genome)),
        regions=regions,
        variants=[specs.BrowserVariants(**_paths(one)) for one in variants],
        settings=specs.BrowserSettings(**settings),
    )


def _paths(entry: dict) -> dict:
    kept = ("analysis", "target", "signals", "assembly", "included", "name", "targets")
    return {k: v if k in kept or v is None else Path(v) for k, v in entry.items()}


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(str(Path(smk.output.hub).parent), **smk.params.options)
