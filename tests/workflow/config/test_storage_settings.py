"""What cannot be stored, or read on from, is refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.config import configuration
from cislex_workflow.config.storage_settings import stored_window
from cislex_workflow.expected_use.work import Work

SCHEMA = Path(__file__).resolve().parents[3] / "workflow" / "schemas" / "config.schema.yaml"
TARGETS = {"t": {"kind": "output"}, "u": {"kind": "output", "index": 1}}

#: No part that needs every contribution.
SCREEN = {"motifs": None, "hits": None, "seqlets": None, "syntax": None}


def resolved(analyses: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A config of analyses of 1,000 bp; ``sections`` beside them."""
    own = {"regions": "own", "model": "net", "targets": TARGETS}
    net = {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"}, "input_length": 1000}
    config = {
        "regions": {"own": {"fasta": "x.fa"}, "others": {"fasta": "y.fa"}},
        "models": {"net": net, "short": {**net, "input_length": 200}},
        "analyses": {name: {**own, **settings} for name, settings in analyses.items()},
        **sections,
    }
    found: dict[str, Any] = configuration.resolve(
        yaml.safe_load(yaml.safe_dump(config, sort_keys=False)), SCHEMA
    )
    return found


def problems(analyses: dict[str, Any], **sections: Any) -> str:
    try:
        resolved(analyses, **sections)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("window", "expected"),
    [(None, None), (1000, (0, 1000)), (200, (400, 600)), (201, (399, 600)), ([0, 1000], (0, 1000)),
     ([10, 70], (10, 70))],
)  # fmt: skip
def test_a_window_is_of_the_centre_or_as_given(window: Any, expected: tuple[int, int] | None) -> None:
    config = resolved({"a": {"attributions": {"window": window}}})
    assert stored_window(config["analyses"]["a"], 1000) == expected
    rows, length = Work(config).stored(config["analyses"]["a"])
    assert length == (1000 if expected is None else expected[1] - expected[0])
    assert rows == 20_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attributions": {"window": 1001}}, "attributions.window: 1001 of regions of 1000 bp; expected"),
        ({"attributions": {"window": [5, 5]}}, "0 <= start < end <= 1000"),
        ({"attributions": {"window": [5, 1001]}}, "0 <= start < end <= 1000"),
        ({"attributions": {"window": [5]}}, "attributions.window"),
        ({"attributions": {"window": 0}}, "attributions.window"),
        ({"attributions": {"window": 40}}, "of which attributions.window stores 40 bp, are too short"),
        (
            {"attributions": {"window": 300}, "motifs": {"window": 400}},
            "motifs.window: 400 bp of regions of 300 bp",
        ),
        (
            {"attributions": {"window": 300}, "method": {"name": "ism", "start": 10, "end": 90}},
            "stores [350, 650), but method.start and method.end let ism mutate [10, 90); leave out",
        ),
        ({"attributions": {"window": [10, 90]}, "method": {"name": "ism", "start": 10, "end": 90}}, ""),
        ({"attributions": {"window": [10, 90]}, "method": {"name": "ism"}}, ""),
        (
            {"attributions": {"window": 100, "keep": 100}, **SCREEN},
            "attributions.keep: 100 of 100 stored positions; expected fewer",
        ),
        (
            {"attributions": {"keep": 100}, "hits": {}},
            "keep: motifs and hits judge contributions by all others, of which keep stores zeros; set "
            "motifs: null, hits: null, or",
        ),
        ({"attributions": {"keep": 100}, **SCREEN}, ""),
        ({"attributions": {"round_to": "float8"}}, "attributions.round_to"),
    ],
)
def test_a_window_that_does_not_fit_is_named(settings: dict[str, Any], message: str) -> None:
    found = problems({"a": settings})
    assert message in found if message else not found


