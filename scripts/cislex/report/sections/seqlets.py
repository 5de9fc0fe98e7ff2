"""Why a target has no motif: the seqlets that TF-MoDISco had, and how many it needs."""

from __future__ import annotations

from collections.abc import Mapping

from cislex.report.facts import count, recorded
from cislex.report.specs import AnalysisTarget


def is_silent(spec: AnalysisTarget) -> bool:
    """Whether TF-MoDISco was given attributions that are all zero."""
    return spec.modisco is not None and bool(recorded(spec.modisco).get("no_attribution"))


def why_no_motif(spec: AnalysisTarget) -> str:
    """Say why TF-MoDISco reports no pattern of a target; empty where its file does not tell.

    Parameters
    ----------
    spec
        The target; read are the attributes ``positive_seqlets``, ``negative_seqlets`` and ``settings`` of its
        ``modisco.h5``.
    """
    if spec.motifs is None:
        return "Motifs were left out of this analysis (motifs: null)."
    if spec.modisco is None:
        return ""
    facts = recorded(spec.modisco)
    if facts.get("no_attribution"):
        return "Every attribution is zero: this output of the model does not depend on the sequence."
    settings = facts.get("settings")
    if not isinstance(settings, Mapping) or not {"positive_seqlets", "negative_seqlets"} <= facts.keys():
        return ""
    positive, negative = int(facts["positive_seqlets"]), int(facts["negative_seqlets"])
    needed, least = int(settings["min_metacluster_size"]), int(settings["final_min_cluster_size"])
    found = (
        f"TF-MoDISco found {count(positive, 'seqlet')} with positive and {count(negative, 'seqlet')} with "
        "negative contributions"
    )
    if max(positive, negative) > needed:
        takes = "which is what a pattern takes (motifs.final_min_cluster_size)"
        return f"{found}, but no {least} of them are alike, {takes}."
    return (
        f"{found}; more than {needed} of one sign are needed (motifs.min_metacluster_size). More regions "
        "give more seqlets; so few may also mean that the model has learned no motif."
    )
