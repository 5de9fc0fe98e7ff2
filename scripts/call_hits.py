"""Find the instances of the motifs in every region (rule call_hits)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.files import TrimSettings
from cislex.motifs.hits import HitSettings, call_hits
from cislex.motifs.scanning import ScanSettings


def main(
    attributions: str, motifs: str, out: str, *, settings: dict, trimming: dict, **options: object
) -> None:
    """Run the stage with plain arguments; the settings say the method."""
    method = {"finemo": HitSettings, "scan": ScanSettings}[settings.get("method", "finemo")]
    chosen = method(**{key: value for key, value in settings.items() if key != "method"})
    call_hits(attributions, motifs, out, chosen, trimming=TrimSettings(**trimming), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.input.attributions,
        smk.input.motifs,
        smk.output.hits,
        names=smk.input.get("names"),
        settings=smk.params.settings,
        trimming=smk.params.trimming,
        analysis=smk.wildcards.analysis,
        threads=smk.threads,
    )
