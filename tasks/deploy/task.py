"""The deploy stage as Prefect tasks: make the model server serve a version, prove it, make it follow the ledger."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.environment import read_machine
from pipeline_config.errors import ModelError, RolloutError, ServiceError
from tasks.deploy.client import ModelServer
from tasks.deploy.parity import prove_parity, read_parity
from tasks.files import version_cache
from tasks.ledger import Entry
from tasks.manifest import read_manifest


@task(name="load the version", persist_result=False, cache_policy=NO_CACHE)
def load_version(adapter_name: str, artifact: Path, timeout: float) -> None:
    """Makes the model server load a version.

    Raises:
        RolloutError: the version's files are not whole; the server refuses, is silent, or does not mask what was masked in training.
    """
    try:
        with ModelServer(read_machine().server_url, timeout) as server:
            kinds = read_manifest(artifact).masked_kinds
            server.load(adapter_name, artifact)
            require_masks(server, adapter_name, kinds)
    except (ServiceError, ModelError) as error:
        raise RolloutError(f"the version was not loaded: {error.what}", where=error.where, hint=error.hint) from error


def require_masks(server: ModelServer, adapter_name: str, kinds: Sequence[str]) -> None:
    """Refuses a server that would show a version personal data which it was trained without.

    Raises:
        RolloutError: the server does not say that it masks all of these kinds.
        ServiceError: it does not answer.
    """
    missing = sorted(set(kinds) - set(server.masks(adapter_name))) if kinds else []
    if missing:
        raise RolloutError(
            f"the model server does not mask {', '.join(missing)} in requests", where=adapter_name,
            expected="what was masked in training (data.sensitive) to be masked in serving", hint="serve it with tunegate's own server",
        )  # fmt: skip


@task(name="prove the switch", persist_result=False, cache_policy=NO_CACHE)
def prove_switch(model_name: str, adapter_name: str, parity: Path, count: int, timeout: float) -> int:
    """Sends test rows through the endpoint; returns how many.

    Raises:
        RolloutError: an answer is not the one that was judged.
    """
    rows = read_parity(parity, count)
    with ModelServer(read_machine().server_url, timeout) as server:
        prove_parity(server, model_name, adapter_name, rows)
    get_run_logger().info("%d of %d answers equal the stored ones", len(rows), len(rows))
    return len(rows)


@task(name="tell the server", persist_result=False, cache_policy=NO_CACHE)
def follow_ledger(withdrawn: str, live: Entry | None) -> str | None:
    """Makes the server forget a withdrawn version and load what is live instead.

    The server would find out by itself on the next request; this only spares that request the wait.

    Returns:
        Why the server could not be told; null if it was.
    """
    machine = read_machine()
    try:
        with ModelServer(machine.server_url) as server:
            if live is not None and live.adapter_name is not None:
                server.load(live.adapter_name, version_cache(machine.workspace) / live.adapter_name / "model")
            server.unload(withdrawn)
    except ServiceError as error:
        get_run_logger().warning("the model server could not be told: %s", error.what)
        return error.what
    return None
