"""Verification: every file of a finished run is read again; nothing is computed or changed.

Purpose: `make check` says in a minute whether results are whole and belong together, also after they were copied.
Inputs: none by name, so that no rule runs again; whatever is in the results folder. Outputs: verification.tsv.
"""


rule verify_results:
    output:
        table=f"{RESULTS}/verification.tsv",
    log:
        f"{RESULTS}/logs/verify_results.log",
    benchmark:
        f"{RESULTS}/benchmarks/verify_results.tsv"
    localrule: True
    conda:
        "../../envs/motifs.yaml"
    threads: 2
    resources:
        mem_mb=memory_of("verify_results"),
        runtime=runtime_of("verify_results"),
    params:
        code=code("verify_results"),
        folder=lambda wildcards: RESULTS,
        options=lambda wildcards: {
            "expected": expected_results(),
            "names": result_names(),
            "settings": verified_settings(),
            "config": PORTABLE_CONFIG,
            "kept": kept_config(),
            "fasta": fasta_path() or None,
            "project": str(ROOT),
        },
    message:
        "Check of the results"
    script:
        "../../scripts/verify_results.py"


rule check:
    input:
        rules.verify_results.output.table,
    log:
        f"{RESULTS}/logs/check.log",
    localrule: True
    message:
        "Check of the results: the table"
