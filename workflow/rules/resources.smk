"""Resources: public files of the config's `fetch` section, downloaded or copied from a mirror, and checked.

Purpose: the genome and the peak files of an example, exactly as they were published.
Inputs: URLs, or the folder named by the environment variable CISLEX_MIRROR. Outputs: resources/downloads/{file}.
"""

if config["fetch"]:

    # On the host that runs Snakemake: compute nodes of a cluster often reach no network.
    rule fetch_resources:
        input:
            unpack(
                lambda wildcards: {
                    key: config["fetch"][wildcards.file][key]
                    for key in ("sequence_md5",)
                    if config["fetch"][wildcards.file][key]
                }
            ),
        output:
            file="resources/downloads/{file}",
        log:
            f"{RESULTS}/logs/fetch_resources/{{file}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/fetch_resources/{{file}}.tsv"
        wildcard_constraints:
            file="|".join(map(_re.escape, config["fetch"])),
        localrule: True
        conda:
            "../../envs/data.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("fetch_resources"),
            runtime=runtime_of("fetch_resources"),
        params:
            code=code("fetch_resources"),
            source=lambda wildcards: {
                "url": config["fetch"][wildcards.file]["url"],
                "mirror": config["fetch"][wildcards.file]["mirror"] or wildcards.file,
                "sha256": config["fetch"][wildcards.file]["sha256"],
                "max_gb": config["fetch"][wildcards.file]["max_gb"],
            },
        message:
            "Download: {wildcards.file}"
        script:
            "../../scripts/fetch_resources.py"
