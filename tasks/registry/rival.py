"""The champion that a new artifact has to stand up to, as the ledger names it."""

from pathlib import Path

from pipeline_config.errors import PromotionRefused, TunegateError
from tasks.artifacts import Rival
from tasks.ledger import Entry, Ledger, standing
from tasks.registry.port import MODEL_FOLDER, Registry
from tasks.registry.verdict import fetch


def rival_of(registry: Registry, ledger: Ledger, model_name: str, artifact_digest: str, cache: Path) -> Rival | None:
    """The live version of a model, with its files in the cache.

    Where the artifact is live itself, its rival is what was live before it: judging it once more then sees the same champion.

    Returns:
        Null if there is nothing to stand up to. If the champion's files cannot be had, its `fault` says why.
    """
    others = [entry for entry in standing(ledger.entries(), model_name) if entry.artifact_digest != artifact_digest]
    champion = others[-1] if others else None
    if champion is None or champion.version is None or champion.adapter_name is None or champion.artifact_digest is None:
        return None
    folder, fault = None, None
    try:
        folder = _files_of(registry, champion, champion.version, cache)
    except (TunegateError, OSError) as error:
        fault = error.what if isinstance(error, TunegateError) else str(error)
    return Rival(adapter_name=champion.adapter_name, artifact_digest=champion.artifact_digest, folder=folder, fault=fault)


def _files_of(registry: Registry, champion: Entry, version: int, cache: Path) -> Path:
    tags = registry.tags(champion.model_name, version)
    if tags is None:
        raise PromotionRefused("the champion is no longer in the registry", where=str(champion.adapter_name))
    return fetch(registry, champion.model_name, version, tags, cache) / MODEL_FOLDER
