"""TF-MoDISco: planted motifs come back, in rows and positions of the file; bad input is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.files.tables import read_regions
from cislex.motifs.discovery import ModiscoSettings, find_motifs
from cislex.motifs.files import TrimSettings, read_motifs, reverse_complement, trim_core
from cislex.motifs.modisco_repairs import prepare_kernels
from cislex.motifs.modisco_scores import shuffled_rows
from modiscolite import precompile
from numba.core.caching import NullCache


def noise(count: int, length: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sequences = np.eye(4)[rng.integers(0, 4, (count, length))].transpose(0, 2, 1)
    return sequences, rng.normal(0, 1, (count, 4, length))


def write(folder: Path, sequences: np.ndarray, hypothetical: np.ndarray) -> Path:
    regions = motif_fixtures.make_regions(len(sequences))
    motif_fixtures.write_attributions(folder / "attributions.h5", sequences, hypothetical, regions)
    return folder / "attributions.h5"


def test_planted_motifs_are_found_with_their_signs(found: motif_fixtures.Found) -> None:
    motifs = read_motifs(found.modisco)
    assert [motif.sign for motif in motifs] == ["+", "+", "-"]
    assert all(not motif.flagged and motif.information > 1.5 for motif in motifs)
    assert all(6 <= motif.width <= 14 for motif in motifs)


def test_seqlets_lie_where_the_file_has_their_sequence(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted
) -> None:
    with h5py.File(planted.attributions) as source, h5py.File(found.modisco) as handle:
        sequences, hypothetical = source["sequences"][()], source["hypothetical"][()]
        assert handle.attrs["window_size"] == motif_fixtures.LENGTH
        for group in (g for kind in ("pos_patterns", "neg_patterns") for g in handle[kind].values()):
            seqlets = group["seqlets"]
            for i in range(int(seqlets["n_seqlets"][0])):
                row, start, end = (int(seqlets[key][i]) for key in ("example_idx", "start", "end"))
                expected, scores = sequences[row, :, start:end], hypothetical[row, :, start:end]
                if seqlets["is_revcomp"][i]:
                    expected, scores = expected[::-1, ::-1], scores[::-1, ::-1]
                np.testing.assert_array_equal(seqlets["sequence"][i], expected.T)
                np.testing.assert_allclose(seqlets["hypothetical_contribs"][i], scores.T)


def test_a_window_crops_to_the_centre_and_starts_are_mapped_back(
    planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    out = tmp_path / "modisco.h5"
    settings = ModiscoSettings(window=101, max_seqlets=120, min_metacluster_size=50)
    assert find_motifs(planted.attributions, out, settings, threads=1) > 0
    with h5py.File(out) as handle:
        assert handle.attrs["window_offset"] == 49
        assert handle.attrs["seqlet_cap_reached"] == 1
        assert 0 < handle.attrs["seqlet_fraction_kept"] < 1
        assert json.loads(handle.attrs["settings"])["window"] == 101
        starts = [s for kind in handle.values() for p in kind.values() for s in p["seqlets"]["start"][()]]
        ends = [e for kind in handle.values() for p in kind.values() for e in p["seqlets"]["end"][()]]
    assert min(starts) >= 49
    assert max(ends) <= 150


def test_motifs_are_those_of_modisco_with_all_regions(
    planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    from modiscolite.tfmodisco import TFMoDISco

    settings = ModiscoSettings(max_seqlets=120, min_metacluster_size=50)
    find_motifs(planted.attributions, tmp_path / "modisco.h5", settings, threads=1)
    with h5py.File(planted.attributions) as handle:
        rows = shuffled_rows(read_regions(handle), settings.seed)
        arrays = [
            np.ascontiguousarray(handle[name][()].astype(np.float32)[rows].transpose(0, 2, 1))
            for name in ("sequences", "hypothetical")
        ]
    expected = TFMoDISco(
        *arrays,
        sliding_window_size=20,
        flank_size=5,
        target_seqlet_fdr=0.05,
        n_leiden_runs=2,
        max_seqlets_per_metacluster=120,
        min_metacluster_size=50,
    )
    with h5py.File(tmp_path / "modisco.h5") as handle:
        used = set()
        for kind, patterns in zip(("pos_patterns", "neg_patterns"), expected, strict=True):
            assert len(handle[kind]) == len(patterns) > 0
            for number, pattern in enumerate(patterns):
                group = handle[f"{kind}/pattern_{number}"]
                np.testing.assert_array_equal(group["contrib_scores"], pattern.contrib_scores)
                found = rows[[seqlet.example_idx for seqlet in pattern.seqlets]]
                np.testing.assert_array_equal(group["seqlets/example_idx"], found)
                np.testing.assert_array_equal(group["seqlets/start"], [s.start for s in pattern.seqlets])
                used |= set(found.tolist())
    assert len(used) < len(rows)  # the cap leaves regions out


def test_the_order_of_regions_in_the_file_does_not_change_the_motifs(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    with h5py.File(planted.attributions) as handle:
        sequences, hypothetical = handle["sequences"][()][::-1], handle["hypothetical"][()][::-1]
    regions = motif_fixtures.make_regions(len(sequences))[::-1].reset_index(drop=True)
    path, out = tmp_path / "attributions.h5", tmp_path / "modisco.h5"
    motif_fixtures.write_attributions(path, sequences, hypothetical, regions)
    find_motifs(path, out, ModiscoSettings(), threads=1)
    with h5py.File(found.modisco) as first, h5py.File(out) as second:
        for pattern in ("pos_patterns/pattern_0", "pos_patterns/pattern_1", "neg_patterns/pattern_0"):
            np.testing.assert_array_equal(first[pattern]["contrib_scores"], second[pattern]["contrib_scores"])
            rows = len(sequences) - 1 - second[pattern]["seqlets/example_idx"][()]
            np.testing.assert_array_equal(first[pattern]["seqlets/example_idx"], rows)


def test_regions_are_shuffled_by_seed_and_locus() -> None:
    regions = motif_fixtures.make_regions(50)
    order = shuffled_rows(regions, 0)
    assert sorted(order) == list(range(50))
    assert (order != shuffled_rows(regions, 1)).any()
    turned = regions[::-1].reset_index(drop=True)
    assert regions["name"][order].tolist() == turned["name"][shuffled_rows(turned, 0)].tolist()


@pytest.mark.parametrize("count", [0, 30])
def test_too_few_seqlets_give_a_valid_empty_file(tmp_path: Path, count: int) -> None:
    path = write(tmp_path, *noise(count))
    out = tmp_path / "modisco.h5"
    assert find_motifs(path, out, ModiscoSettings(), threads=1) == 0
    assert read_motifs(out) == []
    with h5py.File(out) as handle:
        assert handle.attrs["regions"] == count
        assert list(handle) == []


def test_bad_input_is_named(tmp_path: Path) -> None:
    sequences, scores = noise(40)
    broken = scores.copy()
    broken[7, 2, 5] = np.nan
    cases = {
        "NaN or infinite in rows 7": (sequences, broken),
        "observed contributions": (sequences, scores * sequences),
        "swapped": (np.abs(scores * 100), sequences),
    }
    for message, (one_hot, hypothetical) in cases.items():
        with pytest.raises(InputError, match=message):
            find_motifs(
                write(tmp_path, one_hot, hypothetical), tmp_path / "out.h5", ModiscoSettings(), threads=1
            )
    assert not (tmp_path / "out.h5").exists()


def test_shapes_and_windows_must_fit(tmp_path: Path) -> None:
    sequences, scores = noise(40)
    with pytest.raises(InputError, match=r"must both be \(regions, 4, length\)"):
        find_motifs(
            write(tmp_path, sequences, scores[:, :, :-1]), tmp_path / "o.h5", ModiscoSettings(), threads=1
        )
    path = write(tmp_path, sequences, scores)
    for window, message in ((121, "121, but regions are 120"), (50, "longer than 50")):
        settings = dataclasses.replace(ModiscoSettings(), window=window)
        with pytest.raises(ConfigError, match=message):
            find_motifs(path, tmp_path / "out.h5", settings, threads=1)


def test_another_modisco_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("modiscolite.__version__", "2.5.2")
    with pytest.raises(ConfigError, match=r"3\.0\.0 is needed, found 2\.5\.2"):
        find_motifs(tmp_path / "a.h5", tmp_path / "out.h5", ModiscoSettings(), threads=1)


def test_noise_is_flagged_not_dropped(found: motif_fixtures.Found) -> None:
    strict = TrimSettings(min_information=2.0, max_width=10)
    flags = {motif.name: motif.flagged for motif in read_motifs(found.modisco, strict)}
    assert flags["pos_0"] == "low information; wide"
    assert flags["neg_0"] == "low information"


def test_the_orientation_does_not_depend_on_the_first_seqlet(
    found: motif_fixtures.Found, tmp_path: Path
) -> None:
    turned = tmp_path / "turned.h5"
    turned.write_bytes(found.modisco.read_bytes())
    with h5py.File(turned, "r+") as handle:
        for pattern in (p for kind in ("pos_patterns", "neg_patterns") for p in handle[kind].values()):
            for group in (pattern, pattern["seqlets"]):
                for name in ("sequence", "contrib_scores", "hypothetical_contribs"):
                    group[name][...] = group[name][()][..., ::-1, ::-1]
    for first, second in zip(read_motifs(found.modisco), read_motifs(turned), strict=True):
        assert (first.consensus, first.width) == (second.consensus, second.width)
        assert first.is_reversed != second.is_reversed
        np.testing.assert_allclose(first.core_cwm, second.core_cwm)


def test_trimming_keeps_columns_from_the_first_to_the_last_strong_one() -> None:
    cwm = np.zeros((4, 10))
    cwm[0, [1, 3, 4, 7, 9]] = [0.29, -0.3, 1.0, 0.5, 0.1]
    assert trim_core(cwm, 0.3) == (3, 8)
    np.testing.assert_array_equal(reverse_complement(cwm)[3, ::-1], cwm[0])


def test_regions_without_coordinates_are_told_apart_by_name() -> None:
    regions = pd.DataFrame(
        {"chrom": "", "start": 0, "end": 9, "name": [f"s{i}" for i in range(20)], "strand": "+"}
    )
    assert (shuffled_rows(regions, 0) != np.arange(20)).any()


def test_the_script_writes_the_file_and_logs_why_there_is_no_motif(tmp_path: Path) -> None:
    path, out = write(tmp_path, *noise(30)), tmp_path / "modisco.h5"
    log = motif_fixtures.run_script(
        "find_motifs.py",
        tmp_path / "find.log",
        input={"attributions": path},
        output={"motifs": out},
        params={"settings": {"max_seqlets": 500, "seed": 3}},
    )
    assert "no positive motifs" in log
    assert read_motifs(out) == []


def test_a_constant_output_is_a_result_without_motifs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequences, scores = noise(30)
    with caplog.at_level("WARNING"):
        found = find_motifs(
            write(tmp_path, sequences, 0 * scores), tmp_path / "m.h5", ModiscoSettings(), threads=1
        )
    assert found == 0
    assert "every attribution is zero" in caplog.text
    assert read_motifs(tmp_path / "m.h5") == []
    with h5py.File(tmp_path / "m.h5") as handle:
        assert (handle.attrs["no_attribution"], handle.attrs["positive_seqlets"]) == (1, 0)


def test_no_rows_are_no_constant_output(tmp_path: Path) -> None:
    sequences, scores = noise(3)
    assert (
        find_motifs(
            write(tmp_path, sequences[:0], scores[:0]), tmp_path / "m.h5", ModiscoSettings(), threads=1
        )
        == 0
    )
    with h5py.File(tmp_path / "m.h5") as handle:
        assert (handle.attrs["no_attribution"], handle.attrs["regions"]) == (0, 0)


def test_every_kernel_that_a_run_compiles_is_kept_for_the_next_job() -> None:
    kernels = [kernel for group in precompile._kernels() for kernel, _ in group]
    prepare_kernels(1)
    lost = [kernel.py_func.__name__ for kernel in kernels if isinstance(kernel._cache, NullCache)]
    assert len(kernels) > 10
    assert not lost
