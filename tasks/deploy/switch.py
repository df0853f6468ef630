"""What a switch asks of the model server, step by step. Each step may be asked for again."""

from collections.abc import Sequence
from pathlib import Path

from pipeline_config.errors import ModelError, RolloutError, ServiceError
from tasks.deploy.client import ModelServer
from tasks.ledger import Entry
from tasks.manifest import read_manifest


def load(server: ModelServer, adapter_name: str, artifact: Path) -> None:
    """Makes the model server load a version; nothing happens if it has it.

    Raises:
        RolloutError: the version's files are not whole; the server refuses, is silent, or does not mask what was masked in training.
    """
    try:
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


def follow(server: ModelServer, withdrawn: str, live: Entry | None, cache: Path) -> None:
    """Makes the server load what is live, and then forget a withdrawn version.

    Args:
        cache: folder of version copies (`tasks.files.version_cache`).

    Raises:
        ServiceError: the server refuses, or does not answer.
    """
    if live is not None and live.adapter_name is not None:
        server.load(live.adapter_name, cache / live.adapter_name / "model")
    server.unload(withdrawn)
