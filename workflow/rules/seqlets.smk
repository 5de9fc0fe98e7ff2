"""Seqlets: significant spans of single regions, named by known motifs and by the lexicon.

Purpose: motifs of few regions, which TF-MoDISco's clustering drops; also without motifs.
Inputs: {analysis}/{target}/attributions.h5, motif databases, lexicon/lexicon.meme (if there is a lexicon).
Outputs: {analysis}/{target}/seqlets.tsv.gz.
"""


rule call_seqlets:
    input:
        unpack(
            lambda wildcards: (
                {"words": f"{RESULTS}/lexicon/lexicon.meme"} if has_lexicon() else {}
            )
        ),
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
        databases=lambda wildcards: [
            database_path(name) for name in seqlet_databases_of(wildcards)
        ],
    output:
        seqlets=f"{RESULTS}/{{analysis}}/{{target}}/seqlets.tsv.gz",
    log:
        f"{RESULTS}/logs/call_seqlets/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/call_seqlets/{{analysis}}/{{target}}.tsv"
    wildcard_constraints:
        analysis=with_motifs("seqlets"),
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("call_seqlets"),
        runtime=runtime_of("call_seqlets"),
    params:
        code=code("call_seqlets"),
        databases=seqlet_databases_of,
        settings=lambda wildcards: {
            key: analysis_of(wildcards)["seqlets"][key]
            for key in ("max_q", "max_p", "min_length", "max_length", "window")
        },
    message:
        "Seqlets: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/call_seqlets.py"
