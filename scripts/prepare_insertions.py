"""Prepare the motifs, backgrounds and sites of an in-silico experiment (rule prepare_insertions)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.insertions.backgrounds import BackgroundSettings
from cislex.insertions.constructs import GridSettings
from cislex.insertions.prepare import prepare_insertions, under
from cislex.insertions.sites import SiteSettings


def main(files: dict, out: str, table: str, settings: dict) -> None:
    """Run the stage with plain arguments; ``files`` by what they are."""
    files, settings = dict(files), dict(settings)
    words = [files.pop(name, None) for name in ("lexicon", "words")]
    backgrounds, sites = settings.pop("backgrounds"), settings.pop("sites")
    with under(settings.pop("key", "")):
        prepare_insertions(
            files.pop("sequences"),
            out,
            table,
            lexicon=tuple(words) if all(words) else None,
            grid=GridSettings(**settings.pop("grid")),
            backgrounds=BackgroundSettings(**backgrounds, fasta=files.pop("backgrounds", None)),
            sites=SiteSettings(**sites) if sites else None,
            **files,
            **settings,
        )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    files = {name: path for name, path in smk.input.items() if path}
    main(files, smk.output.plan, smk.output.table, smk.params.settings)
