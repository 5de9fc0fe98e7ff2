"""Rows that files of regions, predictions and attributions promise to share."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from cislex.chunks.gate import Gate, over_limit, reproducible
from cislex.errors import offenders
from cislex.files.tables import REGION_COLUMNS, open_hdf5, read_regions
from cislex.files.unpacked_rows import unpack_rows
from cislex.provenance import digest_file, digest_strings
from cislex.regions.chromosome_table import read_chromosomes
from cislex.regions.extraction import read_regions_bed
from cislex.regions.genome import genome_digest
from cislex.sequences.store import SequenceStore
from cislex.sequences.stored_windows import Windows, WindowStore
from cislex.verification.arrays import regions_fault
from cislex.verification.findings import FileReport, Results
from cislex.verification.tables import column

#: Bytes of sequences that are compared at once.
BLOCK_BYTES = 1 << 24
#: Relative difference of predictions that batches and machines make.
PREDICTED = 1e-3


def compare_chromosomes(results: Results, report: FileReport, **_: str) -> None:
    """Hold the table of chromosomes against samtools' index."""

    def fault() -> str | None:
        table = read_chromosomes(results.path(report.path))
        lengths = dict(zip(table["chrom"], table["length"].astype(int), strict=True))
        return None if lengths == results.facts("genome/index.fai").get("lengths") else (
            "chromosomes or lengths differ from those of genome/index.fai"
        )  # fmt: skip

    results.compare(report, "genome/index.fai", ["genome/index.fai"], fault)


def compare_regions(results: Results, report: FileReport, *, regions: str) -> None:
    """Hold ``regions.bed`` against its summary, the dropped rows and the sequences."""
    folder = f"regions/{regions}"
    summary, dropped, sequences = (
        f"{folder}/{name}" for name in ("regions.summary.tsv", "dropped.tsv", "sequences.h5")
    )

    def counted() -> str | None:
        told = column(results.path(summary), "rows", "dropped", "digest").iloc[0]
        kept, left = report.facts.get("n"), results.facts(dropped).get("n")
        if (int(told["rows"]), int(told["dropped"])) != (kept, left):
            return (
                f"{kept} regions and {left} dropped rows; {summary} has {told['rows']} and {told['dropped']}"
            )
        if told["digest"] != digest_file(results.path(report.path)):
            return f"its digest differs from the one in {summary}"
        return None

    def apart() -> str | None:
        both = [column(results.path(name), "source_line")["source_line"] for name in (report.path, dropped)]
        twice = pd.concat(both)[pd.concat(both).duplicated()]
        return f"lines {offenders(twice)} of the source are there twice" if len(twice) else None

    def same() -> str | None:
        with open_hdf5(results.path(sequences), what="sequences") as handle:
            return regions_fault(handle, read_regions_bed(results.path(report.path)), report.path)

    results.compare(report, "kept + dropped = read", [summary, dropped], counted)
    results.compare(report, "lines of the source", [dropped], apart)
    results.compare(report, "regions of sequences.h5", [sequences], same)


def compare_sequences(results: Results, report: FileReport, *, regions: str) -> None:
    """Hold the digest and the places of sequences against the genome's table."""
    attributes = results.facts(report.path).get("attributes", {})
    if not attributes.get("has_coordinates"):
        report.skip("the genome (sequences given directly)")
        return

    def fault() -> str | None:
        table = read_chromosomes(results.path("genome/chromosomes.tsv"))
        if genome_digest(table) != attributes["source_digest"]:
            return "source_digest is not that of genome/chromosomes.tsv: sequences of another genome"
        lengths = dict(zip(table["chrom"], table["length"].astype(int), strict=True))
        with SequenceStore(results.path(report.path)) as store:
            found = store.regions()
        ends = found["chrom"].map(lengths).fillna(-1).to_numpy()
        wrong = np.flatnonzero((found["start"] < 0).to_numpy() | (found["end"].to_numpy() > ends))
        return f"regions past the ends of chromosomes in rows {offenders(wrong)}" if len(wrong) else None

    results.compare(report, "coordinates", ["genome/chromosomes.tsv"], fault)


def _sequences_of(results: Results, analysis: str) -> str | None:
    known = results.settings.get(analysis)
    return None if known is None else f"regions/{known['regions']}/sequences.h5"


