"""Lexicon: one vocabulary over all targets and analyses, and who uses which word.

Purpose: patterns that are one motif become one word; composites are taken apart.
Inputs: modisco.h5 (and hits.bed.gz) of every target, and the motif databases.
Outputs: lexicon/lexicon.tsv, lexicon_members.tsv, usage.tsv, lexicon.meme, lexicon.h5.
"""

if has_lexicon():

    rule combine_lexicon:
        input:
            motifs=lexicon_files("modisco.h5"),
            hits=lexicon_files("hits.bed.gz", key="hits"),
            databases=lambda wildcards: [
                database_path(name) for name in lexicon_databases(wildcards)
            ],
        output:
            table=f"{RESULTS}/lexicon/lexicon.tsv",
            members=f"{RESULTS}/lexicon/lexicon_members.tsv",
            usage=f"{RESULTS}/lexicon/usage.tsv",
            meme=f"{RESULTS}/lexicon/lexicon.meme",
            modisco=f"{RESULTS}/lexicon/lexicon.h5",
        log:
            f"{RESULTS}/logs/combine_lexicon/lexicon.log",
        benchmark:
            f"{RESULTS}/benchmarks/combine_lexicon/lexicon.tsv"
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("combine_lexicon"),
            runtime=runtime_of("combine_lexicon"),
        params:
            code=code("combine_lexicon"),
            targets=lambda wildcards: lexicon_targets(),
            with_hits=lexicon_with_hits,
            databases=lexicon_databases,
            settings=lexicon_thresholds,
            trimming=lexicon_trimming,
        message:
            "Lexicon of all targets"
        script:
            "../../scripts/combine_lexicon.py"