SCREENED = {"screen": {"analysis": "quick", "width": 100}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**SCREENED, "targets": {"t": TARGETS["t"]}}, ""),
        ({"screen": {**SCREENED["screen"], "target": "u"}}, ""),
        ({**SCREENED}, "fine.screen.target: found none; name one of the targets of quick: t, u"),
        (
            {"screen": {**SCREENED["screen"], "target": "tt"}},
            "screen.target: no 'tt'; did you mean 't'?; name one of the targets of quick: t, u",
        ),
        ({"screen": {"analysis": "quik", "width": 9}}, "screen.analysis: no 'quik' in analyses: quick"),
        ({"screen": {"analysis": "fine", "width": 9}}, "screen.analysis: found the analysis itself"),
        ({"screen": {"analysis": "second", "width": 9}}, "screen.analysis: second has a screen itself"),
        ({"screen": {"analysis": "elsewhere", "width": 9}}, "elsewhere is of regions others, expected own"),
        (
            {"screen": {"analysis": "narrow", "width": 301, "target": "t"}},
            "screen.width: 301 bp, but narrow stores 300 bp of each region",
        ),
        ({"screen": {"analysis": "quick", "width": 0}}, "screen.width"),
        ({"screen": {"analysis": "quick"}}, "width"),
        (
            {"screen": {**SCREENED["screen"], "target": "u"}, "attributions": {"window": 100}},
            "screen: chooses windows, and so does attributions.window",
        ),
        (
            {"screen": {**SCREENED["screen"], "target": "u"}, "method": {"name": "ism", "end": 100}},
            "screen: ism mutates the windows that are chosen; leave out method.start",
        ),
        ({"screen": {"analysis": "quick", "width": 50, "target": "u"}, "motifs": {}}, "too short for motifs"),
    ],
)
def test_a_screen_that_cannot_choose_is_named(settings: dict[str, Any], message: str) -> None:
    quick = {"method": {"name": "tism"}, **SCREEN}
    analyses = {
        "quick": quick,
        "narrow": {**quick, "attributions": {"window": 300}},
        "elsewhere": {**quick, "regions": "others"},
        "second": {**SCREEN, "screen": {"analysis": "quick", "width": 100, "target": "t"}},
        "fine": {**SCREEN, **settings},
    }
    found = problems(analyses)
    assert message in found if message else not found


def test_rows_and_columns_of_a_screen_are_its_windows() -> None:
    screen = {"analysis": "quick", "target": "t", "width": 100, "top": 3}
    for regions, expected in ((None, 60_000), (50, 150)):
        own = {**SCREEN, "screen": {**screen, "regions": regions}}
        config = resolved({"quick": {"method": {"name": "tism"}, **SCREEN}, "fine": own})
        assert Work(config).stored(config["analyses"]["fine"]) == (expected, 100)
    both = {"analyses": ["quick", "fine"], "faithfulness": None}
    found = problems({"quick": {"method": {"name": "tism"}}, "fine": own}, comparisons={"x": both})
    assert "fine stores windows that a screen chose" in found


def test_what_is_compared_stores_the_same_columns() -> None:
    stored = {"a": {"attributions": {"window": 200}}, "b": {"attributions": {"window": [400, 600]}}, "c": {}}
    both = {"analyses": ["a", "b"], "faithfulness": None}
    assert not problems(stored, comparisons={"x": both})
    found = problems(stored, comparisons={"x": {**both, "analyses": ["a", "c"]}})
    assert "a stores [400, 600) of each region, c [0, 1000); set the same attributions.window" in found
    found = problems(stored, comparisons={"x": {"analyses": ["a", "b"]}})
    assert "faithfulness: replaces bases of whole regions, but a stores a window" in found
    thin = {"d": {"attributions": {"keep": 5}, **SCREEN}}
    found = problems({**stored, **thin}, comparisons={"x": {"analyses": ["c", "d"], "faithfulness": None}})
    assert "d stores only its largest contributions (attributions.keep), expected all" in found
    with_hits = {name: {**settings, "hits": {}} for name, settings in stored.items()}
    sides = {"first": {"analysis": "a"}, "scale": "none"}
    assert not problems(with_hits, contrasts={"x": {**sides, "second": {"analysis": "b"}}})
    found = problems(with_hits, contrasts={"x": {**sides, "second": {"analysis": "c"}}})
    assert "second: a stores [400, 600) of each region, c [0, 1000)" in found
