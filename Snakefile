"""cislex: from peaks and a trained model to attributions, motifs and a report.

One include per stage, in the order in which data flow. `rule all` asks for the report,
which needs everything else. Settings: config/README.md. Outputs: docs/output.md.
"""

from snakemake.utils import min_version

min_version("9.0")

# The demo, where no config is named: one that lacks `analyses` is an error, not the demo's.
if "analyses" not in config and not workflow.config_settings.configfiles:

    configfile: str(workflow.source_path("config/config.yaml"))


# The config, and the settings of all rules.
include: "workflow/rules/common.smk"
# Data
include: "workflow/rules/resources.smk"
include: "workflow/rules/simulation.smk"
include: "workflow/rules/regions.smk"
include: "workflow/rules/sequences.smk"
# Model
include: "workflow/rules/training.smk"
include: "workflow/rules/inspection.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/evaluation.smk"
# Attribution
include: "workflow/rules/screens.smk"
include: "workflow/rules/attribution.smk"
include: "workflow/rules/aggregation.smk"
include: "workflow/rules/tracks.smk"
# Motifs
include: "workflow/rules/motifs.smk"
include: "workflow/rules/annotation.smk"
include: "workflow/rules/hits.smk"
include: "workflow/rules/lexicon.smk"
include: "workflow/rules/syntax.smk"
include: "workflow/rules/seqlets.smk"
include: "workflow/rules/truth.smk"
# Variants and in-silico experiments
include: "workflow/rules/variants.smk"
include: "workflow/rules/insertions.smk"
# Methods compared
include: "workflow/rules/comparison.smk"
include: "workflow/rules/contrasts.smk"
include: "workflow/rules/evolution.smk"
# Browsers, other tools, report
include: "workflow/rules/browser.smk"
include: "workflow/rules/layouts.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/snapshot.smk"
# Finished results, read again
include: "workflow/rules/verification.smk"
# What must run again, and what is asked before the first job
include: "workflow/rules/freshness.smk"
include: "workflow/rules/start.smk"


rule all:
    # Of another workflow that imports this one, its own first rule.
    default_target: IS_DEFAULT
    input:
        report=f"{RESULTS}/report.html",
        config=f"{RESULTS}/config.yaml",
        predictions=expand(
            f"{RESULTS}/{{analysis}}/predictions.tsv", analysis=config["analyses"]
        ),
        evaluations=expand(
            f"{RESULTS}/{{analysis}}/evaluation.tsv", analysis=labelled()
        ),
        lexicon=f"{RESULTS}/lexicon/lexicon.tsv" if has_lexicon() else [],
        variants=expand(
            f"{RESULTS}/variants/{{variants}}/variants.vcf.gz",
            variants=config["variants"],
        ),
        top_variants=[
            f"{RESULTS}/variants/{name}/top_variants.tsv"
            for name, settings in config["variants"].items()
            if settings["top"]
        ],
        measured_variants=[
            f"{RESULTS}/variants/{name}/evaluation.tsv"
            for name, settings in config["variants"].items()
            if settings["observed"]
        ],
        insertions=expand(
            f"{RESULTS}/insertions/{{insertion}}/insertions.tsv",
            insertion=config["insertions"],
        ),
        comparisons=expand(
            f"{RESULTS}/comparisons/{{comparison}}/comparison.tsv",
            comparison=config["comparisons"],
        ),
        contrasts=expand(
            f"{RESULTS}/contrasts/{{contrast}}/hits.tsv.gz",
            contrast=config["contrasts"],
        ),
        evolution=expand(
            f"{RESULTS}/evolution/{{evolution}}/trajectories.tsv",
            evolution=config["evolution"],
        ),
        tracks=all_targets(
            "{analysis}/{target}/contributions.bw", coordinates_only=True
        ),
        browser=f"{RESULTS}/browser/hub.txt" if has_browser() else [],
        exports=layout_folders(),
