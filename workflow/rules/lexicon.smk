"""Lexicon: one vocabulary over all targets and analyses, and who uses which word.

Purpose: patterns that are one motif become one word; composites are taken apart; seqlets and hits are counted.
Inputs: modisco.h5 of every target and the motif databases; for usage hits.bed.gz, too, and the places of regions.
Outputs: lexicon/lexicon.tsv, lexicon_members.tsv, lexicon.meme, lexicon.h5; usage.tsv, usage.h5ad.
"""

if has_lexicon():

    rule combine_lexicon:
        input:
            motifs=lexicon_files("modisco.h5"),
            databases=lambda wildcards: [
                database_path(name) for name in lexicon_databases(wildcards)
            ],
        output:
            table=report(
                f"{RESULTS}/lexicon/lexicon.tsv",
                caption="../report/lexicon.rst",
                category="Lexicon",
                labels={"table": "Words"},
            ),
            members=f"{RESULTS}/lexicon/lexicon_members.tsv",
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
            databases=lexicon_databases,
            settings=lexicon_thresholds,
            trimming=lexicon_trimming,
        message:
            "Lexicon of all targets"
        script:
            "../../scripts/combine_lexicon.py"

    rule summarise_usage:
        input:
            words=f"{RESULTS}/lexicon/lexicon.tsv",
            members=f"{RESULTS}/lexicon/lexicon_members.tsv",
            modisco=f"{RESULTS}/lexicon/lexicon.h5",
            hits=lexicon_files("hits.bed.gz", with_hits=True),
            attributions=lexicon_files("attributions.h5", with_hits=True),
        output:
            table=report(
                f"{RESULTS}/lexicon/usage.tsv",
                caption="../report/usage.rst",
                category="Lexicon",
                labels={"table": "Use of words by targets"},
            ),
            matrix=f"{RESULTS}/lexicon/usage.h5ad",
        log:
            f"{RESULTS}/logs/summarise_usage/lexicon.log",
        benchmark:
            f"{RESULTS}/benchmarks/summarise_usage/lexicon.tsv"
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("summarise_usage"),
            runtime=runtime_of("summarise_usage"),
        params:
            code=code("summarise_usage"),
            targets=lambda wildcards: lexicon_targets(),
            with_hits=lexicon_with_hits,
        message:
            "Use of the lexicon's words by each target"
        script:
            "../../scripts/summarise_usage.py"
