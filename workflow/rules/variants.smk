"""Variants: what a model predicts for both alleles, and how unusual the difference is.

Purpose: every allele of each set of variants is scored by every fold, or dropped with a reason; one job per chunk
of alleles and fold, on a GPU where there is one.
Inputs: VCF or table, the genome, the weights of every fold, predictions of the analysis's regions; for measured
variants the lexicon's words and known motifs, too.
Outputs: variants/{variants}/alleles.tsv, dropped_variants.tsv, chunks/{fold}/{chunk}.h5, variants.tsv,
variants.vcf.gz and its index; of the strongest variants top_variants.h5 and
top_variants.tsv; of measured variants evaluation.tsv, enrichment.tsv and observed.tsv.
"""


rule prepare_variants:
    input:
        variants=lambda wildcards: variants_file(wildcards),
        fasta=fasta_path(),
        aliases=(config["genome"] or {}).get("aliases") or [],
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
    output:
        alleles=f"{RESULTS}/variants/{{variants}}/alleles.tsv",
        dropped=f"{RESULTS}/variants/{{variants}}/dropped_variants.tsv",
    log:
        f"{RESULTS}/logs/prepare_variants/{{variants}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_variants/{{variants}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("prepare_variants"),
        runtime=runtime_of("prepare_variants"),
    params:
        code=code("prepare_variants"),
        options=variant_check,
    message:
        "Prepare variants: {wildcards.variants}"
    script:
        "../../scripts/prepare_variants.py"


rule score_variants:
    input:
        alleles=rules.prepare_variants.output.alleles,
        fasta=fasta_path(),
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
        weights=lambda wildcards: weights_of(variants_model(wildcards), wildcards.fold),
        module=lambda wildcards: model_code(variants_model(wildcards)),
    output:
        # Kept: 40 bytes for each allele and target, from which another table is made without the model.
        chunk=f"{RESULTS}/variants/{{variants}}/chunks/{{fold}}/{{chunk}}.h5",
    log:
        f"{RESULTS}/logs/score_variants/{{variants}}/{{fold}}/{{chunk}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_variants/{{variants}}/{{fold}}/{{chunk}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("score_variants"),
        runtime=runtime_of("score_variants"),
    params:
        code=code_with_model("score_variants", variants_model),
        job=variant_job,
        model=lambda wildcards: model_options(variants_model(wildcards)),
        batch_size=lambda wildcards: config["variants"][wildcards.variants][
            "batch_size"
        ],
        device=lambda wildcards: variants_analysis(wildcards)["device"],
    message:
        "Variants: {wildcards.variants} / {wildcards.fold}, chunk {wildcards.chunk}"
    script:
        "../../scripts/score_variants.py"


rule combine_variants:
    input:
        alleles=rules.prepare_variants.output.alleles,
        chunks=variant_chunks,
        background=variant_background,
        chromosomes=rules.index_genome.output.chromosomes,
    output:
        scores=f"{RESULTS}/variants/{{variants}}/variants.tsv",
        vcf=f"{RESULTS}/variants/{{variants}}/variants.vcf.gz",
        index=f"{RESULTS}/variants/{{variants}}/variants.vcf.gz.tbi",
    log:
        f"{RESULTS}/logs/combine_variants/{{variants}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/combine_variants/{{variants}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("combine_variants"),
        runtime=runtime_of("combine_variants"),
    params:
        code=code("combine_variants"),
        folds=variant_folds,
        wanted=lambda wildcards: variants_analysis(wildcards)["targets"],
        null=variant_null,
    message:
        "Table of variants: {wildcards.variants}"
    script:
        "../../scripts/combine_variants.py"


rule attribute_variants:
    input:
        scores=rules.combine_variants.output.scores,
        alleles=rules.prepare_variants.output.alleles,
        fasta=fasta_path(),
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
        weights=lambda wildcards: [
            weights_of(variants_model(wildcards), fold)
            for fold in variant_folds(wildcards)
        ],
        module=lambda wildcards: model_code(variants_model(wildcards)),
        references=lambda wildcards: variant_references(wildcards)[1],
        number=lambda wildcards: reference_number(_variants_as_analysis(wildcards)),
        words=f"{RESULTS}/lexicon/lexicon.meme" if has_lexicon() else [],
    output:
        arrays=f"{RESULTS}/variants/{{variants}}/top_variants.h5",
        table=f"{RESULTS}/variants/{{variants}}/top_variants.tsv",
    log:
        f"{RESULTS}/logs/attribute_variants/{{variants}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attribute_variants/{{variants}}.tsv"
    wildcard_constraints:
        variants=variants_with("top"),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("attribute_variants"),
        runtime=runtime_of("attribute_variants"),
    params:
        code=code_with_method("attribute_variants", variants_analysis),
        folds=variant_folds,
        job=top_variants_job,
        model=lambda wildcards: model_options(variants_model(wildcards)),
        batch_size=lambda wildcards: variants_analysis(wildcards)["batch_size"],
        device=lambda wildcards: variants_analysis(wildcards)["device"],
    message:
        "Attribution of variants: {wildcards.variants}"
    script:
        "../../scripts/attribute_variants.py"


rule evaluate_variants:
    input:
        scores=rules.combine_variants.output.scores,
        alleles=rules.prepare_variants.output.alleles,
        fasta=fasta_path(),
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
        # Motifs to compare with, where there are some.
        words=f"{RESULTS}/lexicon/lexicon.meme" if has_lexicon() else [],
        known=variant_databases,
        tracks=variant_tracks,
    output:
        evaluation=f"{RESULTS}/variants/{{variants}}/evaluation.tsv",
        enrichment=f"{RESULTS}/variants/{{variants}}/enrichment.tsv",
        observed=f"{RESULTS}/variants/{{variants}}/observed.tsv",
    log:
        f"{RESULTS}/logs/evaluate_variants/{{variants}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_variants/{{variants}}.tsv"
    wildcard_constraints:
        variants=variants_with("observed"),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("evaluate_variants"),
        runtime=runtime_of("evaluate_variants"),
    params:
        code=code("evaluate_variants"),
        options=variant_comparison,
    message:
        "Evaluate variants: {wildcards.variants}"
    script:
        "../../scripts/evaluate_variants.py"
