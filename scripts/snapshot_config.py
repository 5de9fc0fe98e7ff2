"""Write the complete config of a run beside its results (rule snapshot_config)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
import yaml
from cislex.files.tables import write_text


def main(config: dict, out: str) -> None:
    """Write the config as YAML, keys in their order."""
    write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=110), out)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(dict(smk.params.config), smk.output.config)
