"""Who may import whom, read from the syntax trees. Each test says how many modules it looked at."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline_config", "tasks", "flows", "deployments")
STAGES = ("data", "augment", "train", "evaluate", "registry", "deploy", "report")

HOMES = {
    "pandera": {"tasks/data/schema.py"},
    "mlflow": {"tasks/mlflow_tracking.py", "tasks/registry/mlflow_", "tasks/registry/package_pyfunc.py", "deployments/mlflow_app.py"},
    "peft": {"tasks/methods/", "tasks/models.py", "tasks/registry/package_pyfunc.py"},
    "evaluate": {"tasks/evaluate/"},
    "fastapi": {"deployments/server/"},
    "typer": {"deployments/cli/"},
    "sklearn": {"tasks/evaluate/"},
    "gguf": {"tasks/models.py"},
    "sqlite3": {"tasks/ledger_sqlite.py"},
    "psycopg": {"tasks/ledger_postgres.py"},
    "detect_secrets": {"tasks/credentials.py"},
    "ftfy": {"tasks/data/wording.py"},
    "huggingface_hub": {"tasks/models.py", "tasks/report/card.py"},
    "py3langid": {"tasks/languages.py"},
    "presidio_analyzer": {"tasks/presidio.py"},
    "spacy": {"tasks/presidio.py"},
}
"""Each heavy library, and the files or folders that may import it."""


def modules() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files}


MODULES = modules()


@cache
def imports(tree: ast.Module) -> set[str]:
    """Dotted names of everything imported, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def stage_of(name: str) -> str | None:
    parts = name.replace("/", ".").removesuffix(".py").split(".")
    return parts[1] if parts[0] == "tasks" and len(parts) > 1 and parts[1] in STAGES else None


def rank(file: str) -> int:
    """0 is the bottom: pipeline_config, kernel, stage modules, task.py, flows, deployments."""
    package = file.split("/", 1)[0]
    if package != "tasks":
        return {"pipeline_config": 0, "flows": 4, "deployments": 5}[package]
    if stage_of(file) is None:
        return 1
    return 3 if file.endswith("/task.py") else 2


def file_of(name: str) -> str | None:
    """The file that a dotted name of ours means, if it means a module."""
    path = name.replace(".", "/")
    return next((f for f in (f"{path}.py", f"{path}/__init__.py") if f in MODULES), None)


def ours(tree: ast.Module) -> set[str]:
    return {file for name in imports(tree) if name.split(".")[0] in PACKAGES and (file := file_of(name)) is not None}


def test_enough_modules_are_looked_at() -> None:
    print(f"{len(MODULES)} modules checked")
    assert len(MODULES) >= 60


def test_imports_point_down_only() -> None:
    wrong = [f"{file} -> {target}" for file, tree in MODULES.items() for target in ours(tree) if rank(target) > rank(file)]
    assert wrong == []


def test_a_stage_never_imports_another_stage() -> None:
    wrong = [
        f"{file} -> {target}"
        for file, tree in MODULES.items()
        if (stage := stage_of(file)) is not None
        for target in ours(tree)
        if stage_of(target) not in (None, stage)
    ]
    assert wrong == []


def test_only_shells_flows_and_deployments_know_prefect() -> None:
    knows = [file for file, tree in MODULES.items() if any(name.split(".")[0] == "prefect" for name in imports(tree))]
    assert [file for file in knows if rank(file) < 3] == []
    assert len(knows) >= 5


@pytest.mark.parametrize("library", sorted(HOMES))
def test_each_heavy_library_has_one_home(library: str) -> None:
    users = {file for file, tree in MODULES.items() if any(name.split(".")[0] == library for name in imports(tree))}
    assert {file for file in users if not any(file.startswith(home) for home in HOMES[library])} == set()


def test_only_the_environment_module_reads_the_environment() -> None:
    readers = {
        file
        for file, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb") and ast.unparse(node.value) == "os"
    }
    assert readers == {"pipeline_config/environment.py"}


def test_from_pretrained_is_called_where_loading_is_made_safe() -> None:
    callers = {
        file
        for file, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "from_pretrained"
    }
    # The last one leaves with each version and has to stand alone.
    assert callers <= {"tasks/models.py", "tasks/methods/peft_tree.py", "tasks/registry/package_pyfunc.py"}


def test_the_code_that_a_version_takes_along_imports_nothing_of_ours_at_its_top() -> None:
    top = ast.Module(
        [node for node in MODULES["tasks/registry/package_pyfunc.py"].body if isinstance(node, ast.Import | ast.ImportFrom)], []
    )
    found = {name.split(".")[0] for name in imports(top)}
    assert len(found) >= 8
    assert found & {*PACKAGES, "torch", "transformers", "peft"} == set()


def test_pickle_is_nowhere() -> None:
    wrong = [
        file
        for file, tree in MODULES.items()
        if {name.split(".")[0] for name in imports(tree)} & {"pickle", "dill", "joblib", "cloudpickle"}
    ]
    assert wrong == []


def test_no_module_is_named_utils() -> None:
    assert [file for file in MODULES if Path(file).stem in ("utils", "helpers", "common", "misc")] == []
