"""Sequences: the one-hot DNA of each region set, from the genome or given directly.

Purpose: the model's input, read once and shared by all analyses of these regions.
Inputs: regions.bed and the genome; or a FASTA or HDF5 file of sequences. Outputs: regions/{regions}/sequences.h5
(and, for sequences given directly, regions.bed and dropped.tsv).
"""


rule encode_sequences:
    input:
        regions=rules.extract_regions.output.regions,
        summary=rules.extract_regions.output.summary,
        fasta=fasta_path(),
        chromosomes=rules.index_genome.output.chromosomes,
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
    output:
        sequences=f"{RESULTS}/regions/{{regions}}/sequences.h5",
    log:
        f"{RESULTS}/logs/encode_sequences/{{regions}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/encode_sequences/{{regions}}.tsv"
    wildcard_constraints:
        regions=peak_sets(),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("encode_sequences"),
        runtime=runtime_of("encode_sequences"),
    params:
        code=code("encode_sequences"),
    message:
        "Encode sequences: {wildcards.regions}"
    script:
        "../../scripts/encode_sequences.py"


rule import_sequences:
    input:
        source=lambda wildcards: config["regions"][wildcards.regions]["fasta"]
        or config["regions"][wildcards.regions]["hdf5"],
        table=lambda wildcards: config["regions"][wildcards.regions]["table"] or [],
        names=lambda wildcards: config["regions"][wildcards.regions]["names"] or [],
    output:
        regions=f"{RESULTS}/regions/{{regions}}/regions.bed",
        summary=f"{RESULTS}/regions/{{regions}}/regions.summary.tsv",
        dropped=f"{RESULTS}/regions/{{regions}}/dropped.tsv",
        sequences=f"{RESULTS}/regions/{{regions}}/sequences.h5",
    log:
        f"{RESULTS}/logs/import_sequences/{{regions}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_sequences/{{regions}}.tsv"
    wildcard_constraints:
        regions=direct_sets(),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("import_sequences"),
        runtime=runtime_of("import_sequences"),
    params:
        code=code("import_sequences"),
        options=import_options,
    message:
        "Import sequences: {wildcards.regions}"
    script:
        "../../scripts/import_sequences.py"
