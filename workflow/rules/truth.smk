"""Truth: in the demo it is known which motifs drive the peaks; were they found?

Purpose: judge motifs and hits against what was planted. Only with a simulated genome.
Inputs: simulated/truth.tsv, simulated/motifs.meme, and the motifs and hits of a target.
Outputs: {analysis}/{target}/truth.tsv and, with syntax, {analysis}/{target}/grammar.tsv.
"""

if config["simulate"]:

    rule compare_with_truth:
        input:
            unpack(
                lambda wildcards: (
                    {
                        "hits": f"{RESULTS}/{wildcards.analysis}/{wildcards.target}/hits.bed.gz",
                        "words": (
                            f"{RESULTS}/lexicon/lexicon.meme" if has_lexicon() else []
                        ),
                    }
                    if analysis_of(wildcards)["hits"]
                    and not scanned_database(analysis_of(wildcards))
                    else {}
                )
            ),
            truth=f"{RESULTS}/simulated/truth.tsv",
            planted=f"{RESULTS}/simulated/motifs.meme",
            motifs=f"{RESULTS}/{{analysis}}/{{target}}/motifs.tsv",
            meme=f"{RESULTS}/{{analysis}}/{{target}}/motifs.meme",
            attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
            database=lambda wildcards: database_files(wildcards)[0],
        output:
            table=f"{RESULTS}/{{analysis}}/{{target}}/truth.tsv",
        log:
            f"{RESULTS}/logs/compare_with_truth/{{analysis}}/{{target}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/compare_with_truth/{{analysis}}/{{target}}.tsv"
        wildcard_constraints:
            analysis=with_motifs(),
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("compare_with_truth"),
            runtime=runtime_of("compare_with_truth"),
        params:
            code=code("compare_with_truth"),
        message:
            "Compare with planted motifs: {wildcards.analysis} / {wildcards.target}"
        script:
            "../../scripts/compare_with_truth.py"

    rule compare_grammar:
        input:
            truth=f"{RESULTS}/simulated/truth.tsv",
            grammar=f"{RESULTS}/simulated/grammar.tsv",
            hits=f"{RESULTS}/{{analysis}}/{{target}}/hits.bed.gz",
            attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
            positions=f"{RESULTS}/{{analysis}}/{{target}}/positions.tsv",
            syntax=f"{RESULTS}/{{analysis}}/{{target}}/syntax.tsv",
            periodicity=f"{RESULTS}/{{analysis}}/{{target}}/periodicity.tsv",
        output:
            table=f"{RESULTS}/{{analysis}}/{{target}}/grammar.tsv",
        log:
            f"{RESULTS}/logs/compare_grammar/{{analysis}}/{{target}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/compare_grammar/{{analysis}}/{{target}}.tsv"
        wildcard_constraints:
            analysis=with_motifs("syntax"),
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("compare_grammar"),
            runtime=runtime_of("compare_grammar"),
        params:
            code=code("compare_grammar"),
        message:
            "Compare with planted grammar: {wildcards.analysis} / {wildcards.target}"
        script:
            "../../scripts/compare_grammar.py"
