"""Every command that the README shows is run, as it stands there; the long ones with `PRESET=smoke` put in."""

import csv
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.services.lifecycle import up
from pipeline_config.environment import Machine
from pipeline_config.loading import load_config

pytestmark = [pytest.mark.services, pytest.mark.embedded, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]
_SECONDS = 420


@pytest.fixture(scope="module")
def own_data() -> Iterator[None]:
    """The README's own example, beside a CSV of the shape that it speaks of, where its commands are typed."""
    example = re.search(r"```yaml\n# mine\.yaml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    files = {ROOT / "mine.yaml": example[1], ROOT / "tickets.csv": None}
    assert not any(path.exists() for path in files), "mine.yaml or tickets.csv is in the way"
    try:
        (ROOT / "mine.yaml").write_text(example[1])
        _write_csv(ROOT / "tickets.csv")
        yield
    finally:
        for path in files:
            path.unlink(missing_ok=True)


def _write_csv(path: Path) -> None:
    """The queues that the smoke preset keeps, as somebody's own file."""
    sample = ROOT / "pipeline_config" / "samples" / "helpdesk_routing.jsonl"
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()]
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "label"])
        table.writerows([row["input"], row["output"]] for row in rows if row["output"] in load_config("smoke").data.source.labels)


def run(command: str, machine: Machine, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**machine.child_environment(), **variables}
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
    )


def test_the_readme_begins_with_the_two_commands() -> None:
    assert COMMANDS[:2] == ["make run-pipeline", "make test"]
    print(f"{len(COMMANDS)} commands found")
    assert len(COMMANDS) >= 8


def test_make_test_is_what_runs_here() -> None:
    shown = subprocess.run(
        ["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "MAKEFLAGS": ""}
    )
    assert "tests/e2e" in shown.stdout


@pytest.mark.parametrize("command", [line for line in COMMANDS if "run-pipeline" in line and "CONFIG" not in line])
def test_a_pipeline_command_ends_live(command: str, embedded_machine_up: Machine) -> None:
    short = re.sub(r"PRESET=\w+", "PRESET=smoke", command)
    done = run(short, embedded_machine_up, PRESET="smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is live" in done.stdout


def test_own_data_is_validated_and_trained_on(embedded_machine_up: Machine, own_data: None) -> None:
    validate, pipeline = (line for line in COMMANDS if "CONFIG=mine.yaml" in line and "config-show" not in line)
    assert run(validate, embedded_machine_up).returncode == 0
    done = run(pipeline, embedded_machine_up, PRESET="smoke")
    assert done.returncode in (0, 2), done.stderr
    summary = json.loads((embedded_machine_up.workspace / "runs" / "latest" / "summary.json").read_text())
    assert summary["model"]["name"] == "my-classifier"
    assert summary["outcome"] in ("passed", "gate_failed")


def test_a_mistake_in_own_data_is_one_clear_message(embedded_machine_up: Machine, own_data: None) -> None:
    done = run("make validate CONFIG=mine.yaml SET=data.source.columns.output=lable", embedded_machine_up)
    assert done.returncode == 2
    assert "lable" in done.stderr
    assert "label" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_status_and_down(embedded_machine_up: Machine) -> None:
    commands = [line for line in COMMANDS if line in ("make up", "make status", "make down")]
    assert len(commands) == 3
    try:
        outputs = [run(command, embedded_machine_up) for command in commands]
    finally:
        up(embedded_machine_up, print)
    assert [done.returncode for done in outputs] == [0, 0, 0], [done.stderr for done in outputs]
    assert "stopped" in outputs[2].stderr + outputs[2].stdout


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "MAKEFLAGS": ""}
    ).stdout
    assert targets <= {line.split()[0] for line in listed.splitlines()}
