"""A version that was trained on masked rows is asked with masked texts, whoever asks."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from deployments.server.app import MASKED
from pipeline_config.errors import RolloutError
from tasks.deploy.client import ModelServer
from tasks.deploy.task import load_version, require_masks
from tasks.manifest import Manifest, read_manifest
from tests.unit.deployments.server.test_server_app import MODEL, Site

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


def asked(client: TestClient, model: str, messages: list[dict[str, str]] = ASK) -> Any:
    answer = client.post("/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 200})
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


def test_nothing_heavy_is_imported_where_nothing_is_masked(site: Site) -> None:
    site.go_live(1)
    before = set(sys.modules)
    with site.start() as client:
        asked(client, MODEL)
    assert not {name for name in set(sys.modules) - before if name.startswith("detect_secrets")}
