"""A model server on a workspace of its own, and what one asks of it."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from deployments.server.app import create_app
from tasks.ledger import Ledger
from tasks.manifest import BaseIdentity
from tests.fakes import FakeEngine
from tests.versions import MODEL, make_artifact

ASK = [{"role": "user", "content": "my vpn drops"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"ticket": 7}'}}


class Site:
    """A workspace with a ledger and a version cache, and the server on it."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self.cache = Ledger(folder / "ledger.sqlite"), folder / "versions"
        self.engines: list[FakeEngine] = []

    def open(self, base: BaseIdentity) -> FakeEngine:
        self.engines.append(FakeEngine(base.digest))
        return self.engines[-1]

    def start(self) -> TestClient:
        return TestClient(create_app(self.open, self.ledger, self.cache), raise_server_exceptions=False)

    def add(self, version: int, model: str = MODEL, **contents: Any) -> str:
        """Puts a version into the cache; returns its digest."""
        return make_artifact(self.cache / f"{model}-v{version}" / "model", weights=f"{model} {version}", **contents)

    def promote(self, version: int | None, digest: str | None = None, model: str = MODEL) -> None:
        head = self.ledger.head()
        self.ledger.append(
            model_name=model,
            version=version,
            adapter_name=f"{model}-v{version}" if version else None,
            artifact_digest=digest,
            gate_report_digest=None,
            actor="test",
            policy="auto",
            reason="a test wants it",
            expected_head=head.seq if head else 0,
        )

    def go_live(self, version: int, model: str = MODEL, **contents: Any) -> str:
        digest = self.add(version, model, **contents)
        self.promote(version, digest, model)
        return digest

    def load_body(self, version: int, **changes: str) -> dict[str, str]:
        name = f"{MODEL}-v{version}"
        return {"lora_name": name, "lora_path": str(self.cache / name / "model"), **changes}


def chat(client: TestClient, model: str = MODEL, **changes: Any) -> Any:
    return client.post("/v1/chat/completions", json={"model": model, "messages": ASK, **changes})


def answered_by(client: TestClient, model: str = MODEL) -> str:
    response = chat(client, model)
    assert response.status_code == 200, response.text
    return str(response.json()["model"])


def fault(response: Any) -> tuple[int, str]:
    """Status and code; checks that the error has OpenAI's shape."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if response.status_code >= 500 else "invalid_request_error")
    return response.status_code, error["code"]


def message(response: Any) -> str:
    return str(response.json()["error"]["message"])
