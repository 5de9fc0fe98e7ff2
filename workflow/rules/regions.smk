"""Regions: fixed-length windows around the peaks of each region set, and why other rows were dropped.

Purpose: the regions that the model will read; every row of the peak file is kept or accounted for.
Inputs: peak files, the genome, its aliases and blacklist. Outputs: genome/ (index and digests of the genome),
regions/{regions}/regions.bed, regions.summary.tsv, dropped.tsv and adjusted.tsv.
"""


rule index_genome:
    input:
        fasta=fasta_path(),
    output:
        chromosomes=f"{RESULTS}/genome/chromosomes.tsv",
        fai=f"{RESULTS}/genome/index.fai",
        gzi=f"{RESULTS}/genome/index.gzi",
    log:
        f"{RESULTS}/logs/index_genome/index_genome.log",
    benchmark:
        f"{RESULTS}/benchmarks/index_genome/index_genome.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("index_genome"),
        runtime=runtime_of("index_genome"),
    params:
        code=code("index_genome"),
    message:
        "Index genome"
    script:
        "../../scripts/index_genome.py"


rule extract_regions:
    input:
        **genome_extra(),
        peaks=lambda wildcards: config["regions"][wildcards.regions]["peaks"],
        fasta=fasta_path(),
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
    output:
        regions=f"{RESULTS}/regions/{{regions}}/regions.bed",
        summary=f"{RESULTS}/regions/{{regions}}/regions.summary.tsv",
        dropped=f"{RESULTS}/regions/{{regions}}/dropped.tsv",
        adjusted=f"{RESULTS}/regions/{{regions}}/adjusted.tsv",
    log:
        f"{RESULTS}/logs/extract_regions/{{regions}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/extract_regions/{{regions}}.tsv"
    wildcard_constraints:
        regions=peak_sets(),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("extract_regions"),
        runtime=runtime_of("extract_regions"),
    params:
        code=code("extract_regions"),
        options=region_options,
    message:
        "Extract regions: {wildcards.regions}"
    script:
        "../../scripts/extract_regions.py"
