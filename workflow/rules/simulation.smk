"""Simulation: a synthetic genome with two assays whose motifs are known, for the demo.

Purpose: a run whose truth is known: which motifs make the peaks, where they are, and which are decoys.
Inputs: none. Outputs: simulated/genome.fa, {assay}.narrowPeak, truth.tsv (planted sites), motifs.meme.
"""

if config["simulate"]:

    rule simulate_genome:
        output:
            genome=f"{RESULTS}/simulated/genome.fa",
            enhancer=f"{RESULTS}/simulated/enhancer.narrowPeak",
            insulator=f"{RESULTS}/simulated/insulator.narrowPeak",
            truth=f"{RESULTS}/simulated/truth.tsv",
            motifs=f"{RESULTS}/simulated/motifs.meme",
        log:
            f"{RESULTS}/logs/simulate_genome/simulate_genome.log",
        benchmark:
            f"{RESULTS}/benchmarks/simulate_genome/simulate_genome.tsv"
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("simulate_genome"),
            runtime=runtime_of("simulate_genome"),
        params:
            code=code("simulate_genome"),
            seed=config["simulate"]["seed"],
            options={
                key: value
                for key, value in config["simulate"].items()
                if key != "seed"
            },
        message:
            "Simulate genome"
        script:
            "../../scripts/simulate_genome.py"
