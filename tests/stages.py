"""Real Prefect, MLflow and model servers, with versions of a model of one's own on a tiny random base."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State

from pipeline_config.environment import Machine
from tasks.deploy.client import ModelServer
from tasks.engine import open_engine
from tasks.ledger import Ledger, open_ledger
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

    def tag(self, version: int, key: str) -> str:
        return (self.registry.tags(self.model, version) or {}).get(key, "")

    def answers(self) -> str:
        with ModelServer(self.machine.server_url) as server:
            return server.chat(self.model, ASK).model


def make_stage(machine_up: Machine, tmp_path: Path, model: str) -> Stage:
    """Puts nothing into the registry yet.

    The stage's `add` takes a seed, by which versions differ, an approval policy with other keys of `registry` as `rules`, an answer as the
    one that was judged where it shall not be the version's own, and any field of `tests.versions.Candidate`.
    """
    base, registry = tiny_base(machine_up.workspace / "tiny"), MlflowRegistry(machine_up.mlflow_url)
    rows = [make_row("vpn drops", "network")]
    prepared = make_prepared(tmp_path / "prepared", rows, rows, rows)
    engine = open_engine(base, machine_up.workspace)

    def add(seed: int, approval: str = "auto", answer: str | None = None, rules: dict[str, Any] | None = None, **changes: Any) -> int:
        trained = make_trained(tmp_path / f"trained-{seed}", base, machine_up.workspace, prepared, seed)
        engine.load_adapter(str(seed), trained.artifact)
        judged = engine.answer([ASK], adapter=str(seed), max_new_tokens=8)[0].text
        config = make_config(registry={"model_name": model, "approval": approval, **(rules or {})})
        candidate = Candidate(
            tmp_path / f"candidate-{seed}",
            artifact=trained.artifact,
            config=config,
            parity=[{"messages": ASK, "answer": judged if answer is None else answer}],
            tags=approval_tags(config.registry, "rita"),
            **changes,
        )
        run = MlflowTracker(machine_up.mlflow_url).open_run("promotion", model, {})
        return candidate.register(registry, run.run_id, model)

    return Stage(machine_up, registry, open_ledger(machine_up.workspace, machine_up.ledger_url), model, add)


def ended(state: State[Any]) -> tuple[str | None, str]:
    return state.name, state.message or ""
