"""Contrasts: two targets, or two models, compared at the hits of one of them.

Purpose: which sites and which words contribute more to the one than to the other, with q-values; one job per
contrast.
Inputs: hits.bed.gz of one side, attributions.h5 of both.
Outputs: contrasts/{contrast}/hits.tsv.gz, words.tsv and sides.tsv.
"""


rule contrast_hits:
    input:
        hits=contrast_file("hits.bed.gz"),
        first=contrast_file("attributions.h5", "first"),
        second=contrast_file("attributions.h5", "second"),
    output:
        hits=f"{RESULTS}/contrasts/{{contrast}}/hits.tsv.gz",
        words=f"{RESULTS}/contrasts/{{contrast}}/words.tsv",
        sides=f"{RESULTS}/contrasts/{{contrast}}/sides.tsv",
    log:
        f"{RESULTS}/logs/contrast_hits/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/contrast_hits/{{contrast}}.tsv"
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("contrast_hits"),
        runtime=runtime_of("contrast_hits"),
    params:
        code=code("contrast_hits"),
        first=contrast_side("first"),
        second=contrast_side("second"),
        options=contrast_options,
    message:
        "Contrast: {wildcards.contrast}"
    script:
        "../../scripts/contrast_hits.py"
