"""The steps of promotion, rollback and reconciling, as the flows have them but without Prefect, on ports that can be cut off."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pipeline_config.errors import LedgerError, PromotionRefused, RegistryError, RolloutError, ServiceError, TunegateError
from tasks.deploy.client import ModelServer
from tasks.deploy.parity import prove_parity, read_parity
from tasks.deploy.switch import follow, load
from tasks.ledger import Ledger
from tasks.registry.approval import Approval
from tasks.registry.port import Registry, adapter_name
from tasks.registry.promote import decided, go_back, is_live, note_rolled_out, promote, rollback_target, undo, was_rolled_out
from tasks.registry.reconcile import Healed, known_models, reconcile
from tasks.registry.verdict import Evidence, verified_evidence
from tests.versions import MODEL

APPROVED = Approval(state="approved", policy="auto", actor="policy auto (no person)", reason="every gate passed")

Port = TypeVar("Port")
Manner = Literal["killed", "lost", "down"]
"""How a call ends: the process is gone after it; it was done and its answer is lost; from then on nothing is done and nothing answers."""


class Killed(BaseException):
    """The process ends here: no handler of errors sees this."""


class Fuse:
    """Counts the calls of the ports that it is put into, and ends one of them badly.

    Args:
        at: number of that call, from one; null: none.
    """

    def __init__(self, at: int | None = None, manner: Manner = "killed") -> None:
        self.at, self.manner, self.calls, self.blown = at, manner, 0, ""

    def put_into(self, port: Port, error: type[TunegateError]) -> Port:
        return cast(Port, _Fused(port, error, self))


@dataclass
class _Fused:
    """A port. `error` is what it raises when it does not answer."""

    port: Any
    error: type[TunegateError]
    fuse: Fuse
    down: bool = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)
        return (lambda *args, **kwargs: self._call(name, method, args, kwargs)) if callable(method) else method

    def _call(self, name: str, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.down:
            raise self.error(f"no answer to {name}")
        self.fuse.calls += 1
        if self.fuse.calls != self.fuse.at:
            return method(*args, **kwargs)
        self.fuse.blown = f"{type(self.port).__name__}.{name}"
        if self.fuse.manner == "down":
            self.down = True
            raise self.error(f"no answer to {name}")
        method(*args, **kwargs)
        raise Killed if self.fuse.manner == "killed" else self.error(f"the answer to {name} was lost")


@dataclass(frozen=True)
class Ports:
    """All that the steps talk to, and the folders of this machine."""

    registry: Registry
    ledger: Ledger
    server: ModelServer
    cache: Path
    lock: Path

    def fused(self, fuse: Fuse) -> "Ports":
        return replace(
            self,
            registry=fuse.put_into(self.registry, RegistryError),
            ledger=fuse.put_into(self.ledger, LedgerError),
            server=fuse.put_into(self.server, ServiceError),
        )


def promotion(ports: Ports, version: int) -> None:
    """`flows.promotion`, once it is approved."""
    seen = decided(ports.ledger, MODEL)
    evidence = verify(ports, version)
    promote(ports.registry, ports.ledger, evidence, APPROVED, seen, ports.lock)
    rollout(ports, version)


def rollback(ports: Ports, version: int | None = None) -> None:
    """`flows.rollback`."""
    target = rollback_target(ports.registry, ports.ledger, MODEL, version)
    evidence = verify(ports, target.version)
    go_back(ports.registry, ports.ledger, evidence, target, "a person", "it was better", ports.lock)
    rollout(ports, target.version)


def rollout(ports: Ports, version: int) -> None:
    """`flows.rollout`."""
    evidence = verify(ports, version)
    if not is_live(ports.ledger.live(MODEL), evidence):
        raise PromotionRefused("it is not live")
    proven = was_rolled_out(ports.registry, ports.ledger, MODEL)
    try:
        load(ports.server, evidence.adapter_name, evidence.artifact)
        prove_parity(ports.server, MODEL, evidence.adapter_name, read_parity(evidence.parity, evidence.deployment.parity_rows))
    except RolloutError as fault:
        if proven:
            raise
        live = undo(ports.registry, ports.ledger, evidence, fault.what, ports.lock)
        with suppress(ServiceError):
            follow(ports.server, evidence.adapter_name, live, ports.cache)
        raise
    note_rolled_out(ports.registry, ports.ledger, evidence)


def reconciling(ports: Ports) -> None:
    """`flows.reconcile`."""
    for model_name in known_models(ports.registry, ports.ledger).ours:
        _serve(ports, reconcile(ports.registry, ports.ledger, model_name, ports.lock))


def _serve(ports: Ports, healed: Healed) -> None:
    loaded = ports.server.adapters()
    if healed.withdrawn is not None and healed.withdrawn in loaded:
        ports.server.unload(healed.withdrawn)
    if healed.live is None:
        return
    if not healed.rolled_out:
        with suppress(RolloutError):  # it was taken back then, and that is what holds
            rollout(ports, healed.live)
    elif adapter_name(MODEL, healed.live) not in loaded:
        evidence = verify(ports, healed.live)
        load(ports.server, evidence.adapter_name, evidence.artifact)


def verify(ports: Ports, version: int) -> Evidence:
    return verified_evidence(ports.registry, MODEL, version, ports.cache)


def points(start: Callable[[], Ports], run: Callable[[Ports], None], manner: Manner = "killed") -> Iterator[tuple[str, Ports]]:
    """Runs something from the same beginning again and again, cut off after its first call, its second, and so on until it gets through.

    Yields:
        Where it was cut off, and the ports as that left them.
    """
    at = 0
    while True:
        at += 1
        ports, fuse = start(), Fuse(at, manner)
        with suppress(Killed, TunegateError):
            run(ports.fused(fuse))
        if not fuse.blown:
            return
        yield f"call {at}, {fuse.blown}", ports
