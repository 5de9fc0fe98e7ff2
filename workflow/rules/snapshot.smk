"""Snapshot: the complete config of this run, which reruns it.

Purpose: a year later, `snakemake --configfile <results>/config.yaml` does the same.
Inputs: the config with every default filled in. Outputs: config.yaml.
"""


rule snapshot_config:
    output:
        config=f"{RESULTS}/config.yaml",
    log:
        f"{RESULTS}/logs/snapshot_config.log",
    benchmark:
        f"{RESULTS}/benchmarks/snapshot_config.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("snapshot_config"),
        runtime=runtime_of("snapshot_config"),
    params:
        code=code("snapshot_config"),
        config=_configuration.Summarised(PORTABLE_CONFIG),
    message:
        "Save the resolved config"
    script:
        "../../scripts/snapshot_config.py"
