"""Cost: an estimate before a run starts, and requested against used resources after it.

Purpose: `make estimate` shows hours, memory and disk of every analysis and suggests a number of chunks;
`make resources` shows which rules request too much or too little.
Inputs: inspections; benchmark files. Outputs: cost.tsv and cost.txt.
"""


rule estimate_cost:
    input:
        inspections=expand(
            f"{RESULTS}/{{analysis}}/inspection.tsv", analysis=config["analyses"]
        ),
        sources=[source["source"] for source in region_sources().values()],
    output:
        table=f"{RESULTS}/cost.tsv",
        text=f"{RESULTS}/cost.txt",
    log:
        f"{RESULTS}/logs/estimate_cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/estimate_cost.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("estimate_cost"),
        runtime=runtime_of("estimate_cost"),
    params:
        code=code("estimate_cost"),
        analyses=analysis_plans(),
        regions=region_sources(),
        predicted={
            "insertions": insertion_plans(),
            "variants": variant_plans(),
            "evolution": evolution_plans(),
        },
        options={
            **config["estimate"],
            "records": str(ROOT / "benchmarks" / "results"),
        },
    message:
        "Cost estimate"
    script:
        "../../scripts/estimate_cost.py"


rule estimate:
    input:
        rules.estimate_cost.output.text,
    log:
        f"{RESULTS}/logs/estimate.log",
    localrule: True
    message:
        "Cost estimate: the table"
    run:
        with open(input[0], encoding="utf-8") as handle:
            print(handle.read())


rule compare_resources:
    log:
        f"{RESULTS}/logs/compare_resources.log",
    localrule: True
    message:
        "Resources: requested and used"
    run:
        print(resource_table())
