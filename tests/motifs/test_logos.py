"""Logos: letters of the right size, side and colour; the same bytes each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from cislex.errors import InputError
from cislex.motifs.logos import COLOURS, information_heights, logo_svg, write_logo

SVG = "{http://www.w3.org/2000/svg}"


def letters(svg: str) -> list[tuple[str, list[float]]]:
    root = ET.fromstring(svg)
    by_colour = {colour: base for base, colour in COLOURS.items()}
    return [
        (
            by_colour[path.attrib["fill"]],
            [float(x) for x in re.findall(r"-?[\d.]+", path.attrib["transform"])],
        )
        for path in root.iter(f"{SVG}path")
        if "transform" in path.attrib
    ]


def test_heights_are_proportional_and_negative_letters_hang_upside_down() -> None:
    heights = np.zeros((4, 2))
    heights[0, 0], heights[3, 0], heights[2, 1] = 2.0, 1.0, -1.0
    drawn = dict(letters(logo_svg(heights, height=80)))
    assert set(drawn) == {"A", "T", "G"}
    scale = {base: -matrix[3] for base, matrix in drawn.items()}
    assert scale["A"] == pytest.approx(2 * scale["T"])
    assert scale["G"] == pytest.approx(-scale["T"])
    # The smaller letter stands on the axis, the larger on top of it; the negative one begins at the axis.
    assert drawn["T"][5] == pytest.approx(drawn["G"][5])
    assert drawn["A"][5] == pytest.approx(drawn["T"][5] - scale["T"])


def test_information_heights_sum_to_the_information_of_a_column() -> None:
    ppm = np.array([[1.0, 0.25, 0.5], [0.0, 0.25, 0.5], [0.0, 0.25, 0.0], [0.0, 0.25, 0.0]])
    np.testing.assert_allclose(information_heights(ppm).sum(axis=0), [2, 0, 1])


def test_logos_are_deterministic_escaped_and_free_of_ids(tmp_path: Path) -> None:
    heights = np.random.default_rng(0).normal(size=(4, 30))
    write_logo(heights, tmp_path / "a.svg", title="<b> & co", label="bits")
    write_logo(heights, tmp_path / "b.svg", title="<b> & co", label="bits")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "&lt;b&gt; &amp; co" in text
    assert " id=" not in text
    ET.fromstring(text)


def test_numbers_on_the_axis_do_not_cover_each_other() -> None:
    heights = np.array([[1.0, -0.02], [0, 0], [0, 0], [0, 0]])
    numbers = [element.text for element in ET.fromstring(logo_svg(heights)).iter(f"{SVG}text")]
    assert numbers == ["0", "1", "1", "2"]


def test_flat_and_empty_logos_are_drawn() -> None:
    assert letters(logo_svg(np.zeros((4, 5)))) == []
    ET.fromstring(logo_svg(np.zeros((4, 0))))


@pytest.mark.parametrize("heights", [np.zeros((5, 4)), np.full((4, 2), np.nan)])
def test_what_is_no_logo_is_refused(heights: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"\(4, w\)"):
        logo_svg(heights)
