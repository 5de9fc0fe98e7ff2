"""Choose the windows that an analysis refines by the attributions of another one (rule choose_windows)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.chunks.window_choice import ScreenSettings, choose_windows


def main(attributions: str, out: str, settings: dict) -> None:
    """Run the stage with plain arguments."""
    choose_windows(attributions, out, ScreenSettings(**settings))


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.attributions, smk.output.windows, smk.params.settings)
