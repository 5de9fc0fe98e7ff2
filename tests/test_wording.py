"""Numbers agree with their nouns, in messages as on the page."""

from __future__ import annotations

import pytest
from cislex.report.facts import count
from cislex.wording import counted


@pytest.mark.parametrize(
    ("number", "log", "page"),
    [(0, "0 alleles", "no alleles"), (1, "1 allele", "1 allele"), (1078, "1,078 alleles", "1,078 alleles")],
)
def test_a_number_has_the_noun_that_it_needs(number: int, log: str, page: str) -> None:
    assert (counted(number, "allele"), count(number, "allele")) == (log, page)
    assert counted(number, "arrangement differs", "arrangements differ").endswith("s" if number == 1 else "r")
