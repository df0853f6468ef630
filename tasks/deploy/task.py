"""The deploy stage as Prefect tasks: make the model server serve a version, prove it, make it follow the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.environment import read_machine
from pipeline_config.errors import ServiceError
from tasks.deploy.client import ModelServer
from tasks.deploy.parity import prove_parity, read_parity
from tasks.deploy.switch import follow, load
from tasks.files import exclusive, version_cache
from tasks.ledger import Entry


@task(name="load the version", persist_result=False, cache_policy=NO_CACHE)
def load_version(adapter_name: str, artifact: Path, timeout: float) -> None:
    """Makes the model server load a version.

    Raises:
        RolloutError: the version's files are not whole; the server refuses, is silent, or does not mask what was masked in training.
    """
    with ModelServer(read_machine().server_url, timeout) as server:
        load(server, adapter_name, artifact)


@contextmanager
def one_at_a_time(model_name: str) -> Iterator[None]:
    """Keeps other roll-outs of a model on this machine waiting: two proofs slow each other down, and an answer too late fails one."""
    with exclusive(read_machine().workspace / f"rollout-{model_name}.lock"):
        yield


@task(name="ask the server", persist_result=False, cache_policy=NO_CACHE)
def ask_server() -> tuple[str, ...]:
    """Asks the model server which versions it has in memory.

    Raises:
        ServiceError: nothing answers, or something else does.
    """
    with ModelServer(read_machine().server_url) as server:
        return server.adapters()


@task(name="withdraw", persist_result=False, cache_policy=NO_CACHE)
def withdraw(adapter_name: str) -> None:
    """Makes the server forget a version that is not live.

    Raises:
        ServiceError: the version is live, or the server does not answer.
    """
    with ModelServer(read_machine().server_url) as server:
        server.unload(adapter_name)


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
            follow(server, withdrawn, live, version_cache(machine.workspace))
    except ServiceError as error:
        get_run_logger().warning("the model server could not be told: %s", error.what)
        return error.what
    return None
