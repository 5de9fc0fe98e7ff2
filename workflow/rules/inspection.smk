"""Inspection: the model's structure and operations, and whether it can be attributed exactly.

Purpose: a misread output or an unknown operation stops the run here, not after a night of computing.
Inputs: the weights of every fold; to choose the number of references, and for targets with intervals, sequences.h5.
Outputs: {analysis}/inspection.tsv, inspection.txt, inspected.json, references.json.
"""


rule inspect_model:
    input:
        weights=lambda wildcards: [
            weights_of(model_of(wildcards), fold) for fold in folds_of(wildcards)
        ],
        module=lambda wildcards: model_code(model_of(wildcards)),
        references=lambda wildcards: list(reference_files(wildcards).values()),
        sequences=lambda wildcards: (
            f"{RESULTS}/regions/{regions_of(wildcards)}/sequences.h5"
            if reference_choice(wildcards) or interval_files(wildcards)
            else []
        ),
        intervals=interval_files,
    output:
        table=f"{RESULTS}/{{analysis}}/inspection.tsv",
        text=f"{RESULTS}/{{analysis}}/inspection.txt",
        passed=f"{RESULTS}/{{analysis}}/inspected.json",
        # Not in inspected.json: another number attributes everything again, a new inspection does not.
        references=f"{RESULTS}/{{analysis}}/references.json",
    log:
        f"{RESULTS}/logs/inspect_model/{{analysis}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/inspect_model/{{analysis}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("inspect_model"),
        runtime=runtime_of("inspect_model"),
    # The gate is read from the config: as a parameter, another gate would inspect and attribute everything
    # anew. What is there already is compared with it before the first job (gate.smk).
    params:
        code=code_with_method("inspect_model"),
        folds=lambda wildcards: folds_of(wildcards),
        options=lambda wildcards: {
            "length": region_length(regions_of(wildcards)),
            "wanted": analysis_of(wildcards)["targets"],
            "method": inspected_method(wildcards),
            "model": model_options(model_of(wildcards)),
            "precision": analysis_of(wildcards)["precision"],
            "reverse_complement": analysis_of(wildcards)["reverse_complement"],
            "batch_size": analysis_of(wildcards)["batch_size"],
            "device": analysis_of(wildcards)["device"],
        },
        automatic=reference_choice,
    message:
        "Inspect model: {wildcards.analysis}"
    script:
        "../../scripts/inspect_model.py"


rule inspect:
    input:
        expand(f"{RESULTS}/{{analysis}}/inspection.txt", analysis=config["analyses"]),
    log:
        f"{RESULTS}/logs/inspect.log",
    localrule: True
    message:
        "Inspections of all analyses"
    run:
        for path in input:
            with open(path, encoding="utf-8") as handle:
                print(path, handle.read(), sep="\n")
