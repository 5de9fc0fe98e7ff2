"""Fetch a public file by URL or from a local mirror, and check it (rule fetch_resources)."""

import os
import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.downloads import fetch_resource


def main(out: str, **settings: str | float | None) -> None:
    """Run the stage with plain arguments, as fetch_resource takes them."""
    fetch_resource(out, **settings)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.output.file,
        name=smk.wildcards.file,
        sequence_md5=smk.input.get("sequence_md5"),
        mirror_folder=os.environ.get("CISLEX_MIRROR") or None,
        **smk.params.source,
    )
