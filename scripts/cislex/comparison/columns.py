"""Columns of what ``measure_faithfulness`` writes and ``compare_methods`` joins."""

#: ``faithfulness.tsv``, ``curves.tsv`` and ``words.tsv``.
FAITHFULNESS = [
    *("target", "regions", "deletion", "deletion_random", "insertion", "insertion_random"),
    *(f"{what}{end}" for what in ("stability", "randomised") for end in ("", "_q1", "_q3", "_undefined")),
]
CURVES = ["target", "curve", "order", "bases", "share", "prediction", "normalised"]
WORDS = [
    *("target", "analysis", "name_a", "name_b", "regions", "interaction", "effect_a", "effect_b"),
    *("attributed_a", "attributed_b", "effect_balance", "attributed_balance", "error"),
]
