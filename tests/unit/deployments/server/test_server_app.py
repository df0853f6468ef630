"""The model server: what the ledger says is live is what answers; what cannot be obeyed is refused."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deployments.server.app import create_app
from tasks.ledger import Ledger
from tasks.manifest import BaseIdentity
from tests.fakes import FakeEngine
from tests.versions import BASE, INSTRUCTION, MODEL, make_artifact

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


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with site.start() as client:
        yield client


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


def test_says_who_it_is_with_nothing_live_and_no_base_in_memory(site: Site, client: TestClient) -> None:
    assert client.get("/health").json() == {"service": "tunegate-model-server", "status": "ok", "adapters": []}
    assert site.engines == []


def test_is_well_even_if_the_ledger_is_not(site: Site, client: TestClient) -> None:
    Path(site.ledger.where).unlink()
    assert client.get("/health").status_code == 200


def test_answers_in_openais_shape(site: Site, client: TestClient) -> None:
    site.go_live(1)
    body = chat(client, messages=[{"role": "system", "content": "Sort."}, *ASK]).json()
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": "routing-v1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "routing-v1|system:Sort.|user:my vpn drops"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
    }


def test_the_constant_instruction_is_added_only_where_no_system_turn_is(site: Site, client: TestClient) -> None:
    site.go_live(1)
    text = chat(client).json()["choices"][0]["message"]["content"]
    assert text == f"routing-v1|system:{INSTRUCTION}|user:my vpn drops"


def test_no_system_turn_is_added_for_a_version_without_an_instruction(site: Site, client: TestClient) -> None:
    site.go_live(1, instruction=None)
    assert chat(client).json()["choices"][0]["message"]["content"] == "routing-v1|user:my vpn drops"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_ends_at_the_limit_of_the_request(site: Site, client: TestClient, name: str) -> None:
    site.go_live(1, instruction=None)
    choice = chat(client, **{name: 2}).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("routing-v1|user:my vpn", "length")


def test_without_a_limit_the_manifests_holds(site: Site, client: TestClient) -> None:
    site.go_live(1, instruction=None)
    long = [{"role": "user", "content": " ".join(["word"] * 40)}]
    assert chat(client, messages=long).json()["usage"]["completion_tokens"] == 16


def test_an_entry_in_the_ledger_alone_switches_what_answers(site: Site, client: TestClient) -> None:
    site.go_live(1)
    assert answered_by(client) == answered_by(client, "champion") == "routing-v1"
    site.go_live(2)
    assert answered_by(client) == answered_by(client, "champion") == "routing-v2"
    assert answered_by(client, "routing-v1") == "routing-v1"
    assert len(site.engines) == 1


def test_champion_is_the_head_over_all_models(site: Site, client: TestClient) -> None:
    site.go_live(1)
    site.go_live(1, "intents")
    assert answered_by(client, "champion") == "intents-v1"
    assert answered_by(client) == "routing-v1"


def test_comes_back_with_its_champions_after_a_restart(site: Site, client: TestClient) -> None:
    site.go_live(1)
    site.go_live(1, "intents")
    answered_by(client)
    with site.start() as restarted:
        assert restarted.get("/health").json()["adapters"] == ["intents-v1", "routing-v1"]
        assert answered_by(restarted, "champion") == "intents-v1"


def test_starts_although_a_live_version_cannot_be_loaded(site: Site) -> None:
    site.go_live(1)
    site.promote(1, "0" * 64, "intents")
    with site.start() as client:
        assert answered_by(client) == "routing-v1"
        assert fault(chat(client, "intents")) == (503, "live_version_not_servable")


def test_starts_although_the_ledger_is_broken(site: Site) -> None:
    site.go_live(1)
    break_ledger(site)
    with site.start() as client:
        assert fault(chat(client)) == (503, "ledger_not_usable")
        assert fault(client.get("/v1/models")) == (503, "ledger_not_usable")


def break_ledger(site: Site) -> None:
    with sqlite3.connect(site.ledger.where) as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("UPDATE entries SET version = 9")
    connection.close()


def test_a_version_that_is_live_but_not_here_is_never_replaced_by_an_older_one(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    site.promote(2, "0" * 64)
    for name in (MODEL, "champion", "routing-v2"):
        response = chat(client, name)
        assert fault(response) == (503, "live_version_not_servable")
        assert "routing-v2 cannot be loaded" in message(response)
    site.promote(1, site.ledger.entries()[0].artifact_digest)
    assert answered_by(client) == "routing-v1"


def test_a_copy_with_other_bytes_than_the_ledger_names_is_not_served(site: Site, client: TestClient) -> None:
    site.add(1)
    site.promote(1, "0" * 64)
    assert "is artifact" in message(chat(client))


def test_a_copy_that_does_not_match_its_manifest_is_not_served(site: Site, client: TestClient) -> None:
    site.go_live(1)
    (site.cache / "routing-v1" / "model" / "adapter_model.safetensors").write_text("other")
    assert "do not match the manifest" in message(chat(client))


def test_a_name_that_was_loaded_with_other_bytes_is_loaded_anew_when_it_goes_live(site: Site, client: TestClient) -> None:
    site.add(1)
    assert client.post("/v1/load_lora_adapter", json=site.load_body(1)).status_code == 200
    shutil.rmtree(site.cache / "routing-v1")
    digest = make_artifact(site.cache / "routing-v1" / "model", weights="the approved ones", instruction="Approved.")
    site.promote(1, digest)
    assert chat(client).json()["choices"][0]["message"]["content"] == "routing-v1|system:Approved.|user:my vpn drops"


def test_after_an_undo_that_leaves_nothing_the_server_says_so(site: Site, client: TestClient) -> None:
    site.go_live(1)
    site.promote(None)
    for name in (MODEL, "champion"):
        assert fault(chat(client, name)) == (503, "live_version_not_servable")
    assert "no version of routing is live" in message(chat(client))


def test_champion_of_an_empty_ledger_is_not_servable(client: TestClient) -> None:
    assert fault(chat(client, "champion")) == (503, "live_version_not_servable")


def test_an_unknown_name_is_not_found(site: Site, client: TestClient) -> None:
    site.go_live(1)
    assert fault(chat(client, "routing-v7")) == (404, "model_not_found")


def test_lists_every_name_with_the_adapter_behind_it(site: Site, client: TestClient) -> None:
    site.go_live(1)
    site.add(2)
    client.post("/v1/load_lora_adapter", json=site.load_body(2))
    listed = client.get("/v1/models").json()
    assert {model["id"]: model["root"] for model in listed["data"]} == {
        "champion": "routing-v1",
        "routing": "routing-v1",
        "routing-v1": "routing-v1",
        "routing-v2": "routing-v2",
    }
    assert listed["object"] == "list"
    assert all(model["object"] == "model" and model["owned_by"] == "tunegate" for model in listed["data"])


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"temperature": 0.7}, "temperature"),
        ({"n": 2}, "n"),
        ({"stream": True}, "stream"),
        ({"top_p": 0.9}, "top_p"),
        ({"stop": ["\n"]}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"tools": []}, "tools"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "vpn"}]}, "messages"),
        ({"messages": [*ASK, {"role": "system", "content": "Sort."}, *ASK]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [*ASK, {"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages.0"),
        ({"messages": [*ASK, {"role": "assistant", "tool_calls": [{"type": "function"}]}, *ASK]}, "messages.1"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "me"}]}, "messages.0.name"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, None),
    ],
)
def test_what_would_not_be_obeyed_is_refused(site: Site, client: TestClient, changes: dict[str, Any], param: str | None) -> None:
    site.go_live(1)
    response = chat(client, **changes)
    assert fault(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param


def test_calls_and_their_results_reach_the_model(site: Site, client: TestClient) -> None:
    site.go_live(1, instruction=None)
    turns = [*ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "up", "tool_call_id": "c1"}]
    text = chat(client, messages=turns, max_tokens=100).json()["choices"][0]["message"]["content"]
    known = '[{"id": "c1", "type": "function", "function": {"name": "find", "arguments": {"ticket": 7}}}]'
    assert text == f"routing-v1|user:my vpn drops|assistant:{known}|tool:up"


def test_settings_that_change_nothing_are_accepted(site: Site, client: TestClient) -> None:
    site.go_live(1)
    neutral = {"temperature": 0, "top_p": 1, "n": 1, "stream": False, "stop": None, "seed": 7, "user": "me", "frequency_penalty": 0.0}
    assert chat(client, **neutral).status_code == 200


def test_errors_of_the_protocol_have_the_same_shape(client: TestClient) -> None:
    assert fault(client.get("/v1/nothing")) == (404, "invalid_request")
    assert fault(client.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})) == (
        400,
        "invalid_request",
    )


def test_an_unexpected_error_is_a_500_without_details(site: Site, client: TestClient, tmp_path: Path) -> None:
    site.go_live(1)
    answered_by(client)
    site.engines[0].answer = None  # type: ignore[assignment, method-assign]
    response = chat(client)
    assert fault(response) == (500, "internal_error")


def test_a_version_can_be_loaded_and_unloaded_by_hand(site: Site, client: TestClient) -> None:
    site.add(2)
    assert client.post("/v1/load_lora_adapter", json=site.load_body(2)).text == "Success: LoRA adapter 'routing-v2' added successfully."
    assert answered_by(client, "routing-v2") == "routing-v2"
    response = client.post("/v1/unload_lora_adapter", json={"lora_name": "routing-v2"})
    assert response.text == "Success: LoRA adapter 'routing-v2' removed successfully."
    assert fault(chat(client, "routing-v2")) == (404, "model_not_found")
    assert site.engines[0].adapters() == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_name": "champion"},
        {"lora_name": MODEL},
        {"lora_name": "routing-v3"},
        {"lora_name": "../routing-v2"},
        {"lora_path": "/etc"},
        {"lora_path": "relative"},
    ],
)
def test_a_name_only_ever_means_its_own_version(site: Site, client: TestClient, changes: dict[str, str]) -> None:
    site.go_live(1)
    site.add(2)
    assert fault(client.post("/v1/load_lora_adapter", json=site.load_body(2, **changes))) == (400, "adapter_refused")


@pytest.mark.parametrize("name", ["champion", MODEL])
def test_a_name_that_the_ledger_decides_on_cannot_be_taken(site: Site, client: TestClient, name: str) -> None:
    site.go_live(1)
    make_artifact(site.cache / name / "model")
    body = {"lora_name": name, "lora_path": str(site.cache / name / "model")}
    assert fault(client.post("/v1/load_lora_adapter", json=body)) == (400, "adapter_refused")


def test_a_link_out_of_the_cache_is_refused(site: Site, client: TestClient, tmp_path: Path) -> None:
    make_artifact(tmp_path / "outside" / "model")
    site.cache.mkdir()
    (site.cache / "routing-v2").symlink_to(tmp_path / "outside")
    assert fault(client.post("/v1/load_lora_adapter", json=site.load_body(2))) == (400, "adapter_refused")


def test_damaged_and_missing_versions_are_refused(site: Site, client: TestClient) -> None:
    site.add(2)
    (site.cache / "routing-v2" / "model" / "adapter_config.json").write_text("[]")
    for version in (2, 3):
        assert fault(client.post("/v1/load_lora_adapter", json=site.load_body(version))) == (400, "adapter_refused")


def test_loading_twice_and_unloading_what_is_not_there_is_refused(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    assert fault(client.post("/v1/load_lora_adapter", json=site.load_body(1))) == (400, "adapter_refused")
    assert fault(client.post("/v1/unload_lora_adapter", json={"lora_name": "routing-v9"})) == (404, "model_not_found")


def test_a_live_version_cannot_be_unloaded(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    response = client.post("/v1/unload_lora_adapter", json={"lora_name": "routing-v1"})
    assert fault(response) == (400, "adapter_refused")
    assert "is live" in message(response)
    assert answered_by(client) == "routing-v1"


OTHERS = {
    "another base": {"digest": "0" * 64},
    "another dtype": {"dtype": "bfloat16"},
    "another quantisation": {"quantization": "nf4"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_each_base_in_each_precision_has_an_engine_of_its_own(site: Site, client: TestClient, other: dict[str, str]) -> None:
    site.go_live(1)
    answered_by(client)
    site.go_live(1, "intents", base=BASE.model_copy(update=other))
    assert answered_by(client, "intents") == "intents-v1"
    assert answered_by(client, MODEL) == "routing-v1"
    assert [engine.adapters() for engine in site.engines] == [("routing-v1",), ("intents-v1",)]


def test_a_base_by_another_name_is_the_same_base(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    site.go_live(1, "intents", base=BASE.model_copy(update={"name_or_path": "elsewhere"}))
    answered_by(client, "intents")
    assert len(site.engines) == 1


def test_a_base_that_no_version_needs_any_more_is_let_go(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    site.go_live(2, base=BASE.model_copy(update={"quantization": "nf4"}))
    assert answered_by(client, MODEL) == "routing-v2"
    client.post("/v1/load_lora_adapter", json=site.load_body(1))
    assert len(site.engines) == 2
    client.post("/v1/unload_lora_adapter", json={"lora_name": "routing-v1"})
    client.post("/v1/load_lora_adapter", json=site.load_body(1))
    assert len(site.engines) == 3
    assert answered_by(client, "routing-v1") == "routing-v1"


def test_whole_models_are_not_kept_to_spare(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    for version in (2, 3, 4):
        site.add(version, method="full")
        client.post("/v1/load_lora_adapter", json=site.load_body(version))
    assert set(client.get("/health").json()["adapters"]) == {"routing-v1", "routing-v4"}


def test_a_base_that_is_not_what_the_manifest_names_is_not_kept(site: Site, client: TestClient) -> None:
    def wrong(_: BaseIdentity) -> FakeEngine:
        return FakeEngine("0" * 64)

    site.go_live(1)
    with TestClient(create_app(wrong, site.ledger, site.cache)) as other:
        assert fault(chat(other)) == (503, "live_version_not_servable")


def test_only_a_few_idle_versions_stay_in_memory_and_live_ones_always_do(site: Site, client: TestClient) -> None:
    site.go_live(1)
    answered_by(client)
    for version in range(2, 13):
        site.add(version)
        client.post("/v1/load_lora_adapter", json=site.load_body(version))
        if version > 2:
            answered_by(client, "routing-v2")
    kept = {"routing-v1", "routing-v2", *(f"routing-v{version}" for version in range(6, 13))}
    assert set(client.get("/health").json()["adapters"]) == kept
    assert set(site.engines[0].adapters()) == kept


def test_an_answer_under_way_is_finished_before_its_adapter_goes(site: Site, client: TestClient) -> None:
    site.add(1)
    client.post("/v1/load_lora_adapter", json=site.load_body(1))
    engine, codes = site.engines[0], {}
    engine.gate.clear()
    asking = threading.Thread(target=lambda: codes.update(chat=chat(client, "routing-v1").status_code))
    asking.start()
    engine.asked.wait(timeout=30)
    body = {"lora_name": "routing-v1"}
    leaving = threading.Thread(target=lambda: codes.update(unload=client.post("/v1/unload_lora_adapter", json=body).status_code))
    leaving.start()
    while client.get("/health").json()["adapters"]:
        pass
    assert engine.adapters() == ("routing-v1",)
    engine.gate.set()
    asking.join()
    leaving.join()
    assert codes == {"chat": 200, "unload": 200}
    assert engine.adapters() == ()
