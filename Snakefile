"""cislex: from peaks and a trained model to attributions, motifs and a report.

The whole plan: one include per stage, in the order in which data flow. `rule all` asks for the report,
which needs everything else. Settings: config/README.md. Outputs: docs/output.md.
"""

from snakemake.utils import min_version

min_version("9.0")

# The demo, where no config is named: one that lacks `analyses` is an error, not the demo's.
if "analyses" not in config and not workflow.config_settings.configfiles:

    configfile: str(workflow.source_path("config/config.yaml"))


include: "workflow/rules/common.smk"
include: "workflow/rules/allocation_settings.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/simulation.smk"
include: "workflow/rules/region_settings.smk"
include: "workflow/rules/regions.smk"
include: "workflow/rules/sequences.smk"
include: "workflow/rules/training_settings.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/inspection.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/evaluation_settings.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/attribution_settings.smk"
include: "workflow/rules/attribution.smk"
include: "workflow/rules/aggregation.smk"
include: "workflow/rules/tracks.smk"
include: "workflow/rules/motifs.smk"
include: "workflow/rules/annotation.smk"
include: "workflow/rules/hits.smk"
include: "workflow/rules/truth.smk"
include: "workflow/rules/report_settings.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/snapshot.smk"
include: "workflow/rules/gate.smk"
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
        tracks=all_targets(
            "{analysis}/{target}/contributions.bw", coordinates_only=True
        ),
