"""Prediction: the outputs of every fold of a model for every region.

Purpose: outputs of the model (all, or fewer where they are large), and each target as the mean over folds.
Inputs: sequences.h5, the weights of every fold. Outputs: {analysis}/predictions.h5 and predictions.tsv.
"""


rule predict_regions:
    input:
        sequences=lambda wildcards: f"{RESULTS}/regions/{regions_of(wildcards)}/sequences.h5",
        weights=lambda wildcards: [
            weights_of(model_of(wildcards), fold) for fold in folds_of(wildcards)
        ],
        module=lambda wildcards: model_code(model_of(wildcards)),
        intervals=interval_files,
    output:
        predictions=f"{RESULTS}/{{analysis}}/predictions.h5",
        table=f"{RESULTS}/{{analysis}}/predictions.tsv",
    log:
        f"{RESULTS}/logs/predict_regions/{{analysis}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_regions/{{analysis}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("predict_regions"),
        runtime=runtime_of("predict_regions"),
    params:
        code=code_with_model("predict_regions"),
        folds=lambda wildcards: folds_of(wildcards),
        options=lambda wildcards: {
            "wanted": analysis_of(wildcards)["targets"],
            "device": analysis_of(wildcards)["device"],
            "reverse_complement": analysis_of(wildcards)["reverse_complement"],
            "keep": analysis_of(wildcards)["predictions"]["outputs"],
            **held_out_of(wildcards),
            **model_options(model_of(wildcards)),
        },
    message:
        "Predict regions: {wildcards.analysis}"
    script:
        "../../scripts/predict_regions.py"
