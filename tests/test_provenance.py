"""Seeds depend on the region and on nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cislex import provenance


def test_a_seed_depends_on_each_part_of_the_locus_and_fits_31_bits() -> None:
    base = ("genome", "chr1", 10, 20, "+", 0)
    seeds = {provenance.locus_seed(*base)}
    for i, other in enumerate(["other", "chr2", 11, 21, "-", 1]):
        seeds.add(provenance.locus_seed(*base[:i], other, *base[i + 1 :]))  # type: ignore[arg-type]
    assert len(seeds) == 7
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_many_seeds_equal_each_seed() -> None:
    seeds = provenance.locus_seeds("g", ["a", "b"], [1, 2], [3, 4], ["+", "."], 7)
    assert seeds.dtype == np.int64
    assert seeds[1] == provenance.locus_seed("g", "b", 2, 4, ".", 7)


def test_digests_ignore_key_order_and_see_every_byte(tmp_path: Path) -> None:
    assert provenance.digest_json({"a": 1, "b": 2}) == provenance.digest_json({"b": 2, "a": 1})
    assert provenance.digest_strings(["ab", "c"]) != provenance.digest_strings(["a", "bc"])
    (tmp_path / "f").write_bytes(b"abc")
    assert provenance.digest_file(tmp_path / "f", algorithm="md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_versions_name_what_is_missing() -> None:
    found = provenance.versions(["numpy", "surely-not-installed"])
    assert found["numpy"] == np.__version__
    assert found["surely-not-installed"] == "not installed"
