"""A version that was trained on masked rows is asked with masked texts, whoever asks."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deployments.server.app import MASKED, create_app
from pipeline_config.errors import RolloutError
from tasks.deploy.client import ModelServer
from tasks.deploy.parity import ParityRow, prove_parity
from tasks.deploy.switch import require_masks
from tasks.deploy.task import load_version
from tasks.manifest import Manifest, read_manifest
from tests.serving import serving
from tests.unit.deployments.server.test_server_app import Site, chat, fault, message
from tests.versions import MODEL

ADDRESS = "jane.doe@corp-mail.org"
ASK = [{"role": "system", "content": f"Answer {ADDRESS}."}, {"role": "user", "content": f"I am {ADDRESS}, call +1 212 555 0187"}]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    site.go_live(1, masked_kinds=("email",))
    site.go_live(1, model="plain")
    site.go_live(1, model="both", masked_kinds=("email", "phone"))
    with site.start() as client:
        yield client


def asked(client: TestClient, model: str, messages: Sequence[Mapping[str, Any]] = ASK) -> Any:
    answer = client.post("/v1/chat/completions", json={"model": model, "messages": list(messages), "max_tokens": 200})
    assert answer.status_code == 200, answer.text
    return answer


def seen(answer: Any) -> str:
    """What the model was shown: the fake one says it."""
    return str(answer.json()["choices"][0]["message"]["content"])


def test_the_model_sees_placeholders_in_every_turn_and_the_answer_says_so(client: TestClient) -> None:
    answer = asked(client, MODEL)
    assert answer.headers[MASKED] == "email=2"
    assert ADDRESS not in seen(answer)
    assert "I am <EMAIL>, call +1 212 555 0187" in seen(answer)


def test_each_version_masks_what_its_own_training_masked(client: TestClient) -> None:
    assert asked(client, "both").headers[MASKED] == "email=2, phone=1"
    plain = asked(client, "plain")
    assert MASKED not in plain.headers
    assert ADDRESS in seen(plain)


def test_a_request_that_is_masked_already_is_left_as_it_is(client: TestClient) -> None:
    answer = asked(client, MODEL, [{"role": "user", "content": "I am <EMAIL>"}])
    assert MASKED not in answer.headers
    assert "I am <EMAIL>" in seen(answer)


def test_the_listing_says_what_is_masked_and_a_rollout_asks_for_it(client: TestClient) -> None:
    cards = {card["id"]: card["masks"] for card in client.get("/v1/models").json()["data"]}
    assert (cards[MODEL], cards["plain"], cards["both"]) == (["email"], [], ["email", "phone"])


@pytest.mark.parametrize(("masks", "refused"), [((), True), (("phone",), True), (("email", "phone"), False)])
def test_a_server_that_does_not_mask_what_training_masked_is_refused(masks: tuple[str, ...], refused: bool) -> None:
    server = cast(ModelServer, SimpleNamespace(masks=lambda _: masks))
    require_masks(server, "m-v1", ())
    if not refused:
        require_masks(server, "m-v1", ("email",))
        return
    with pytest.raises(RolloutError, match="does not mask email"):
        require_masks(server, "m-v1", ("email",))


def test_a_version_whose_files_are_gone_ends_a_rollout_so_that_the_switch_is_undone(tmp_path: Path) -> None:
    with pytest.raises(RolloutError, match="has no manifest"):
        load_version.fn("m-v1", tmp_path, 1.0)


def test_masks_are_part_of_a_versions_identity_and_old_versions_keep_theirs(site: Site) -> None:
    plain, masked = site.add(7), site.add(8, masked_kinds=("email",))
    assert plain != masked
    manifest = read_manifest(site.cache / f"{MODEL}-v7" / "model")
    assert "masked_kinds" not in manifest.content()
    assert Manifest.model_validate(manifest.content()).digest == plain


def test_tool_calls_are_masked_too(client: TestClient) -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": f'{{"who": "{ADDRESS}"}}'}}
    turns: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": ADDRESS}]
    answer = asked(client, MODEL, [{"role": "user", "content": "who?"}, *turns])
    assert answer.headers[MASKED] == "email=2"
    assert ADDRESS not in seen(answer)
    assert seen(answer).count("<EMAIL>") == 2


def test_rows_that_were_masked_before_they_were_judged_prove_the_switch(site: Site) -> None:
    site.go_live(1, masked_kinds=("email",))
    said = "I am <EMAIL>, call +1 212 555 0187"
    judged = ParityRow(messages=({"role": "system", "content": "Sort."}, {"role": "user", "content": said}), answer="")
    row = judged.model_copy(update={"answer": f"{MODEL}-v1|system:Sort.|user:{said}"})
    with serving(create_app(site.open, site.ledger, site.cache)) as url, ModelServer(url) as server:
        prove_parity(server, MODEL, f"{MODEL}-v1", [row] * 2)


@pytest.mark.parametrize("says", [{}, {"masks": None}, {"masks": True}, {"masks": "email"}, {"masks": [{"kind": "email"}]}])
def test_a_rollout_onto_a_server_that_does_not_say_what_it_masks_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, says: dict[str, object]
) -> None:
    site.add(1, masked_kinds=("email",))
    other = FastAPI()
    other.post("/v1/load_lora_adapter")(lambda: "Success")
    other.get("/v1/models")(lambda: {"object": "list", "data": [{"id": f"{MODEL}-v1", **says}]})
    with serving(other) as url:
        monkeypatch.setenv("TUNEGATE_SERVER_PORT", url.rsplit(":", 1)[1])
        with pytest.raises(RolloutError, match="does not mask email"):
            load_version.fn(f"{MODEL}-v1", site.cache / f"{MODEL}-v1" / "model", 5.0)


def test_a_server_that_cannot_mask_neither_loads_nor_lists_nor_asks_such_a_version(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tasks.masking", None)
    site.add(1, masked_kinds=("email",))
    site.go_live(2, masked_kinds=("email",))
    with site.start() as client:
        refused = client.post("/v1/load_lora_adapter", json=site.load_body(1))
        assert fault(refused) == (400, "adapter_refused")
        assert "cannot mask email" in message(refused)
        assert client.get("/health").json()["adapters"] == []
        assert fault(chat(client)) == (503, "live_version_not_servable")


HEAVY = """
import sys
from pathlib import Path
from tests.unit.deployments.server.test_server_app import MODEL, Site, answered_by

site = Site(Path(sys.argv[1]))
site.go_live(1)
site.add(2, masked_kinds=("email",))
with site.start() as client:
    answered_by(client)
    print("detect_secrets" in sys.modules)
    client.post("/v1/load_lora_adapter", json=site.load_body(2)).raise_for_status()
    print("detect_secrets" in sys.modules)
"""


def test_what_masking_needs_is_imported_when_the_first_version_with_masks_is_loaded(tmp_path: Path) -> None:
    # In an interpreter of its own: here, another test may have imported it.
    done = subprocess.run([sys.executable, "-c", HEAVY, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
