"""A client of endpoints that may do anything. The server is a real one."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.endpoints import UNREADABLE, Chat, Client, Connection, Outcome, Reply
from tests.endpoints import LoopbackEndpoint, Said, completion


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackEndpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = LoopbackEndpoint()
    yield server
    server.close()


def chats(count: int) -> list[Chat]:
    return [Chat([{"role": "user", "content": f"question {number}"}], max_tokens=10) for number in range(count)]


def client(endpoint: LoopbackEndpoint, pauses: list[float] | None = None, **settings: Any) -> Client:
    values = {"url": endpoint.url, "model": "m", "api_key_variable": None, "timeout": 5.0, "retries": 0, "concurrency": 2, **settings}
    return Client(Connection(**values), (pauses if pauses is not None else []).append)


def ask(asking: Client, count: int = 1) -> list[Outcome[str]]:
    outcomes = dict(asking.ask(chats(count), lambda reply: reply.text or None))
    return [outcomes[number] for number in range(count)]


def reasons(outcomes: list[Outcome[str]]) -> list[str | None]:
    return [outcome.failure.reason if outcome.failure is not None else None for outcome in outcomes]


def question(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split()[-1])


def test_each_chat_gets_its_own_answer_and_is_sent_as_it_is_meant(endpoint: LoopbackEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_ENDPOINT", "secret\n")
    endpoint.decide = lambda body, before: completion(f"answer {question(body)}")
    outcomes = ask(client(endpoint, api_key_variable="KEY_OF_THE_ENDPOINT", concurrency=4), 9)
    assert [outcome.value for outcome in outcomes] == [f"answer {number}" for number in range(9)]
    first = endpoint.asked[0]
    assert (first["path"], first["model"], first["max_tokens"], first["temperature"]) == ("/v1/chat/completions", "m", 10, 0)
    assert "seed" not in first
    assert "top_p" not in first
    assert {headers["authorization"] for headers in endpoint.headers} == {"Bearer secret"}
    seeded = [Chat([{"role": "user", "content": "question 0"}], 10, 0.5, 0.9, 7)]
    list(client(endpoint).ask(seeded, lambda reply: reply.text))
    assert (endpoint.asked[-1]["temperature"], endpoint.asked[-1]["top_p"], endpoint.asked[-1]["seed"]) == (0.5, 0.9, 7)


def test_no_more_than_the_configured_number_is_under_way(endpoint: LoopbackEndpoint) -> None:
    def slowly(body: dict[str, Any], before: int) -> Said:
        time.sleep(0.05)
        return completion("ok")

    endpoint.decide = slowly
    ask(client(endpoint, concurrency=3), 12)
    assert endpoint.most_under_way == 3


@pytest.mark.parametrize(
    ("said", "reason", "final"),
    [
        (Said("busy", 429), "HTTP 429", False), (Said("broken", 500), "HTTP 500", False), (Said("odd", 400), "HTTP 400", True),
        (Said("no", 401), "HTTP 401", False), (Said("elsewhere", 302, {"Location": "http://127.0.0.1:9/"}), "HTTP 302", False),
        (Said(drops=True), "no connection", False), (Said("no json"), "no chat completion", False),
        (Said("{}"), "no chat completion", False),
        (Said("[" * 100_000), "no chat completion", False), (Said('{"choices": []}'), "no chat completion", False),
        (Said('{"choices": [{"message": {"content": 7}}]}'), "no chat completion", False),
        (Said('{"choices": [{"message": {"content": "\\ud800"}}]}'), "no chat completion", False),
        (Said("\x00" * 3_000_000), "reply too large", True), (completion(""), UNREADABLE, False), (completion(None), UNREADABLE, False),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_failure_with_a_reason(endpoint: LoopbackEndpoint, said: Said, reason: str, final: bool) -> None:
    endpoint.decide = lambda body, before: said if question(body) == 1 else completion("fine")
    outcomes = ask(client(endpoint, concurrency=1), 2)
    assert reasons(outcomes) == [None, reason]
    failure = outcomes[1].failure
    assert failure is not None
    assert failure.final is final


def test_an_endpoint_that_is_not_there_is_a_failure(endpoint: LoopbackEndpoint) -> None:
    assert reasons(ask(client(endpoint, url="http://127.0.0.1:9/v1"))) == ["no connection"]
    assert reasons(ask(client(endpoint, url="http://[/v1"))) == ["no connection"]


def test_silence_and_a_reply_that_never_ends_are_time_outs(endpoint: LoopbackEndpoint) -> None:
    released = threading.Event()
    endpoint.decide = lambda body, before: completion("late") if released.wait(5) else completion("later")
    assert reasons(ask(client(endpoint, timeout=0.2))) == ["time-out"]
    released.set()
    endpoint.decide = lambda body, before: Said(completion("x" * 1000).body, drips=True)
    started = time.monotonic()
    assert reasons(ask(client(endpoint, timeout=0.3))) == ["time-out"]
    assert time.monotonic() - started < 3, "every byte that comes must not begin the time anew"


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_another_attempt_is_made_where_it_may_help(endpoint: LoopbackEndpoint, status: int) -> None:
    endpoint.decide = lambda body, before: Said("busy", status) if before < 2 else completion("at last")
    pauses: list[float] = []
    assert [outcome.value for outcome in ask(client(endpoint, pauses, retries=2))] == ["at last"]
    assert pauses == [0.25, 0.5]


def test_an_endpoint_says_how_long_it_wants_to_be_left_alone(endpoint: LoopbackEndpoint) -> None:
    for asked, waited in (("7", 7.0), ("99999", 60.0), ("soon", 0.25), ("-5", 0.25)):
        endpoint.asked.clear()
        endpoint.decide = lambda body, before, a=asked: Said("busy", 429, {"Retry-After": a}) if not before else completion("ok")  # type: ignore[misc]
        pauses: list[float] = []
        ask(client(endpoint, pauses, retries=1))
        assert pauses == [waited]


def test_a_chat_that_is_refused_is_not_sent_again_and_the_others_are(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: Said("no", 422) if question(body) == 0 else completion("ok")
    assert reasons(ask(client(endpoint, retries=5, concurrency=1), 3)) == ["HTTP 422", None, None]
    assert len(endpoint.asked) == 3


def test_an_endpoint_that_refuses_whoever_asks_is_left_alone(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: Said("no", 403)
    asking = client(endpoint, retries=5, concurrency=1)
    assert reasons(ask(asking, 3)) == ["HTTP 403", "not asked after HTTP 403", "not asked after HTTP 403"]
    assert reasons(ask(asking, 1)) == ["not asked after HTTP 403"], "nor in a later call"
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_only_fails_is_given_up_and_one_that_sometimes_does_is_not(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: Said("broken", 500)
    outcomes = ask(client(endpoint, concurrency=1), 50)
    assert reasons(outcomes) == ["HTTP 500"] * 20 + ["not asked after HTTP 500"] * 30
    assert len(endpoint.asked) == 20
    endpoint.decide = lambda body, before: Said("broken", 500) if question(body) % 10 else completion("ok")
    assert reasons(ask(client(endpoint, concurrency=1), 50)).count("HTTP 500") == 45


def test_a_reply_of_no_use_is_asked_for_again(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: completion("" if before == 0 else "text")
    assert [outcome.value for outcome in ask(client(endpoint, retries=1))] == ["text"]


def test_whether_a_reply_was_cut_off_is_told(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: completion("half of a sen", finish="length")
    replies: list[Reply] = []
    list(client(endpoint).ask(chats(1), replies.append))
    assert replies == [Reply("half of a sen", cut_off=True)]


USED = {"prompt_tokens": 100, "completion_tokens": 5}
PRICES = {"prompt_price": 1000.0, "completion_price": 10_000.0}
COST = (100 * 1000 + 5 * 10_000) / 1e6
MOST = ((len("question 0") + 16) * 1000 + 10 * 10_000) / 1e6
"""What the client must expect of one of these chats: bytes and its `max_tokens`."""


def test_what_was_used_is_what_it_costs_and_what_nobody_tells_is_the_most_it_can_be(endpoint: LoopbackEndpoint) -> None:
    told: dict[int, Any] = {0: USED, 1: None, 2: {"prompt_tokens": -5, "completion_tokens": 1}, 3: {"prompt_tokens": 1.5}, 4: [1]}
    endpoint.decide = lambda body, before: completion("ok", usage=told[question(body)])
    outcomes = ask(client(endpoint, **PRICES), 5)
    assert [outcome.cost for outcome in outcomes] == pytest.approx([COST, *[MOST] * 4])
    assert [outcome.cost for outcome in ask(client(endpoint), 5)] == [0.0] * 5


def test_every_attempt_is_paid_for_unless_nothing_can_have_been_generated(endpoint: LoopbackEndpoint) -> None:
    endpoint.decide = lambda body, before: (
        Said("broken", 500) if before == 0 else Said("no json") if before == 1 else completion("ok", usage=USED)
    )
    (outcome,) = ask(client(endpoint, retries=2, **PRICES))
    assert outcome.cost == pytest.approx(0 + MOST + COST)
    (gone,) = ask(client(endpoint, url="http://127.0.0.1:9/v1", **PRICES))
    assert gone.cost == 0


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_cap_is_never_passed_and_what_it_allows_is_used(endpoint: LoopbackEndpoint, concurrency: int) -> None:
    def slowly(body: dict[str, Any], before: int) -> Said:
        time.sleep(0.01)
        return completion("ok", usage={"prompt_tokens": 26, "completion_tokens": 4})

    endpoint.decide = slowly
    cost = (26 * 1000 + 4 * 10_000) / 1e6
    asking = client(endpoint, concurrency=concurrency, max_cost=10 * cost + MOST, **PRICES)
    outcomes = ask(asking, 30)
    assert sum(outcome.cost for outcome in outcomes) <= 10 * cost + MOST
    assert reasons(outcomes).count(None) >= 10
    assert set(reasons(outcomes)) == {None, "cost cap reached"}
    assert len(endpoint.asked) == reasons(outcomes).count(None)
    assert reasons(ask(asking, 2)) == ["cost cap reached"] * 2, "it holds over all calls"


def test_a_cap_below_one_answer_asks_nothing(endpoint: LoopbackEndpoint) -> None:
    assert reasons(ask(client(endpoint, max_cost=MOST / 2, **PRICES), 3)) == ["cost cap reached"] * 3
    assert endpoint.asked == []


def test_what_is_not_taken_is_not_asked_for(endpoint: LoopbackEndpoint) -> None:
    def slowly(body: dict[str, Any], before: int) -> Said:
        time.sleep(0.02)
        return completion("ok")

    endpoint.decide = slowly
    answers = client(endpoint, concurrency=2).ask(chats(100), lambda reply: reply.text)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(endpoint.asked) < 20


def test_the_key_stands_in_no_failure(endpoint: LoopbackEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_ENDPOINT", "secret")
    endpoint.decide = lambda body, before: Said(json.dumps({"error": "key secret is wrong"}), 401)
    assert "secret" not in repr(ask(client(endpoint, api_key_variable="KEY_OF_THE_ENDPOINT")))
