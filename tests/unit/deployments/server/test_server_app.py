"""The model server: what the ledger says is live is what answers; what cannot be obeyed is refused."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.deployments.server.server_site import ASK, CALL, Site, answered_by, chat, fault, message
from tests.versions import INSTRUCTION, MODEL, make_artifact


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
