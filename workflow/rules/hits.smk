"""Hits: instances of each word of the lexicon in the genome (Fi-NeMo, or a scan).

Purpose: one job per target of an analysis with hits; all targets are searched with the same words.
Inputs: {analysis}/{target}/attributions.h5; lexicon/lexicon.h5 and lexicon.tsv, or without a lexicon the target's
own modisco.h5; or a motif database. Outputs: {analysis}/{target}/hits.bed.gz and its index.
"""


rule call_hits:
    input:
        unpack(searched_motifs),
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
    output:
        hits=f"{RESULTS}/{{analysis}}/{{target}}/hits.bed.gz",
        index=f"{RESULTS}/{{analysis}}/{{target}}/hits.bed.gz.tbi",
    log:
        f"{RESULTS}/logs/call_hits/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/call_hits/{{analysis}}/{{target}}.tsv"
    wildcard_constraints:
        analysis=with_motifs("hits"),
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("call_hits"),
        runtime=runtime_of("call_hits"),
    params:
        code=code("call_hits"),
        settings=hit_settings,
        trimming=searched_trimming,
    message:
        "Motif hits: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/call_hits.py"
