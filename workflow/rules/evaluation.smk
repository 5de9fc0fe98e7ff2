"""Evaluation: predictions compared with labels of the same regions.

Purpose: does the model predict what was observed? Only for analyses with labels.
Inputs: predictions.tsv, regions.bed, and the files that hold the labels.
Outputs: {analysis}/observed.tsv and evaluation.tsv.
"""


rule evaluate_predictions:
    input:
        unpack(label_genome),
        predictions=rules.predict_regions.output.table,
        regions=lambda wildcards: f"{RESULTS}/regions/{regions_of(wildcards)}/regions.bed",
        sources=label_files,
    output:
        observed=f"{RESULTS}/{{analysis}}/observed.tsv",
        evaluation=report(
            f"{RESULTS}/{{analysis}}/evaluation.tsv",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"analysis": "{analysis}", "table": "Predictions and labels"},
        ),
    log:
        f"{RESULTS}/logs/evaluate_predictions/{{analysis}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_predictions/{{analysis}}.tsv"
    wildcard_constraints:
        analysis=labelled_pattern(),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("evaluate_predictions"),
        runtime=runtime_of("evaluate_predictions"),
    params:
        code=code("evaluate_predictions"),
        options=label_options,
    message:
        "Evaluate predictions: {wildcards.analysis}"
    script:
        "../../scripts/evaluate_predictions.py"
