import multiprocessing
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline_config.errors import DataError
from tasks.augment.candidates import UNANSWERED, Candidates, ask
from tasks.augment.operators import Candidate, Request
from tests.fakes import FakeOperator

REQUESTS = [Request(key=f"key {n}", text=f"text {n}", seed=n) for n in range(1200)]


def asked(path: Path, operator: FakeOperator, requests: Sequence[Request] = REQUESTS[:3]) -> dict[str, Candidate]:
    with Candidates.open(path) as known:
        return ask(operator, requests, known)


def test_what_was_made_once_is_not_asked_for_again(tmp_path: Path) -> None:
    operator = FakeOperator("synonym", lambda request: f"other {request.text}")
    first = asked(tmp_path / "cache.sqlite", operator, REQUESTS)
    second = asked(tmp_path / "cache.sqlite", operator, REQUESTS)
    assert first == second
    assert len(operator.asked) == len(REQUESTS)
    assert first["key 7"] == Candidate("key 7", "other text 7")


def test_reasons_and_costs_are_kept_too(tmp_path: Path) -> None:
    operator = FakeOperator("synonym", lambda request: Candidate(request.key, None, "refused", cost=0.5))
    asked(tmp_path / "cache.sqlite", operator)
    assert asked(tmp_path / "cache.sqlite", operator)["key 1"] == Candidate("key 1", None, "refused", cost=0.5)
    assert len(operator.asked) == 3


def test_another_version_is_asked_for_its_own(tmp_path: Path) -> None:
    asked(tmp_path / "cache.sqlite", FakeOperator("synonym", lambda _: "one", version="1"))
    assert asked(tmp_path / "cache.sqlite", FakeOperator("synonym", lambda _: "two", version="2"))["key 0"].text == "two"


def test_what_was_not_answered_is_asked_for_again(tmp_path: Path) -> None:
    away = FakeOperator("paraphrase", lambda request: Candidate(request.key, None, "time-out", final=False))
    assert asked(tmp_path / "cache.sqlite", away)["key 0"].reason == "time-out"
    back = FakeOperator("paraphrase", lambda _: "there")
    assert asked(tmp_path / "cache.sqlite", back)["key 0"].text == "there"


def test_a_request_that_an_operator_passes_over_has_no_candidate(tmp_path: Path) -> None:
    class Forgetful(FakeOperator):
        def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
            yield from super().reword(requests[1:])

    found = asked(tmp_path / "cache.sqlite", Forgetful("synonym", lambda _: "there"))
    assert found["key 0"] == Candidate("key 0", None, UNANSWERED, final=False)
    assert found["key 1"].text == "there"


@pytest.mark.parametrize("said", ["", " \n", None])
def test_a_text_without_a_word_is_none(tmp_path: Path, said: str | None) -> None:
    operator = FakeOperator("synonym", lambda request: Candidate(request.key, said))
    assert asked(tmp_path / "cache.sqlite", operator)["key 0"] == Candidate("key 0", None, "empty")


def test_the_same_text_in_two_rows_is_asked_for_once(tmp_path: Path) -> None:
    operator = FakeOperator("synonym", lambda _: "there")
    asked(tmp_path / "cache.sqlite", operator, [REQUESTS[0], REQUESTS[0]])
    assert operator.asked == [REQUESTS[0]]


def test_each_candidate_is_kept_as_soon_as_it_is_there(tmp_path: Path) -> None:
    def interrupted(request: Request) -> str:
        if request.seed == 2:
            raise KeyboardInterrupt
        return "there"

    operator = FakeOperator("synonym", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asked(tmp_path / "cache.sqlite", operator)
    with Candidates.open(tmp_path / "cache.sqlite") as known:
        assert known.find(operator.version, ["key 0", "key 1", "key 2"]).keys() == {"key 0", "key 1"}


def write_many(path: Path, first: int) -> None:
    with Candidates.open(path) as known:
        for number in range(first, first + 300):
            known.keep("v", Candidate(f"key {number}", f"by {first}"))


def test_processes_write_at_once_and_the_first_word_stays(tmp_path: Path) -> None:
    path, context = tmp_path / "cache.sqlite", multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, first)) for first in (0, 100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with Candidates.open(path) as known:
        known.keep("v", Candidate("key 0", "too late"))
        found = known.find("v", [f"key {number}" for number in range(600)])
    assert len(found) == 500
    assert found["key 0"].text == "by 0"


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_text("something else, and long enough to be looked at " * 40)
    with pytest.raises(DataError, match="cannot be used") as caught:
        asked(tmp_path / "cache.sqlite", FakeOperator("synonym", lambda _: "there"))
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
