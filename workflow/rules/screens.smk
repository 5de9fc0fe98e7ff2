"""Screens: a cheap analysis chooses the windows that an expensive one refines.

Purpose: one job per analysis with a screen.
Inputs: attributions.h5 of one target of the screen. Outputs: {analysis}/windows.tsv.
"""


rule choose_windows:
    input:
        attributions=screen_attributions,
    output:
        windows=f"{RESULTS}/{{analysis}}/windows.tsv",
    log:
        f"{RESULTS}/logs/choose_windows/{{analysis}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/choose_windows/{{analysis}}.tsv"
    wildcard_constraints:
        analysis=with_motifs("screen"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("choose_windows"),
        runtime=runtime_of("choose_windows"),
    params:
        code=code("choose_windows"),
        settings=screen_settings,
    message:
        "Choose windows: {wildcards.analysis}"
    script:
        "../../scripts/choose_windows.py"
