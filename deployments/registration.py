"""Registers the Prefect deployments of `prefect.yaml`, once for each change."""

import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import yaml

from deployments.services.prefect_api import ensure_pool, open_client
from deployments.services.processes import services_folder
from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tasks.files import exclusive, read_json, sha256_file, sha256_json, write_json

PREFECT_FILE = Path(__file__).with_name("prefect.yaml")

_STATE = "deployments.json"
_SECONDS = 180


def register_deployments(machine: Machine, say: Callable[[str], None]) -> bool:
    """Registers all deployments unless the server has them as they are now. What a person paused, switched on or off stays so.

    Returns:
        Whether anything had to be registered.

    Raises:
        ServiceError: the Prefect server does not answer, or refuses.
    """
    folder = services_folder(machine.workspace)
    digest = _digest(machine)
    try:
        with exclusive(folder / "deployments.lock"), open_client(machine) as client:
            registered = _registered(client)
            if all(registered.values()) and _noted(folder / _STATE) == digest:
                return False
            say(f"registering the deployments {', '.join(registered)}")
            started = time.monotonic()
            ensure_pool(machine)
            _prefect_deploy(machine)
            _keep_choices(client, registered)
            write_json(folder / _STATE, {"digest": digest})
            say(f"registered after {time.monotonic() - started:.1f} s: {machine.prefect_ui_url}/deployments")
            return True
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the Prefect server does not answer as it should: {error}",
            where=machine.prefect_api_url,
            hint="`tunegate up` starts a local one",
        ) from error


def deployment_names() -> list[str]:
    """Full names (`flow/deployment`) in `prefect.yaml`. Flow and deployment are named alike here."""
    entries = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))["deployments"]
    return [f"{entry['entrypoint'].rpartition('.')[2]}/{entry['name']}" for entry in entries]


def _digest(machine: Machine) -> str:
    """Digest of what a registration depends on: the file, the flows with their parameters, the server and the pool."""
    root = PREFECT_FILE.parent.parent
    sources = sorted([PREFECT_FILE, *(root / "flows").glob("*.py"), *(root / "pipeline_config").glob("*.py")])
    files = {path.relative_to(root).as_posix(): sha256_file(path) for path in sources}
    return sha256_json([files, machine.prefect_api_url, machine.work_pool])


def _noted(path: Path) -> str | None:
    try:
        return str(read_json(path)["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _registered(client: httpx.Client) -> dict[str, dict[str, Any] | None]:
    """The deployments that the server has, None for those that it lacks."""
    found: dict[str, dict[str, Any] | None] = {}
    for name in deployment_names():
        response = client.get(f"/deployments/name/{name}")
        found[name] = None if response.status_code == HTTPStatus.NOT_FOUND else response.raise_for_status().json()
    return found


def _prefect_deploy(machine: Machine) -> None:
    command = [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)]
    try:
        done = subprocess.run(
            command, env=machine.child_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS,
            cwd=services_folder(machine.workspace),
        )  # fmt: skip
        failure = f"ended with exit code {done.returncode}:\n{_indented(done.stdout + done.stderr)}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = f"did not end within {_SECONDS} s"
    if failure:
        raise ServiceError(f"`prefect deploy` {failure}", where=str(PREFECT_FILE), hint="`tunegate status` says whether the server is up")


def _indented(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-15:])


def _keep_choices(client: httpx.Client, before: dict[str, dict[str, Any] | None]) -> None:
    """`prefect deploy` unpauses, and sets each schedule to what the file says; what a person paused, switched on or off is put back."""
    for name, old in before.items():
        if old is None:
            continue
        new = client.get(f"/deployments/name/{name}").raise_for_status().json()
        if old["paused"] and not new["paused"]:
            client.patch(f"/deployments/{new['id']}", json={"paused": True}).raise_for_status()
        chosen = {schedule["slug"]: schedule["active"] for schedule in old["schedules"]}
        for schedule in new["schedules"]:
            active = chosen.get(schedule["slug"], schedule["active"])
            if active != schedule["active"]:
                client.patch(f"/deployments/{new['id']}/schedules/{schedule['id']}", json={"active": active}).raise_for_status()
