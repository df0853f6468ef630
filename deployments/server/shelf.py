"""Which adapters are in memory, and which of them a requested name means. What is live is read from the ledger, every time."""

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline_config.errors import ModelError, TunegateError
from tasks.generation import Engine
from tasks.ledger import Entry, Ledger
from tasks.manifest import BaseIdentity, BaseKey, Manifest, read_manifest
from tasks.methods import find_method
from tasks.rows import Message

Mask = Callable[[Sequence[Message]], tuple[list[Message], Mapping[str, int]]]
"""Messages as a version's training rows were, and how many of each kind of personal data were masked."""

CHAMPION = "champion"
"""Name of whatever the ledger's last decision made live."""

MODEL_FOLDER = "model"
"""Where a version's copy has its artifact."""
_SPARE_ADAPTERS = 8
"""Adapters that stay in memory although they are not live."""

_log = logging.getLogger(__name__)


class NameUnknownError(Exception):
    """Nobody answers to this name."""


class NotServableError(Exception):
    """The ledger says that a version is live, but this server cannot load it, or that none is."""


@dataclass(frozen=True)
class Loaded:
    """An adapter in memory, and what masks the messages that it is asked."""

    name: str
    manifest: Manifest
    engine: Engine
    mask: Mask


class Shelf:
    """Loads adapters when they are asked for, under versioned names that are never used again.

    Two locks: `_changing` is held while adapters come and go, which may take seconds; `_books` guards the books, and is never held long.
    Whoever takes both takes `_changing` first.

    Args:
        open_engine: opens a base in its precision; called once for each that versions need.
        cache: folder of verified version copies, `<adapter name>/model` for each.
    """

    def __init__(self, open_engine: Callable[[BaseIdentity], Engine], ledger: Ledger, cache: Path) -> None:
        self._open_engine, self._ledger, self._cache = open_engine, ledger, cache.resolve()
        self._engines: dict[BaseKey, Engine] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._uses: Counter[str] = Counter()
        self._changing = threading.Lock()
        self._books = threading.Condition()

    @contextmanager
    def lease(self, name: str) -> Iterator[Loaded]:
        """The adapter that a name means now, loaded if need be. It is not forgotten before the caller is done.

        Args:
            name: an adapter's name, a registered model's name (its live version), or `champion`.

        Raises:
            NameUnknownError: no adapter and no model has this name.
            NotServableError: the live version cannot be loaded. An older one never answers in its place.
            LedgerError: the ledger cannot be read.
        """
        loaded = self._take(*self._meaning(name))
        try:
            yield loaded
        finally:
            with self._books:
                self._uses[loaded.name] -= 1
                self._books.notify_all()

    def load(self, name: str, folder: Path) -> None:
        """Loads a version by hand, from its own place in the cache only, so that a name never means other bytes.

        Raises:
            ModelError: the name is taken or reserved, or the folder lies elsewhere or is not what its manifest says.
        """
        live = self._ledger.live_by_model()
        if name == CHAMPION or name in live:
            raise ModelError(f"{name!r} is a name that the ledger decides on", where="lora_name", expected="the name of a version")
        place = self._cache / name / MODEL_FOLDER
        if folder.resolve() != place:
            raise ModelError(f"got {folder}", where="lora_path", expected=f"the version's copy that promotion has checked, {place}")
        digest = next((entry.artifact_digest for entry in live.values() if entry.adapter_name == name), None)
        with self._changing:
            if name in self._loaded:
                raise ModelError(f"an adapter is loaded as {name!r} already", where="lora_name", expected="a new name")
            self._load(name, digest)

    def unload(self, name: str) -> None:
        """Forgets an adapter, once the answers that it is giving are finished.

        Raises:
            NameUnknownError: it is not loaded.
            ModelError: it is live.
        """
        with self._changing:
            if name not in self._loaded:
                raise NameUnknownError(name)
            if name in self._live_names():
                raise ModelError(
                    f"{name} is live", where="lora_name", expected="an adapter that the ledger does not name", hint="roll back first"
                )
            self._forget(name)

    def adapters(self) -> list[str]:
        """Names of the adapters in memory."""
        with self._books:
            return sorted(self._loaded)

    def masks(self) -> dict[str, list[str]]:
        """For each adapter in memory, the kinds of personal data that are masked in what it is asked."""
        with self._books:
            return {name: list(loaded.manifest.masked_kinds) for name, loaded in self._loaded.items()}

    def names(self) -> dict[str, str]:
        """Every name that can be asked for, and the adapter behind it."""
        live = {model: entry.adapter_name for model, entry in self._ledger.live_by_model().items() if entry.adapter_name is not None}
        newest = self._ledger.newest()
        champion = {CHAMPION: newest.adapter_name} if newest is not None and newest.adapter_name is not None else {}
        return {name: name for name in [*self.adapters(), *live.values()]} | champion | live

    def load_live(self) -> None:
        """Loads what the ledger says is live, the champion's base first.

        What cannot be loaded is logged, and tried again when somebody asks for it.
        """
        try:
            newest_first = sorted(self._ledger.live_by_model().items(), key=lambda item: -item[1].seq)
        except TunegateError:
            _log.exception("the ledger cannot be read")
            return
        for model, entry in newest_first:
            if entry.adapter_name is None:
                continue
            try:
                with self.lease(model):
                    _log.info("%s serves %s", model, entry.adapter_name)
            except (NameUnknownError, NotServableError, TunegateError) as error:
                _log.error("%s cannot be served: %s", model, error)

    def _meaning(self, name: str) -> tuple[str, str | None]:
        """Adapter name and artifact digest that a name stands for; the digest is null if the ledger has no say in it."""
        if name == CHAMPION:
            newest = self._ledger.newest()
            if newest is None:
                raise NotServableError("nothing was promoted yet")
            return _live_version(newest)
        live = self._ledger.live_by_model()
        if name in live:
            return _live_version(live[name])
        named = next((entry for entry in live.values() if entry.adapter_name == name), None)
        if named is not None:
            return _live_version(named)
        if name not in self.adapters():
            raise NameUnknownError(name)
        return name, None

    def _take(self, name: str, digest: str | None) -> Loaded:
        while (loaded := self._take_loaded(name, digest)) is None:
            with self._changing:
                self._load_live_version(name, digest)
        return loaded

    def _take_loaded(self, name: str, digest: str | None) -> Loaded | None:
        with self._books:
            loaded = self._loaded.get(name)
            if loaded is None or digest not in (None, loaded.manifest.digest):
                return None
            self._loaded.move_to_end(name)
            self._uses[name] += 1
            return loaded

    def _load_live_version(self, name: str, digest: str | None) -> None:
        if digest is None:
            raise NameUnknownError(name)
        present = self._loaded.get(name)
        if present is not None and present.manifest.digest == digest:
            return  # somebody else was faster
        try:
            if present is not None:
                self._forget(name)
            self._load(name, digest)
        # Whatever goes wrong here, the caller has to learn that the live version does not answer, and why.
        except Exception as error:
            _log.exception("the live version %s cannot be loaded", name)
            reason = error.what if isinstance(error, TunegateError) else f"{type(error).__name__}: {error}"
            raise NotServableError(f"the live version {name} cannot be loaded: {reason}") from error

    def _load(self, name: str, digest: str | None) -> None:
        artifact = self._cache / name / MODEL_FOLDER
        manifest = read_manifest(artifact)
        if digest not in (None, manifest.digest):
            raise ModelError(
                f"the copy of {name} is artifact {manifest.digest[:12]}", where=str(artifact), expected=f"artifact {str(digest)[:12]}"
            )
        mask = _mask_for(manifest)
        engine = self._engine_for(manifest.base)
        engine.load_adapter(name, artifact)
        with self._books:
            self._loaded[name] = Loaded(name, manifest, engine, mask)
        self._evict()

    def _engine_for(self, base: BaseIdentity) -> Engine:
        """The engine that holds a base in the version's precision, opened if it is the first version that needs it."""
        if base.key not in self._engines:
            engine = self._open_engine(base)
            if engine.base_digest != base.digest:
                raise ModelError(
                    f"the version needs base {base.digest[:12]} ({base.name_or_path})", where="model server",
                    expected=f"base {engine.base_digest[:12]}, which lies there now",
                    hint="put the base back that the version was trained on",
                )  # fmt: skip
            self._engines[base.key] = engine
        return self._engines[base.key]

    def _close_idle_engines(self) -> None:
        """Lets go of bases that no version in memory needs any more; the one that was used last stays."""
        with self._books:
            needed = {loaded.manifest.base.key for loaded in self._loaded.values()}
        if needed:
            self._engines = {key: engine for key, engine in self._engines.items() if key in needed}

    def _evict(self) -> None:
        """Forgets the adapters that were idle longest, beyond those that are live and a few spare ones; whole models at once."""
        live = self._live_names()
        with self._books:
            spare = [name for name in self._loaded if name not in live]
            idle = [name for name in spare[:-1] if not self._uses[name]]
            whole = {name for name in idle if find_method(self._loaded[name].manifest.method).own_tree}
        excess = set(idle[: max(0, len(spare) - _SPARE_ADAPTERS)])
        for name in [name for name in idle if name in excess | whole]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        """Takes an adapter off the books at once, and out of memory when its last answer is given."""
        with self._books:
            loaded = self._loaded.pop(name)
            self._books.wait_for(lambda: not self._uses[name])
            del self._uses[name]
        loaded.engine.unload_adapter(name)
        self._close_idle_engines()

    def _live_names(self) -> set[str]:
        return {entry.adapter_name for entry in self._ledger.live_by_model().values() if entry.adapter_name is not None}


def _mask_for(manifest: Manifest) -> Mask:
    """What masks a version's requests, ready before the version is served: a server that cannot mask does not load it.

    Raises:
        ModelError: masking cannot be imported here.
    """
    kinds = manifest.masked_kinds
    if not kinds:
        return lambda messages: (list(messages), {})
    try:
        from tasks.masking import mask_messages  # it brings detect-secrets, which most servers never need
    except ImportError as error:
        raise ModelError(
            f"this server cannot mask {', '.join(kinds)}: {error}", where="model server",
            expected="what was masked in training to be masked in requests", hint="install tunegate with all it requires",
        ) from error  # fmt: skip

    def mask(messages: Sequence[Message]) -> tuple[list[Message], Mapping[str, int]]:
        masked = mask_messages(messages, kinds)
        return masked.messages, {str(kind): count for kind, count in masked.counts.items()}

    return mask


def _live_version(entry: Entry) -> tuple[str, str | None]:
    if entry.adapter_name is None:
        raise NotServableError(f"no version of {entry.model_name} is live: {entry.reason}")
    return entry.adapter_name, entry.artifact_digest