def compare_predictions(results: Results, report: FileReport, *, analysis: str) -> None:
    """Hold ``predictions.h5`` against sequences and the inspected models."""
    sequences = _sequences_of(results, analysis)
    attributes = report.facts.get("attributes", {})
    if sequences is None:
        report.skip("sequences (the analysis is not in the config)")
        return

    def same() -> str | None:
        with (
            SequenceStore(results.path(sequences)) as store,
            open_hdf5(results.path(report.path), what="predictions") as handle,
        ):
            if store.source_digest != attributes["source_digest"]:
                return f"source_digest is not that of {sequences}"
            return regions_fault(handle, store.regions(), sequences)

    results.compare(report, "regions of sequences.h5", [sequences], same)
    _compare_models(results, report, analysis, attributes)


def _compare_models(results: Results, report: FileReport, analysis: str, attributes: dict[str, str]) -> None:
    """Digests of the models are those of the inspection."""
    name = f"{analysis}/inspected.json"

    def fault() -> str | None:
        inspected, own = results.facts(name).get("value", {}), json.loads(attributes["model_digests"])
        wrong = [fold for fold, digest in own.items() if inspected.get(fold) != digest]
        return f"the models of {offenders(wrong)} are not those that were inspected" if wrong else None

    results.compare(report, "digests of models", [name], fault)


def compare_prediction_table(results: Results, report: FileReport, *, analysis: str) -> None:
    """Hold ``predictions.tsv`` against ``predictions.h5``: means over folds, or one fold's values."""
    arrays = f"{analysis}/predictions.h5"

    def fault() -> str | None:
        with open_hdf5(results.path(arrays), what="predictions") as handle:
            folds, targets = json.loads(handle.attrs["folds"]), json.loads(handle.attrs["targets"])
            own = _region_table(results, report.path)
            if wrong := regions_fault(handle, own, report.path):
                return f"{arrays}: {wrong}"
            table = column(results.path(report.path), *targets)
            for target in targets:
                values = np.stack([handle[f"targets/{fold}/{target}"][:] for fold in folds]).astype(float)
                told = pd.to_numeric(table[target]).to_numpy(float)
                choices = np.concatenate([values.mean(axis=0)[None], values])
                off = (
                    np.abs(choices - told).min(axis=0)
                    > 2e-5 * (np.abs(told) + np.abs(values).max(axis=0)) + 1e-9
                )
                if off.any():
                    return f"{target} differs from {arrays} in rows {offenders(np.flatnonzero(off))}"
        return None

    results.compare(report, "predictions.h5", [arrays], fault)


def _region_table(results: Results, path: str) -> pd.DataFrame:
    """The regions of a table, as HDF5 files have them."""
    table = column(results.path(path), *REGION_COLUMNS)
    return table.astype({"start": "int64", "end": "int64"})


def compare_region_table(results: Results, report: FileReport, *, analysis: str) -> None:
    """Hold the rows of ``observed.tsv`` against those of ``predictions.tsv``."""
    other = f"{analysis}/predictions.tsv"

    def fault() -> str | None:
        equal = _region_table(results, report.path).equals(_region_table(results, other))
        return None if equal else f"its rows are not those of {other}"

    results.compare(report, "rows of predictions.tsv", [other], fault)


def _store(results: Results, sequences: str, analysis: str, attributes: dict[str, object], handle: object):  # type: ignore[no-untyped-def]
    """The sequences that attributions are of: regions, or windows of them."""
    table = results.path(f"{analysis}/windows.tsv")
    if "window_start" not in handle:  # type: ignore[operator]
        return SequenceStore(results.path(sequences))
    if table.is_file():
        return WindowStore(results.path(sequences), Windows.read(table))
    starts = handle["window_start"][:]  # type: ignore[index]
    own, width = handle["rows"][:], handle["sequences"].shape[2]  # type: ignore[index]
    if len(set(starts.tolist())) == 1:
        total = int(str(attributes.get("n_regions", len(own))))
        return WindowStore(
            results.path(sequences), Windows.fixed(total, (int(starts[0]), int(starts[0]) + width))
        )
    return WindowStore(results.path(sequences), Windows(own, starts, width))


