"""Real servers, and versions on a tiny random base to send through them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_config.environment import Machine
from tasks.deploy.client import ModelServer
from tasks.engine import open_engine
from tasks.files import ledger_path
from tasks.ledger import Ledger
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.reviewing import approval_tags
from tasks.rows import Message
from tests.builders import INSTRUCTION, make_prepared, make_row, make_trained, tiny_base
from tests.versions import Candidate, make_config

ASK: list[Message] = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "the vpn drops every hour"}]


@dataclass
class Stage:
    """Real servers, and a way to put versions of a model of one's own into the registry."""

    machine: Machine
    registry: MlflowRegistry
    ledger: Ledger
    model: str
    add: Callable[..., int]

    def live(self) -> str | None:
        entry = self.ledger.live(self.model)
        return entry.adapter_name if entry else None

    def answers(self) -> str:
        with ModelServer(self.machine.server_url) as server:
            return server.chat(self.model, ASK).model

    def tag(self, version: int, key: str) -> str:
        return (self.registry.tags(self.model, version) or {}).get(key, "")


def open_stage(machine: Machine, folder: Path, model: str) -> Stage:
    """A stage for one model.

    Its `add` takes a seed, by which versions differ, an approval policy with any other key of `registry`, another answer than the version
    gives as the one that was judged, and any field of `tests.versions.Candidate`.
    """
    base, registry = tiny_base(machine.workspace / "tiny"), MlflowRegistry(machine.mlflow_url)
    rows = [make_row("vpn drops", "network")]
    prepared = make_prepared(folder / "prepared", rows, rows, rows)
    engine = open_engine(base, machine.workspace)

    def add(seed: int, approval: str = "auto", answer: str | None = None, rules: dict[str, Any] | None = None, **changes: Any) -> int:
        trained = make_trained(folder / f"trained-{seed}", base, machine.workspace, prepared, seed)
        engine.load_adapter(str(seed), trained.artifact)
        judged = engine.answer([ASK], adapter=str(seed), max_new_tokens=8)[0].text
        config = make_config(registry={"model_name": model, "approval": approval, **(rules or {})})
        candidate = Candidate(
            folder / f"candidate-{seed}",
            artifact=trained.artifact,
            config=config,
            parity=[{"messages": ASK, "answer": judged if answer is None else answer}],
            tags=approval_tags(config.registry, "rita"),
            **changes,
        )
        run = MlflowTracker(machine.mlflow_url).open_run("promotion", model, {})
        return candidate.register(registry, run.run_id, model)

    return Stage(machine, registry, Ledger(ledger_path(machine.workspace)), model, add)
