"""Versions in the server's memory: loaded and unloaded by hand, bases they share, and what is let go."""

import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from deployments.server.app import create_app
from tasks.manifest import BaseIdentity
from tests.fakes import FakeEngine
from tests.unit.deployments.server.server_site import Site, answered_by, chat, fault, message
from tests.versions import BASE, MODEL, make_artifact


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
