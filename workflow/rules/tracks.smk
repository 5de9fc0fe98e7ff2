"""Tracks: contributions along the genome, for a genome browser.

Purpose: one bigWig per target; not for sequences given without coordinates.
Inputs: {analysis}/{target}/attributions.h5, the genome's table of chromosomes. Outputs: {analysis}/{target}/contributions.bw.
"""


rule export_tracks:
    input:
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
        chromosomes=rules.index_genome.output.chromosomes,
    output:
        track=f"{RESULTS}/{{analysis}}/{{target}}/contributions.bw",
    log:
        f"{RESULTS}/logs/export_tracks/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_tracks/{{analysis}}/{{target}}.tsv"
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("export_tracks"),
        runtime=runtime_of("export_tracks"),
    params:
        code=code("export_tracks"),
    message:
        "bigWig track: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/export_tracks.py"
