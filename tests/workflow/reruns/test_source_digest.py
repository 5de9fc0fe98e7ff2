"""Digests of the code that rules run: an edit reruns what it can change, and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shutil
from pathlib import Path

import pytest
import yaml
from cislex.models.loaders import loader_names
from cislex_workflow.config.loader_files import loader_options
from cislex_workflow.reruns import source_digest

ROOT = Path(__file__).resolve().parents[3]

SCRIPTS = ROOT / "scripts"
#: Scripts that carry out the method of an analysis.
WITH_METHOD = (
    "attribute_chunk", "attribute_variants", "evolve_sequences", "inspect_model", "measure_faithfulness",
)  # fmt: skip
#: Scripts that only load a model.
WITH_MODEL = ("insert_chunk", "predict_regions", "score_variants")
METHODS = sorted(source_digest.EXECUTORS)


@pytest.fixture(scope="module")
def reached() -> dict[str, dict[str, str]]:
    return all_reached(SCRIPTS)


def all_reached(scripts: Path) -> dict[str, dict[str, str]]:
    """Modules and their digests of every script, and of those that carry out a method with each of them."""
    names = {path.stem for path in scripts.glob("*.py")} - set(WITH_METHOD)
    loader = source_digest.loader("factory")
    found = {name: source_digest.reached(scripts, name) for name in sorted(names)}
    for script in WITH_MODEL:
        found[script] = source_digest.reached(scripts, script, dynamic=(loader,))
    for method in METHODS:
        for script in WITH_METHOD:
            dynamic = (*source_digest.executors(method, script), loader)
            found[f"{script} {method}"] = source_digest.reached(scripts, script, dynamic=dynamic)
    return found


def test_comments_docstrings_and_times_of_files_change_no_digest(
    reached: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for path in scripts.rglob("*.py"):
        text = path.read_text() + "\n\n# a comment at the end\n"
        path.write_text(re.sub(r'^"""', '"""Another sentence. ', text, count=1))
    assert all_reached(scripts) == reached


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("attribution.deeplift.deeplift", {f"{script} deep_lift_shap" for script in WITH_METHOD}),
        (
            "attribution.gradients.integrated",
            {
                f"{script} {method}"
                for script in WITH_METHOD
                for method in ("expected_gradients", "integrated_gradients")
            },
        ),
        ("attribution.reference_convergence", set()),
        ("attribution.deeplift.survey", {"inspect_model deep_lift_shap"}),
        (
            "models.loaders.factory",
            {*WITH_MODEL, *(f"{script} {method}" for script in WITH_METHOD for method in METHODS)},
        ),
        ("models.loaders.bpnet_lite", set()),
        ("models.formats.bpnet_lite", set()),
        ("attribution.pipeline", {f"{s} {m}" for s in WITH_METHOD for m in METHODS}),
        ("report.page", {"render_report"}),
    ],
)
def test_a_module_belongs_to_the_rules_that_can_run_it(
    reached: dict[str, dict[str, str]], module: str, expected: set[str]
) -> None:
    assert (ROOT / "scripts" / "cislex" / f"{module.replace('.', '/')}.py").exists()
    assert {name for name, modules in reached.items() if f"cislex.{module}" in modules} == expected


def test_a_statement_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("x = 1  # one\n")
    (tmp_path / "same.py").write_text("x  =  (1)\n")
    (tmp_path / "other.py").write_text("x = 2\n")
    digests = [source_digest.tree_digest(tmp_path / f"{name}.py") for name in ("run", "same", "other")]
    assert digests[0] == digests[1] != digests[2]


def test_a_name_is_followed_through_a_package_to_the_module_that_defines_it(tmp_path: Path) -> None:
    files = {
        "run.py": "from cislex.parts import one\nimport cislex.other.deep\n",
        "cislex/__init__.py": '"""Package."""\n__version__ = "1"\n',
        "cislex/parts/__init__.py": "from cislex.parts.a import one\nfrom cislex.parts.b import two\n",
        "cislex/parts/a.py": "def one():\n    from ..late import three\n    return three\n",
        "cislex/parts/b.py": "two = 2\n",
        "cislex/late.py": "three = 3\n",
        "cislex/other/__init__.py": "",
        "cislex/other/deep.py": "import json\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(source_digest.reached(tmp_path, "run")) == {
        "run", "cislex", "cislex.parts", "cislex.parts.a", "cislex.late", "cislex.other", "cislex.other.deep",
    }  # fmt: skip


def test_a_module_that_is_imported_by_a_computed_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("import importlib\nimportlib.import_module(f'cislex.{1}')\n")
    with pytest.raises(source_digest.UnfollowedImportError, match=r"run\.py, line 2"):
        source_digest.digest(tmp_path, "run")


def test_the_executors_are_those_of_the_pipeline() -> None:
    from cislex.attribution.pipeline import EXECUTORS
    from cislex.chunks.methods_from_config import method_from_settings

    for method, modules in source_digest.EXECUTORS.items():
        assert modules[0] == EXECUTORS[type(method_from_settings({"name": method}))]


def test_every_rule_with_a_script_depends_on_the_code_of_this_script() -> None:
    for path in sorted((ROOT / "workflow" / "rules").rglob("*.smk")):
        for rule in re.split(r"^\s*rule ", path.read_text(), flags=re.M)[1:]:
            script = re.search(r"scripts/(\w+)\.py", rule)
            if script:
                wanted = {
                    **dict.fromkeys(WITH_METHOD, "_with_method"),
                    **dict.fromkeys(WITH_MODEL, "_with_model"),
                }
                function = f"code{wanted.get(script[1], '')}"
                assert re.search(rf'code={function}\(\s*"{script[1]}"', rule), rule.split(":")[0]


def test_a_script_that_loads_a_model_depends_on_the_code_of_its_loader() -> None:
    """combine_variants uses a reader of the module that scores variants, and loads none."""
    loading = {
        path.stem
        for path in SCRIPTS.glob("*.py")
        if "cislex.models.loading" in source_digest.reached(SCRIPTS, path.stem)
    }
    assert loading - {"combine_variants"} == {*WITH_MODEL, *WITH_METHOD}


def test_every_loader_of_the_schema_is_a_file_and_has_its_options() -> None:
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    model = schema["$defs"]["model"]["properties"]
    assert sorted(model["loader"]["enum"]) == loader_names() == list(loader_options())
    for name, options in loader_options().items():
        module = importlib.import_module(source_digest.loader(name))
        assert tuple(field.name for field in dataclasses.fields(module.Loader)) == options
        assert set(options) <= set(model)
