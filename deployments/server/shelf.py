"""Which adapters are in memory, and which of them a requested name means. What is live is read from the ledger, every time."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline_config.errors import LedgerError, ModelError
from tasks.generation import Engine
from tasks.ledger import Entry, Ledger
from tasks.manifest import BaseIdentity, Manifest, read_manifest

CHAMPION = "champion"
"""Name of whatever the ledger's last entry made live."""

MODEL_FOLDER = "model"
_SPARE_ADAPTERS = 8
"""Adapters that stay in memory although they are not live."""


class NameUnknownError(Exception):
    """Nobody answers to this name."""


class NotServableError(Exception):
    """The ledger says that a version is live, but this server cannot load it."""


@dataclass(frozen=True)
class Loaded:
    """An adapter in memory."""

    name: str
    manifest: Manifest
    engine: Engine


class Shelf:
    """Loads adapters when they are asked for, under versioned names that are never used again.

    Args:
        open_engine: opens a base; called once, for the first version's base.
        cache: folder of verified version copies, one folder for each adapter name.
    """

    def __init__(self, open_engine: Callable[[BaseIdentity], Engine], ledger: Ledger, cache: Path) -> None:
        self._open_engine, self._ledger, self._cache = open_engine, ledger, cache.resolve()
        self._engine: Engine | None = None
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.RLock()

    def find(self, name: str) -> Loaded:
        """The adapter that a name means now, loaded if need be.

        Args:
            name: an adapter's name, a registered model's name (its live version), or `champion`.

        Raises:
            NameUnknownError: no adapter and no model has this name.
            NotServableError: the live version cannot be loaded. An older one never answers in its place.
        """
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
                return self._loaded[name]
            entry = self._ledger.head() if name == CHAMPION else self._ledger.live(name)
            if entry is None:
                raise NameUnknownError(name)
            return self._live(entry)

    def load(self, name: str, folder: Path) -> None:
        """Loads an adapter by hand, from the version cache only.

        Raises:
            ModelError: the name is taken or reserved, or the folder lies elsewhere or is not what its manifest says.
        """
        artifact = folder.resolve()
        if name == CHAMPION or name in self._ledger.models():
            raise ModelError(f"{name!r} is a name that the ledger decides on", where="lora_name", expected="the name of a version")
        if not artifact.is_relative_to(self._cache):
            raise ModelError("the folder lies outside the version cache", where="lora_path", expected="a folder that promotion has checked")
        with self._lock:
            if name in self._loaded:
                raise ModelError(f"an adapter is loaded as {name!r} already", where="lora_name", expected="a new name")
            self._load(name, artifact)

    def unload(self, name: str) -> None:
        """Forgets an adapter.

        Raises:
            NameUnknownError: it is not loaded.
            ModelError: it is live.
        """
        with self._lock:
            if name not in self._loaded:
                raise NameUnknownError(name)
            if name in self._live_names():
                raise ModelError(
                    f"{name} is live", where="lora_name", expected="an adapter that the ledger does not name", hint="roll back first"
                )
            self._forget(name)

    def names(self) -> dict[str, str]:
        """Every name that can be asked for, and the adapter behind it."""
        with self._lock:
            names = {name: name for name in self._loaded}
            live = {
                model: entry.adapter_name for model in self._ledger.models() if (entry := self._ledger.live(model)) and entry.adapter_name
            }
            head = self._ledger.head()
            if head is not None and head.adapter_name is not None:
                names[CHAMPION] = head.adapter_name
            return names | live

    def load_live(self) -> list[str]:
        """Loads what the ledger says is live; returns what could not be, with the reason. Called once, at the start."""
        faults = []
        for model in self._ledger.models():
            try:
                self.find(model)
            except (NameUnknownError, NotServableError, LedgerError) as error:
                faults.append(f"{model}: {error}")
        return faults

    def _live(self, entry: Entry) -> Loaded:
        if entry.adapter_name is None:
            raise NotServableError(f"no version of {entry.model_name} is live: {entry.reason}")
        loaded = self._loaded.get(entry.adapter_name)
        if loaded is None:
            try:
                loaded = self._load(entry.adapter_name, self._cache / entry.adapter_name / MODEL_FOLDER)
            except ModelError as error:
                raise NotServableError(f"the live version {entry.adapter_name} cannot be loaded: {error.what}") from error
        if loaded.manifest.digest != entry.artifact_digest:
            self._forget(entry.adapter_name)
            raise NotServableError(f"the copy of {entry.adapter_name} is not the artifact that was approved")
        self._loaded.move_to_end(entry.adapter_name)
        return loaded

    def _load(self, name: str, artifact: Path) -> Loaded:
        manifest = read_manifest(artifact)
        if self._engine is None:
            self._engine = self._open_engine(manifest.base)
        self._engine.load_adapter(name, artifact)
        self._loaded[name] = loaded = Loaded(name, manifest, self._engine)
        self._evict()
        return loaded

    def _evict(self) -> None:
        live = self._live_names()
        spare = [name for name in self._loaded if name not in live]
        for name in spare[: max(0, len(spare) - _SPARE_ADAPTERS)]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._loaded.pop(name).engine.unload_adapter(name)

    def _live_names(self) -> set[str]:
        entries = (self._ledger.live(model) for model in self._ledger.models())
        return {entry.adapter_name for entry in entries if entry is not None and entry.adapter_name is not None}
