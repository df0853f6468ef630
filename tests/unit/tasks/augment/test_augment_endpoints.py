"""Operators whose endpoint misbehaves: every candidate is there or has a reason, and the run goes on. The server is a real one."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline_config.augmentation import BackTranslationConfig, EndpointConfig, ParaphraseConfig
from pipeline_config.model import ModelConfig
from tasks.augment.catalogue import open_operators
from tasks.augment.operators import Candidate, Operator, Request
from tests.endpoints import LoopbackEndpoint, Said, completion

TEXTS = [f"Where is parcel {number}, please?" for number in range(9)]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackEndpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = LoopbackEndpoint()
    yield server
    server.close()


def opened(tmp_path: Any, **sections: Any) -> Operator:
    from pipeline_config.augmentation import AugmentationConfig

    operators, missing = open_operators(AugmentationConfig(**sections), ModelConfig(), tmp_path)
    assert missing == []
    (operator,) = operators
    return operator


def paraphrase(endpoint: LoopbackEndpoint, tmp_path: Any, **settings: Any) -> Operator:
    config = EndpointConfig(**{"url": endpoint.url, "model": "m", "retries": 0, "timeout": 5.0, **settings})
    return opened(tmp_path, paraphrase=ParaphraseConfig(endpoint=config, temperature=0.7, top_p=0.9))


def back_translation(endpoint: LoopbackEndpoint, tmp_path: Any, **settings: Any) -> Operator:
    config = EndpointConfig(**{"url": endpoint.url, "model": "m", "retries": 0, "timeout": 5.0, **settings})
    return opened(tmp_path, back_translation=BackTranslationConfig(backend="endpoint", endpoint=config))


def requests(texts: list[str] = TEXTS) -> list[Request]:
    return [Request(str(number), text, seed=1000 + number) for number, text in enumerate(texts)]


def reword(operator: Operator, asked: list[Request]) -> list[Candidate]:
    found = {candidate.key: candidate for candidate in operator.reword(asked)}
    assert len(found) == len(asked)
    return [found[request.key] for request in asked]


def text_in(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).rpartition("essage: ")[2]


def parcel(body: dict[str, Any]) -> int:
    return int(text_in(body).split("parcel ")[1].split(",")[0])


MISBEHAVIOUR = [
    (Said("busy", 429), "HTTP 429", False),
    (Said("broken", 500), "HTTP 500", False),
    (completion(""), "empty", True),
    (Said("x" * 2_000_000), "reply too large", True),
    (completion("I'm sorry, but I cannot help with that."), "refused", True),
    (completion("word " * 2000, finish="length"), "cut off", True),
    (Said(drops=True), "no connection", False),
    (Said("<html>welcome</html>"), "no chat completion", False),
]


def test_a_misbehaving_endpoint_is_counted_by_reason_and_the_rest_goes_on(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    def decide(body: dict[str, Any], before: int) -> Said:
        number = parcel(body)
        return MISBEHAVIOUR[number][0] if number < len(MISBEHAVIOUR) else completion(f"I look for parcel {number}")

    endpoint.decide = decide
    made = reword(paraphrase(endpoint, tmp_path), requests())
    assert [(candidate.text, candidate.reason, candidate.final) for candidate in made] == [
        *((None, reason, final) for _, reason, final in MISBEHAVIOUR), ("I look for parcel 8", None, True),
    ]  # fmt: skip


def test_one_that_is_silent_is_a_time_out_and_may_be_asked_again(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    released = threading.Event()
    endpoint.decide = lambda body, before: completion("late" if released.wait(5) else "later")
    (made,) = reword(paraphrase(endpoint, tmp_path, timeout=0.2), requests(TEXTS[:1]))
    released.set()
    assert (made.text, made.reason, made.final) == (None, "time-out", False)


def test_a_wording_in_another_language_is_handed_on_to_be_judged(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    endpoint.decide = lambda body, before: completion("¿Dónde está el paquete, por favor?")
    (made,) = reword(paraphrase(endpoint, tmp_path), requests(TEXTS[:1]))
    assert made.text == "¿Dónde está el paquete, por favor?"


def test_the_request_goes_out_with_its_own_seed_and_the_configured_settings(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    reword(paraphrase(endpoint, tmp_path), [Request("a", "Where is it?", seed=(1 << 40) + 5)])
    (asked,) = endpoint.asked
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.7, 0.9, 5)
    assert text_in(asked) == "Where is it?"


def test_nothing_is_asked_beyond_the_cap_and_what_was_paid_is_told(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    usage = {"prompt_tokens": 200, "completion_tokens": 10}
    endpoint.decide = lambda body, before: completion("I look for it", usage=usage)
    operator = paraphrase(
        endpoint, tmp_path, cost_per_million_prompt_tokens=1000.0, cost_per_million_completion_tokens=1000.0, max_cost=2.0, concurrency=1
    )
    made = reword(operator, requests())
    reasons = Counter(candidate.reason for candidate in made)
    assert reasons.keys() == {None, "cost cap reached"}
    assert sum(candidate.cost for candidate in made) == pytest.approx(0.21 * reasons[None])
    assert sum(candidate.cost for candidate in made) <= 2.0
    assert not any(candidate.final for candidate in made if candidate.reason is not None)


def test_two_endpoints_two_prompts_or_two_temperatures_are_two_versions(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    versions = {
        paraphrase(endpoint, tmp_path).version,
        paraphrase(endpoint, tmp_path, model="another").version,
        paraphrase(endpoint, tmp_path, url="http://127.0.0.1:9/v1").version,
        back_translation(endpoint, tmp_path).version,
    }
    assert len(versions) == 4
    patient = paraphrase(endpoint, tmp_path, timeout=99.0, concurrency=1, retries=9)
    assert patient.version == paraphrase(endpoint, tmp_path).version, "patience changes no candidate"


def translating(body: dict[str, Any], before: int) -> Said:
    there = "language with ISO 639-1 code 'en'" in body["messages"][-1]["content"]
    text = text_in(body)
    return completion(f"<{text}>" if there else f"back from {text}", usage={"prompt_tokens": 10, "completion_tokens": 10})


def test_texts_go_there_and_back_and_each_text_is_paid_for_once(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    endpoint.decide = translating
    operator = back_translation(
        endpoint, tmp_path, cost_per_million_prompt_tokens=1e5, cost_per_million_completion_tokens=0.0
    )  # fmt: skip
    made = reword(operator, requests([TEXTS[0], TEXTS[1], TEXTS[0]]))
    assert [candidate.text for candidate in made] == [f"back from <{TEXTS[number]}>" for number in (0, 1, 0)]
    assert len(endpoint.asked) == 4
    assert [candidate.cost for candidate in made] == [2.0, 2.0, 0.0]


def test_what_fails_on_either_way_has_a_reason_and_what_is_paid_for_is_told(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    def decide(body: dict[str, Any], before: int) -> Said:
        text = text_in(body)
        if "parcel 0" in text and not text.startswith("<"):
            return Said("busy", 429)
        return Said("broken", 500) if text.startswith("<") and "parcel 1" in text else translating(body, before)

    endpoint.decide = decide
    operator = back_translation(
        endpoint, tmp_path, cost_per_million_prompt_tokens=1e5, cost_per_million_completion_tokens=0.0
    )  # fmt: skip
    made = reword(operator, requests(TEXTS[:3]))
    assert [(candidate.reason, candidate.final, candidate.cost) for candidate in made] == [
        ("HTTP 429", False, 0.0), ("HTTP 500", False, 1.0), (None, True, 2.0),
    ]  # fmt: skip


def test_texts_in_another_language_are_left_alone(endpoint: LoopbackEndpoint, tmp_path: Any) -> None:
    endpoint.decide = translating
    made = reword(back_translation(endpoint, tmp_path), requests(["Wo bleibt denn nur meine neue Karte, bitte?", TEXTS[0]]))
    assert [candidate.reason for candidate in made] == ["another language", None]
