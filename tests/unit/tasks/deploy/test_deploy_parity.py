"""The switch is proven over real HTTP, against the real server with a fake engine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from deployments.server.app import create_app
from pipeline_config.errors import RolloutError, ServiceError
from tasks.deploy.client import ModelServer
from tasks.deploy.parity import ParityRow, prove_parity, read_parity
from tasks.ledger import Ledger
from tasks.rows import Message
from tests.fakes import FakeEngine
from tests.machines import free_ports
from tests.serving import serving
from tests.versions import make_artifact

ASK: tuple[Message, ...] = ({"role": "system", "content": "Sort."}, {"role": "user", "content": "my vpn drops"})
JUDGED = "routing-v1|system:Sort.|user:my vpn drops"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is live, version 2 is in the cache only."""
    folder = tmp_path_factory.mktemp("site")
    digests = [make_artifact(folder / "versions" / f"routing-v{number}" / "model", weights=str(number)) for number in (1, 2)]
    Ledger(folder / "ledger.sqlite").append(
        model_name="routing", version=1, adapter_name="routing-v1", artifact_digest=digests[0], gate_report_digest="b", actor="test",
        policy="auto", reason="", expected_head=0,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def url(workspace: Path) -> Iterator[str]:
    app = create_app(lambda base: FakeEngine(base.digest), Ledger(workspace / "ledger.sqlite"), workspace / "versions")
    with serving(app) as url:
        yield url


@pytest.fixture
def server(url: str) -> Iterator[ModelServer]:
    with ModelServer(url) as server:
        yield server


def place(workspace: Path, version: int) -> Path:
    return workspace / "versions" / f"routing-v{version}" / "model"


def test_equal_answers_prove_the_switch(server: ModelServer) -> None:
    prove_parity(server, "routing", "routing-v1", [ParityRow(messages=ASK, answer=JUDGED)] * 3)


def test_calls_and_their_results_are_asked_as_they_were_judged(server: ModelServer, tmp_path: Path) -> None:
    calls = '[{"type": "function", "function": {"name": "find", "arguments": {"ticket": "ä"}}}]'
    called: list[Message] = [{"role": "assistant", "content": "", "tool_calls": calls}, {"role": "tool", "content": "up"}]
    judged = f"{JUDGED}|assistant:{calls}|tool:up"
    path = tmp_path / "parity.jsonl"
    path.write_text(json.dumps({"messages": [*ASK, *called], "answer": judged}))
    prove_parity(server, "routing", "routing-v1", read_parity(path, 1))


def test_a_different_answer_is_named_with_how_many_there_are(server: ModelServer) -> None:
    rows = [ParityRow(messages=ASK, answer=JUDGED), ParityRow(messages=ASK, answer="hardware")]
    with pytest.raises(RolloutError, match=r"1 of 2 answers differ; the first: row 2: .* for 'hardware'"):
        prove_parity(server, "routing", "routing-v1", rows)


def test_an_answer_of_another_version_proves_nothing(server: ModelServer) -> None:
    with pytest.raises(RolloutError, match="row 1 was answered by routing-v1"):
        prove_parity(server, "routing", "routing-v2", [ParityRow(messages=ASK, answer=JUDGED)])


def test_a_model_that_is_not_served_fails_the_proof_with_the_servers_words(server: ModelServer) -> None:
    with pytest.raises(RolloutError, match="'intents' does not exist here"):
        prove_parity(server, "intents", "intents-v1", [ParityRow(messages=ASK, answer=JUDGED)])


def test_a_server_that_is_down_fails_the_proof() -> None:
    with ModelServer(f"http://127.0.0.1:{free_ports(1)[0]}") as server, pytest.raises(RolloutError, match="cannot be reached"):
        prove_parity(server, "routing", "routing-v1", [ParityRow(messages=ASK, answer=JUDGED)])


def test_loading_and_unloading_can_be_repeated(server: ModelServer, workspace: Path) -> None:
    for _ in range(2):
        server.load("routing-v2", place(workspace, 2))
    assert "routing-v2" in server.models()
    for _ in range(2):
        server.unload("routing-v2")
    assert "routing-v2" not in server.models()


def test_what_the_server_refuses_to_load_or_unload_is_reported(server: ModelServer, workspace: Path) -> None:
    with pytest.raises(ServiceError, match="has no manifest"):
        server.load("routing-v3", place(workspace, 3))
    with pytest.raises(ServiceError, match="is live"):
        server.unload("routing-v1")


def test_another_service_on_the_port_is_recognised() -> None:
    other = FastAPI()
    other.get("/health")(lambda: {"status": "ok"})
    with serving(other) as url, ModelServer(url) as server:
        with pytest.raises(ServiceError, match="another service answers"):
            server.health()
        with pytest.raises(ServiceError, match="answered 404"):
            server.chat("routing", ASK)


def test_an_answer_of_another_shape_is_reported() -> None:
    other = FastAPI()
    other.post("/v1/chat/completions")(lambda: {"choices": []})
    with serving(other) as url, ModelServer(url) as server, pytest.raises(ServiceError, match="has another shape"):
        server.chat("routing", ASK)


def test_reads_as_many_rows_as_asked_for_whatever_characters_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "parity.jsonl"
    rows = [{"messages": ASK, "answer": f"a\u2028b\x85{number}"} for number in range(3)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert [row.answer for row in read_parity(path, 2)] == ["a\u2028b\x850", "a\u2028b\x851"]
    assert len(read_parity(path, 20)) == 3


@pytest.mark.parametrize("content", [None, "", "{", '{"messages": []}', "[1]"])
def test_a_version_without_usable_test_answers_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "parity.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RolloutError, match="test answers"):
        read_parity(path, 20)
