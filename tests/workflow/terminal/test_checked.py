"""What a check found is a short table, a sentence for each fault, and a count."""

from __future__ import annotations

from pathlib import Path

from cislex_workflow.terminal.checked import found

HEADER = "file\tkind\tbytes\tchecks\tstatus\twhat\n"


def test_faults_follow_the_table_and_many_small_files_share_a_line(tmp_path: Path) -> None:
    path = tmp_path / "verification.tsv"
    path.write_text(
        HEADER
        + "a/t/qc.tsv\tquality table\t1234567\tlines\tfault\tends within a line\n"
        + "config.yaml\tconfig\t12\tYAML\tok\tnot checked: digest (x is missing)\n"
        + "genome.fa\tinput\t\t\tnot checked\tnot checked: genome.fa is not there\n"
        + "".join(f"a/t/logos/{i}.svg\tlogo\t10\tSVG\tok\t\n" for i in range(3))
        + "a/t/logos/4.svg\tlogo\t10\tSVG\tfault\tis no SVG\n"
    )
    lines, faults = found(path)
    assert faults == 2
    assert lines[0].split() == ["fault", "a/t/qc.tsv", "1.2", "MB"]
    assert "not checked: digest (x is missing)" in lines[1]
    assert "ok           logo: 3" in lines
    assert "  a/t/qc.tsv: ends within a line" in lines
    assert "  a/t/logos/4.svg: is no SVG" in lines
    assert lines[-1].startswith("7 files, 1.2 MB: 4 ok, 2 with faults, 1 not checked")


def test_without_faults_none_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "verification.tsv"
    path.write_text(HEADER + "config.yaml\tconfig\t12\tYAML\tok\t\n")
    lines, faults = found(path)
    assert faults == 0
    assert not any("Faults" in line for line in lines)