def compare_complete(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold attributions against sequences, models, chunks, predictions and the config."""
    sequences, attributes = _sequences_of(results, analysis), report.facts.get("attributes", {})
    if sequences is None:
        report.skip("sequences, models and settings (the analysis is not in the config)")
        return

    def same() -> str | None:
        with (
            open_hdf5(results.path(report.path), what="attributions") as handle,
            _store(results, sequences, analysis, attributes, handle) as store,
        ):
            own = handle["rows"][:]
            if attributes["source_digest"] != store.source_digest:
                return f"source_digest is not that of {sequences}"
            if len(own) and int(own[-1]) >= store.n:
                return f"has row {own[-1]} of {store.n}"
            table = store.regions().iloc[own].reset_index(drop=True)
            if wrong := regions_fault(handle, table, sequences):
                return wrong
            if "window_start" not in handle:
                differ = results.facts(sequences)["bases"][own] != report.facts["bases"]
                rows_off = own[np.flatnonzero(differ)]
                return (
                    f"sequences differ from {sequences} in rows {offenders(rows_off)}"
                    if len(rows_off)
                    else None
                )
            step = max(1, BLOCK_BYTES // (4 * store.length))
            for low in range(0, len(own), step):
                part = own[low : low + step]
                values = store.read(int(part[0]), int(part[-1]) + 1)[part - part[0]]
                differ = (values != unpack_rows(handle["sequences"], low, low + len(part))).any(axis=(1, 2))
                if differ.any():
                    return (
                        f"sequences differ from {sequences} in rows {offenders(low + np.flatnonzero(differ))}"
                    )
        return None

    results.compare(report, "sequences", [sequences], same)
    _compare_models(results, report, analysis, attributes)
    _compare_chunks(results, report, analysis, target)
    _compare_settings(results, report, analysis, target, attributes)


def _compare_settings(
    results: Results, report: FileReport, analysis: str, target: str, attributes: dict[str, str]
) -> None:
    """Target and folds are those of the config; of what passed the gate also the gate."""
    known = results.settings[analysis]
    wanted = {"target": target, "folds": json.dumps(known["folds"])}
    if report.kind == "attributions":
        wanted |= {"on_fail": known["gate"]["on_fail"]}
        wanted |= {"max_relative_delta_limit": known["gate"]["max_relative_delta"]}
    wrong = [f"{key} {attributes.get(key)}, expected {value}" for key, value in wanted.items()
             if attributes.get(key) != value]  # fmt: skip
    report.require("settings", not wrong, f"made with other settings than the config's: {offenders(wrong)}")


def _compare_chunks(results: Results, report: FileReport, analysis: str, target: str) -> None:
    """Where chunks are kept, the digest over theirs is the one that was aggregated."""
    attributes = report.facts.get("attributes", {})
    kept = [
        f"{analysis}/chunks/{fold}/{chunk}.h5"
        for fold in json.loads(attributes["folds"])
        for chunk in range(int(attributes.get("chunks", 0)))
    ]
    if not kept or not any(results.has(name) for name in kept):
        return

    def fault() -> str | None:
        digests = [results.facts(name).get("digests", {}).get(target, "") for name in kept]
        if digest_strings(digests) != attributes["chunks_digest"]:
            return "the chunks that are kept are not those that were aggregated: they were computed again"
        return None

    results.compare(report, "digest of chunks", kept, fault)


def compare_gated(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold ``attributions.h5`` against all rows, before the gate."""
    complete = f"{analysis}/{target}/attributions.all.h5"

    def fault() -> str | None:
        whole, own = results.facts(complete), report.facts
        place = np.searchsorted(whole["rows"], own["rows"])
        if not np.isin(own["rows"], whole["rows"]).all():
            return f"has rows that {complete} lacks"
        for key, name in (("bases", "sequences"), ("wide", "hypothetical, baseline or spread")):
            differ = np.flatnonzero(whole[key][place] != own[key])
            if len(differ):
                return f"{name} differs from {complete} in rows {offenders(own['rows'][differ])}"
        with (
            open_hdf5(results.path(report.path), what="attributions") as handle,
            open_hdf5(results.path(complete), what="attributions") as before,
        ):
            for name in ("prediction", "reference_prediction", "max_relative_delta", "delta", "fold"):
                if (name in handle) != (name in before):
                    return f"{name} is in one of {report.path} and {complete} only"
                if name in handle and not np.array_equal(handle[name][:], before[name][:][place]):
                    return f"{name} differs from {complete}"
        return None

    if report.facts.get("twin") is None:
        results.compare(report, "attributions.all.h5", [complete], fault)
        compare_complete(results, report, analysis=analysis, target=target)
    elif analysis in results.settings:
        _compare_settings(results, report, analysis, target, report.facts["attributes"])
    _compare_predicted(results, report, analysis, target)


def _compare_predicted(results: Results, report: FileReport, analysis: str, target: str) -> None:
    """Predictions of regions are those of ``predictions.tsv``, up to rounding."""
    table = f"{analysis}/predictions.tsv"
    if results.has(f"{analysis}/windows.tsv"):
        return

    def fault() -> str | None:
        told = pd.to_numeric(column(results.path(table), target)[target]).to_numpy(float)
        own = report.facts["rows"]
        with open_hdf5(results.path(report.path), what="attributions") as handle:
            values = handle["prediction"][:].astype(float)
        if len(own) and int(own[-1]) >= len(told):
            return f"has row {own[-1]}, {table} has {len(told)}"
        scale = max(1e-6, float(np.abs(told).max(initial=0)))
        differ = np.flatnonzero(np.abs(values - told[own]) > PREDICTED * scale)
        return f"prediction differs from {table} in rows {offenders(own[differ])}" if len(differ) else None

    if not results.settings.get(analysis, {}).get("same_prediction", {}).get(target, True):
        report.skip(f"{table} (what is attributed is another number than what is predicted)")
        return
    results.compare(report, "predictions.tsv", [table], fault)


def compare_quality(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold ``qc.tsv`` against all rows, before the gate, and the gate."""
    folder = f"{analysis}/{target}"
    complete, gated = f"{folder}/attributions.all.h5", f"{folder}/attributions.h5"

    def fault() -> str | None:
        judged = results.facts(gated)["attributes"]
        gate = Gate(float(judged["max_relative_delta_limit"]), str(judged["on_fail"]))
        own = column(results.path(report.path), "row", "max_relative_delta", "status")
        with open_hdf5(results.path(complete), what="attributions") as handle:
            if wrong := regions_fault(handle, _region_table(results, report.path), report.path):
                return f"{complete}: {wrong}"
            errors = handle["max_relative_delta"][:] if "max_relative_delta" in handle else None
        failed = over_limit(errors, gate, len(own))
        status = np.where(failed, "dropped" if gate.on_fail == "drop" else "fail", "pass")
        differ = np.flatnonzero(own["status"].to_numpy() != status)
        if len(differ):
            return f"status does not follow from {complete} and the gate in rows {offenders(differ)}"
        kept = np.flatnonzero(own["status"].to_numpy() != "dropped")
        if not np.array_equal(kept, results.facts(gated)["rows"]):
            return f"the rows that are not dropped are not those of {gated}"
        if errors is not None:
            told = pd.to_numeric(own["max_relative_delta"]).to_numpy(float)
            off = np.flatnonzero(~np.isclose(told, reproducible(errors, gate), rtol=1e-5))
            return (
                f"max_relative_delta differs from {complete} in rows {offenders(off)}" if len(off) else None
            )
        return None

    results.compare(report, "attributions.all.h5, gate", [complete, gated], fault)


def compare_windows(results: Results, report: FileReport, *, analysis: str) -> None:
    """Hold ``windows.tsv`` against the regions that its windows lie in."""
    sequences = _sequences_of(results, analysis)
    if sequences is None:
        report.skip("sequences (the analysis is not in the config)")
        return

    def fault() -> str | None:
        table = _region_table(results, report.path)
        with WindowStore(results.path(sequences), Windows.read(results.path(report.path))) as store:
            expected = store.regions()
        wrong = [
            name for name in REGION_COLUMNS if not (table[name].to_numpy() == expected[name].to_numpy()).all()
        ]
        return f"{offenders(wrong)} does not follow from {sequences}" if wrong else None

    results.compare(report, "sequences.h5", [sequences], fault)


def regions_of(results: Results, path: str) -> pd.DataFrame:
    """The regions of an HDF5 file."""
    with open_hdf5(results.path(path), what="regions") as handle:
        return read_regions(handle)
