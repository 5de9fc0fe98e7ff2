"""Settings of the cost rules.

Purpose: what estimate_cost is told of analyses and region sets, and which jobs the budget is asked about.
Inputs: the config. Outputs: the functions below; no rule.
"""


def region_sources():
    """Fields of cislex.cost.estimate.RegionSource of each region set that an analysis uses."""
    used = {analysis["regions"] for analysis in config["analyses"].values()}
    return {
        name: _region_source(name, settings)
        for name, settings in config["regions"].items()
        if name in used
    }


def _region_source(name, settings):
    kind = next(key for key in ("peaks", "fasta", "hdf5") if settings[key] is not None)
    return {
        "extracted": f"{RESULTS}/regions/{name}/regions.bed",
        "source": settings[kind],
        "kind": kind,
        "dataset": settings["dataset"],
        "limit": _region_settings.most_left(settings),
        "filtered": _region_settings.is_filtered(settings),
        "length": region_length(name),
        "chunks": settings["chunks"],
    }


def analysis_plans():
    """Fields of cislex.cost.estimate.AnalysisPlan of each analysis."""
    return {
        name: {
            "regions": analysis["regions"],
            "method": inspected_method(_types.SimpleNamespace(analysis=name)),
            "targets": len(analysis["targets"]),
            "seqlets": (analysis["motifs"] or {"max_seqlets": 0})["max_seqlets"],
            "held_out": analysis["fold_use"] == "held_out",
            "stored": {
                "length": _storage_settings.stored_length(
                    analysis, region_length(analysis["regions"])
                ),
                **{key: analysis["attributions"][key] for key in ("round_to", "keep")},
                **_of_screen(analysis["screen"]),
            },
        }
        for name, analysis in config["analyses"].items()
    }


def _of_screen(screen):
    return {key: screen[key] for key in ("top", "regions")} if screen else {}


def insertion_plans():
    """Fields of cislex.cost.forwards.ForwardPlan of each in-silico experiment."""
    return {
        name: _forward_plan(
            settings, _expected_experiments.insertion_sequences(settings)
        )
        for name, settings in config["insertions"].items()
    }


def variant_plans():
    """The same of each set of variants: both alleles, and those of the null, at every shift."""
    return {
        name: _forward_plan(
            settings, _expected_experiments.variant_sequences(_work, name)
        )
        for name, settings in config["variants"].items()
    }


def evolution_plans():
    """The same of each design, whose attributions count as forward passes; one job has all folds."""
    return {
        name: _forward_plan(
            {**settings, "chunks": 1},
            _expected_experiments.evolution_sequences(_work, name),
        )
        for name, settings in config["evolution"].items()
    }


def _forward_plan(settings, sequences):
    return {
        "analysis": settings["analysis"],
        "sequences": sequences,
        "chunks": settings["chunks"],
        "both_strands": strands_of(settings),
    }


def budget_problems():
    """Why the planned jobs are over the budget, a sentence each."""
    planned = [
        (job.rule.name, job.wildcards.analysis)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in ("inspect_model", "attribute_chunk")
    ]
    return _budget.problems(_work, planned, config["budget"])


def resource_table():
    """What jobs used beside what they ask for, as text."""
    return _job_usage.as_text(_job_usage.table(_job_usage.read_jobs(_work)))
