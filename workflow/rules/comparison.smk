"""Comparison: attribution methods, references, folds or models on the same regions.

Purpose: how far analyses agree, and how faithful each is to its model; the latter one job per analysis, on a GPU
where there is one.
Inputs: attributions.h5 of each analysis, sequences.h5, the weights of every fold.
Outputs: comparisons/{comparison}/comparison.tsv, methods.tsv, regions.tsv.gz, curves.tsv, words.tsv and logos.tsv.
"""


rule measure_faithfulness:
    input:
        sequences=lambda wildcards: f"{RESULTS}/regions/{regions_of(compared_analysis(wildcards))}/sequences.h5",
        attributions=lambda wildcards: compared_attributions(
            wildcards, [wildcards.source]
        ),
        weights=lambda wildcards: [
            weights_of(model_of(compared_analysis(wildcards)), fold)
            for fold in folds_of(compared_analysis(wildcards))
        ],
        module=lambda wildcards: model_code(model_of(compared_analysis(wildcards))),
        references=lambda wildcards: list(
            reference_files(compared_analysis(wildcards)).values()
        ),
        number=lambda wildcards: reference_number(compared_analysis(wildcards)),
        truth=comparison_truth,
    output:
        faithfulness=f"{RESULTS}/comparisons/{{comparison}}/{{source}}/faithfulness.tsv",
        curves=f"{RESULTS}/comparisons/{{comparison}}/{{source}}/curves.tsv",
        words=f"{RESULTS}/comparisons/{{comparison}}/{{source}}/words.tsv",
    log:
        f"{RESULTS}/logs/measure_faithfulness/{{comparison}}/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_faithfulness/{{comparison}}/{{source}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("measure_faithfulness"),
        runtime=runtime_of("measure_faithfulness"),
    params:
        code=code_with_method(
            "measure_faithfulness",
            lambda wildcards: analysis_of(compared_analysis(wildcards)),
        ),
        folds=lambda wildcards: folds_of(compared_analysis(wildcards)),
        job=lambda wildcards: attribution_job(compared_analysis(wildcards)),
        settings=faithfulness_settings,
        uncorrected=lambda wildcards: is_uncorrected(
            wildcards.comparison, wildcards.source
        ),
        model=lambda wildcards: model_options(model_of(compared_analysis(wildcards))),
        batch_size=lambda wildcards: analysis_of(compared_analysis(wildcards))[
            "batch_size"
        ],
        device=lambda wildcards: analysis_of(compared_analysis(wildcards))["device"],
    message:
        "Faithfulness: {wildcards.comparison} / {wildcards.source}"
    script:
        "../../scripts/measure_faithfulness.py"


rule compare_methods:
    input:
        attributions=compared_attributions,
        measured=compared_measurements,
        inspections=lambda wildcards: [
            f"{RESULTS}/{analysis}/inspection.tsv"
            for analysis in compared_sources(wildcards.comparison).values()
        ],
        truth=comparison_truth,
    output:
        comparison=f"{RESULTS}/comparisons/{{comparison}}/comparison.tsv",
        regions=f"{RESULTS}/comparisons/{{comparison}}/regions.tsv.gz",
        methods=f"{RESULTS}/comparisons/{{comparison}}/methods.tsv",
        curves=f"{RESULTS}/comparisons/{{comparison}}/curves.tsv",
        words=f"{RESULTS}/comparisons/{{comparison}}/words.tsv",
        logos=f"{RESULTS}/comparisons/{{comparison}}/logos.tsv",
    log:
        f"{RESULTS}/logs/compare_methods/{{comparison}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_methods/{{comparison}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("compare_methods"),
        runtime=runtime_of("compare_methods"),
    params:
        code=code("compare_methods"),
        sources=comparison_sources,
        targets=comparison_targets,
        options=comparison_options,
    message:
        "Compare methods: {wildcards.comparison}"
    script:
        "../../scripts/compare_methods.py"
