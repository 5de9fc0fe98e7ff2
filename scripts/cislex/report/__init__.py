"""The report page: tables → figures → one self-contained HTML file.

Examples
--------
Each part of the page is a dataclass of names and paths. Given to ``render_report``, every file must exist.

>>> peaks = RegionSet(name="peaks", regions="results/regions/peaks/regions.bed")
>>> net = TrainedModel(name="net", fold="fold_0", training="results/models/net/fold_0.training.tsv")
>>> counts = AnalysisTarget(
...     analysis="peaks",
...     target="counts",
...     region_set="peaks",
...     model="net",
...     attributions="results/peaks/counts/attributions.h5",
...     motifs="results/peaks/counts/motifs.tsv",
...     logos="results/peaks/counts/logos",
... )
>>> folder = "results/lexicon"
>>> lexicon = LexiconTables(words=f"{folder}/lexicon.tsv", usage=f"{folder}/usage.tsv")
>>> folder = "results/insertions/words"
>>> words = InsertionTables(
...     name="words",
...     analysis="peaks",
...     insertions=f"{folder}/insertions.tsv",
...     contexts=f"{folder}/contexts.tsv",
... )
>>> folder = "results/comparisons/methods"
>>> tables = {name: f"{folder}/{name}.tsv" for name in ("comparison", "methods", "curves", "words", "logos")}
>>> methods = ComparisonTables(name="methods", **tables)
>>> folder = "results/contrasts/cells"
>>> tables = {"hits": f"{folder}/hits.tsv.gz", "words": f"{folder}/words.tsv", "sides": f"{folder}/sides.tsv"}
>>> cells = ContrastTables("cells", **tables)
>>> folder = "results/evolution/stronger"
>>> stronger = EvolutionTables(
...     "stronger", "peaks", f"{folder}/trajectories.tsv", f"{folder}/evolved.fa", f"{folder}/evolution.h5"
... )
>>> render_report(  # doctest: +SKIP
...     "results/report.html",
...     title="My model",
...     results="results",
...     analyses=[counts],
...     regions=[peaks],
...     models=[net],
...     lexicon=lexicon,
...     insertions=[words],
...     comparisons=[methods],
...     contrasts=[cells],
...     evolution=[stronger],
... )
"""

from cislex.report.page import render_report
from cislex.report.specs import (
    AnalysisTarget,
    ComparisonTables,
    ContrastTables,
    EvolutionTables,
    InsertionTables,
    LexiconTables,
    RegionSet,
    TrainedModel,
)

__all__ = [
    "AnalysisTarget",
    "ComparisonTables",
    "ContrastTables",
    "EvolutionTables",
    "InsertionTables",
    "LexiconTables",
    "RegionSet",
    "TrainedModel",
    "render_report",
]
