import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.evaluation import JudgeConfig
from tasks.evaluate.contenders import Questions
from tasks.evaluate.judge import Judgement, judge_answers, read_verdict, score_of
from tests.builders import make_row

Reply = tuple[int, str]


class Endpoint:
    """A real OpenAI-compatible server on the loopback. `decide` gets the two answers and gives a verdict, or a whole reply."""

    def __init__(self) -> None:
        self.decide: Callable[[str, str], str | Reply] = lambda first, second: "TIE"
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                duel = json.loads(body["messages"][1]["content"])
                endpoint.asked.append({**body, "path": self.path, "duel": duel})
                endpoint.keys.append(self.headers.get("Authorization"))
                said = endpoint.decide(duel["answer A"], duel["answer B"])
                status, content = said if isinstance(said, tuple) else (200, json.dumps({"choices": [{"message": {"content": said}}]}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content.encode())

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Endpoint()
    yield server
    server.close()


ROWS = [make_row(f"the vpn is gone since {n} o'clock", f"reply {n}") for n in range(4)]
EXPECTED = [f"reply {n}" for n in range(4)]
ANSWERS = ["better 0", "worse 1", "odd 2", " reply 3\n"]


def prefers_better(first: str, second: str) -> str:
    """By content; of an odd answer it says that the first one is better, whatever stands there."""
    if "odd" in first + second:
        return "A"
    return "A" if "better" in first or "worse" in second else "B"


def judged(endpoint: Endpoint, workspace: Path, answers: list[str] = ANSWERS, **settings: Any) -> Judgement:
    config = JudgeConfig(**{"url": endpoint.url, "model": "wise", "retries": 0, **settings})
    return judge_answers(config, workspace, "tuned", Questions("test rows", ROWS), EXPECTED, answers, lambda *progress: None)


def test_wins_losses_and_ties_are_scored_and_a_verdict_that_follows_the_place_is_a_tie(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.decide = prefers_better
    judgement = judged(endpoint, tmp_path)
    assert (judgement.scores, judgement.failures, judgement.fault) == ((1.0, 0.0, 0.5, 0.5), 0, None)
    assert len(endpoint.asked) == 6, "twice for each row, and not at all where the answer is the expected one"
    assert {(each["duel"]["answer A"], each["duel"]["answer B"]) for each in endpoint.asked} >= {
        ("better 0", "reply 0"), ("reply 0", "better 0"),
    }  # fmt: skip


def test_the_judge_is_asked_as_it_is_configured(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_JUDGE", "secret")
    judged(endpoint, tmp_path, api_key_variable="KEY_OF_THE_JUDGE", question="Which is shorter?")
    first = endpoint.asked[0]
    assert (first["path"], first["model"], first["temperature"]) == ("/v1/chat/completions", "wise", 0)
    assert first["duel"]["question"] == "Which is shorter?"
    assert first["duel"]["conversation"] == ROWS[0]["messages"][:-1]
    assert set(endpoint.keys) == {"Bearer secret"}
    assert not any("secret" in path.read_text() for path in tmp_path.rglob("*.json*"))


def test_without_exchange_each_row_is_asked_once_and_places_are_mixed(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.decide = prefers_better
    judgement = judged(endpoint, tmp_path, position_swap=False)
    assert judgement.scores[:2] == (1.0, 0.0)
    assert len(endpoint.asked) == 3


def test_only_some_rows_are_judged_if_so_configured(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.decide = prefers_better
    assert judged(endpoint, tmp_path, rows=2).scores == (1.0, None, 0.5, None)


def test_a_verdict_that_was_given_is_not_asked_for_again(endpoint: Endpoint, tmp_path: Path) -> None:
    first, asked = judged(endpoint, tmp_path), len(endpoint.asked)
    assert judged(endpoint, tmp_path) == first
    assert len(endpoint.asked) == asked
    judged(endpoint, tmp_path, answers=["another", *ANSWERS[1:]])
    assert len(endpoint.asked) > asked


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ((500, "down"), "HTTP 500"), ((200, "no json"), "JSONDecodeError"), ((200, "{}"), "KeyError"),
        ((200, '{"choices": []}'), "IndexError"),
        ("I like both.", "neither A nor B nor TIE"),
    ],
)  # fmt: skip
def test_a_missing_verdict_leaves_nothing_measured_and_is_asked_for_again(
    reply: str | Reply, fault: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.decide = lambda first, second: reply if "worse" in first + second else prefers_better(first, second)
    failed = judged(endpoint, tmp_path)
    assert (failed.scores, failed.failures) == ((None,) * 4, 1)
    assert fault in (failed.fault or "")
    endpoint.decide = prefers_better
    endpoint.asked.clear()
    whole = judged(endpoint, tmp_path)
    assert (whole.scores, whole.failures) == ((1.0, 0.0, 0.5, 0.5), 0)
    assert len(endpoint.asked) == 2, "what the first call brought is kept"
    assert whole.key != failed.key


def test_a_second_attempt_may_succeed(endpoint: Endpoint, tmp_path: Path) -> None:
    calls: list[str] = []

    def at_second(first: str, second: str) -> str | Reply:
        calls.append(first + second)
        return (503, "busy") if calls.count(first + second) == 1 else prefers_better(first, second)

    endpoint.decide = at_second
    assert judged(endpoint, tmp_path, retries=1).scores == (1.0, 0.0, 0.5, 0.5)


def test_a_judge_that_refuses_the_key_is_not_bothered_further(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.decide = lambda first, second: (401, "no")
    failed = judged(endpoint, tmp_path, retries=5, concurrency=1)
    assert (failed.failures, failed.fault) == (3, "the judge answers HTTP 401")
    assert len(endpoint.asked) == 1


def test_a_judge_that_is_not_there_or_too_slow_gives_no_verdict(endpoint: Endpoint, tmp_path: Path) -> None:
    release = threading.Event()
    endpoint.decide = lambda first, second: "A" if release.wait(5) else "B"
    slow = judged(endpoint, tmp_path, timeout=0.2)
    release.set()
    assert (slow.failures, slow.fault) == (3, "the judge cannot be asked: ReadTimeout")
    gone = judged(endpoint, tmp_path, url="http://127.0.0.1:9/v1")
    assert (gone.scores, gone.failures) == ((None,) * 4, 3)


def test_a_journal_that_was_cut_off_is_read_as_far_as_it_goes(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.decide = lambda first, second: (500, "down") if "odd" in first + second else prefers_better(first, second)
    judged(endpoint, tmp_path)
    (journal,) = tmp_path.rglob("verdicts.jsonl")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:9])
    endpoint.decide = prefers_better
    assert judged(endpoint, tmp_path).scores == (1.0, 0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "verdict"), [("A", "A"), (" b.\n", "B"), ("**Tie**", "TIE"), ("A or B", None), ("Answer A", None), ("", None)]
)
def test_only_one_word_is_a_verdict(text: str, verdict: str | None) -> None:
    assert read_verdict(text) == verdict


def test_verdicts_that_differ_are_a_tie() -> None:
    assert [score_of({False: "A", True: other}) for other in ("B", "A", "TIE")] == [1.0, 0.5, 0.5]  # type: ignore[dict-item]
    assert score_of({False: "B", True: "A"}) == 0.0
    assert score_of({True: "B"}) == 1.0
