"""Registers the Prefect deployments of `prefect.yaml`; does nothing if they stand there already."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tasks.files import sha256_bytes, sha256_json, write_atomically

PREFECT_FILE = Path(__file__).parent / "prefect.yaml"
DEPLOYMENTS = ("finetune/finetune", "promotion/promotion", "rollout/rollout")


def register_deployments(machine: Machine, say: Callable[[str], None]) -> None:
    """Registers all deployments with the real `prefect deploy`.

    Raises:
        ServiceError: Prefect refused; with the end of what it said.
    """
    note = machine.workspace / "services" / "deployments.digest"
    digest = _digest(machine)
    if note.is_file() and note.read_text() == digest and all(_is_registered(machine, name) for name in DEPLOYMENTS):
        return
    say(f"registering the deployments {', '.join(DEPLOYMENTS)}")
    prefect = str(Path(sys.executable).parent / "prefect")
    done = subprocess.run(
        [prefect, "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)],
        env=machine.child_environment(), cwd=PREFECT_FILE.parent.parent,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ServiceError(f"the deployments could not be registered:\n{tail}", where=machine.prefect_api_url, hint="`tunegate status`")
    write_atomically(note, digest.encode())


def _digest(machine: Machine) -> str:
    """Changes when a deployment, a flow's parameters or a preset's name might have."""
    flows = sorted((PREFECT_FILE.parent.parent / "flows").glob("*.py"))
    presets = sorted(path.name for path in (PREFECT_FILE.parent.parent / "pipeline_config" / "presets").glob("*.yaml"))
    sources = [sha256_bytes(path.read_bytes()) for path in (PREFECT_FILE, *flows)]
    return sha256_json([sources, presets, machine.work_pool, machine.prefect_api_url])


def _is_registered(machine: Machine, name: str) -> bool:
    return httpx.get(f"{machine.prefect_api_url}/deployments/name/{name}", timeout=10).status_code == 200
