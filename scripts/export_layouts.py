"""Write contributions in the layouts of other tools (rule export_layouts)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.exports.layouts import export_layouts


def main(attributions: str, folder: str, layouts: list, track: str | None, hits: str | None) -> None:
    """Run the stage with plain arguments."""
    export_layouts(attributions, folder, layouts=layouts, track=track, hits=hits)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.input.attributions,
        smk.output.folder,
        smk.params.layouts,
        smk.input.get("track"),
        smk.input.get("hits"),
    )
