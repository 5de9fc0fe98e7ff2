"""Simulation: a synthetic genome with assays whose motifs are known, for the demo.

Purpose: a run whose truth is known: which motifs make the peaks, where they are, and which are decoys.
Inputs: none. Outputs: simulated/genome.fa, {assay}.narrowPeak, truth.tsv (planted sites),
grammar.tsv (how they stand to each other), motifs.meme.
"""

if config["simulate"]:

    rule simulate_genome:
        output:
            genome=f"{RESULTS}/simulated/genome.fa",
            peaks=[
                f"{RESULTS}/simulated/{assay}.narrowPeak"
                for assay in config["simulate"]["assays"]
            ],
            truth=f"{RESULTS}/simulated/truth.tsv",
            motifs=f"{RESULTS}/simulated/motifs.meme",
            grammar=f"{RESULTS}/simulated/grammar.tsv",
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

    rule plant_model:
        input:
            motifs=f"{RESULTS}/simulated/motifs.meme",
        output:
            weights=f"{RESULTS}/simulated/model.pt",
        log:
            f"{RESULTS}/logs/plant_model/plant_model.log",
        benchmark:
            f"{RESULTS}/benchmarks/plant_model/plant_model.tsv"
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("plant_model"),
            runtime=runtime_of("plant_model"),
        params:
            code=code("plant_model"),
            assays=config["simulate"]["assays"],
        message:
            "Model that scans for the planted motifs"
        script:
            "../../scripts/plant_model.py"
