"""Syntax: where words stand in the regions, how far apart and in which orientation.

Purpose: one job per target of an analysis with syntax.
Inputs: {analysis}/{target}/hits.bed.gz, attributions.h5, and the words: lexicon/lexicon.tsv where there is one, and
what Fi-NeMo called the hits with (lexicon/lexicon.h5 or the target's own modisco.h5).
Outputs: {analysis}/{target}/positions.tsv, syntax.tsv, periodicity.tsv.
"""


rule analyse_syntax:
    input:
        unpack(words_of_hits),
        hits=f"{RESULTS}/{{analysis}}/{{target}}/hits.bed.gz",
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
    output:
        positions=f"{RESULTS}/{{analysis}}/{{target}}/positions.tsv",
        syntax=f"{RESULTS}/{{analysis}}/{{target}}/syntax.tsv",
        periodicity=f"{RESULTS}/{{analysis}}/{{target}}/periodicity.tsv",
    log:
        f"{RESULTS}/logs/analyse_syntax/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/analyse_syntax/{{analysis}}/{{target}}.tsv"
    wildcard_constraints:
        analysis=with_motifs("syntax"),
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("analyse_syntax"),
        runtime=runtime_of("analyse_syntax"),
    params:
        code=code("analyse_syntax"),
        settings=syntax_settings,
        trimming=searched_trimming,
    message:
        "Syntax: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/analyse_syntax.py"
