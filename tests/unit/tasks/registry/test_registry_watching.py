"""Decisions on the version's page: each starts one promotion run, or is answered there."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.errors import RegistryError, ServiceError
from tasks.ledger import ROLLBACK, Ledger
from tasks.registry.port import (
    APPROVED_BY_TAG,
    ARTIFACT_TAG,
    DECISION_TAG,
    EXPIRES_TAG,
    GATE_REPORT_TAG,
    NOTE_TAG,
    POLICY_TAG,
    REQUESTER_TAG,
    STATUS_REASON_TAG,
    STATUS_TAG,
    Registry,
)
from tasks.registry.reviewing import given_in_tags, sighting_in
from tasks.registry.stamps import Stamp, signed
from tasks.registry.watching import RunEnd, Watch, look, point_challengers
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate, make_config

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "key"


@dataclass
class FakeRuns:
    """`tasks.registry.watching.Runs`: ids are numbers, one for each key. While it is `down`, it does not answer."""

    keys: list[str] = field(default_factory=list)
    ends: dict[str, RunEnd] = field(default_factory=dict)
    down: bool = False

    def start(self, model_name: str, version: int, key: str) -> str:
        if self.down:
            raise ServiceError("the promotion deployment is not registered")
        self.keys += [key] if key not in self.keys else []
        return str(self.keys.index(key))

    def ended(self, run_id: str) -> RunEnd | None:
        return self.ends.get(run_id)


@dataclass
class Desk:
    """A registry with versions, a reviewer's hand, and a watcher that looks each two seconds."""

    registry: FakeRegistry
    ledger: Ledger
    runs: FakeRuns
    folder: Path
    now: datetime = START
    seen: Any = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def add(self, weights: str = "weights", policy: str = "mlflow_review", hours: str = "168", **changes: Any) -> int:
        config = make_config(registry={"model_name": MODEL, "approval": policy})
        tags = {POLICY_TAG: policy, EXPIRES_TAG: hours, REQUESTER_TAG: "rita"}
        return Candidate(self.folder / weights, weights=weights, config=config, tags=tags, **changes).register(self.registry, weights)

    def type(self, version: int, status: str, key: str = STATUS_TAG) -> None:
        self.registry.set_tag(MODEL, version, key, status)

    def look(self, times: int = 2, by: Registry | None = None) -> None:
        for _ in range(times):
            self.now += timedelta(seconds=2)
            found = look(Watch(by or self.registry, self.ledger, self.runs, KEY), self.now, self.seen)
            self.seen, self.faults = found.seen, found.faults

    def note(self, version: int) -> str:
        return (self.registry.tags(MODEL, version) or {}).get(NOTE_TAG, "")

    def record(self, version: int, policy: str = "mlflow_review") -> None:
        tags, head = self.registry.tags(MODEL, version) or {}, self.ledger.head()
        self.ledger.append(
            model_name=MODEL, version=version, adapter_name=f"{MODEL}-v{version}", artifact_digest=tags[ARTIFACT_TAG],
            gate_report_digest=tags[GATE_REPORT_TAG], actor="anna", policy=policy, reason="good", expected_head=head.seq if head else 0,
        )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    registry = FakeRegistry(tmp_path / "registry", clock=lambda: START)
    return Desk(registry, Ledger(tmp_path / "ledger.sqlite"), FakeRuns(), tmp_path)


@pytest.mark.parametrize("word", ["approved", "rejected"])
def test_a_decision_starts_one_promotion_run_and_never_a_second(desk: Desk, word: str) -> None:
    version = desk.add()
    desk.type(version, word)
    desk.look(times=5)
    assert len(desk.runs.keys) == 1
    assert desk.note(version) == ""


def test_a_word_is_acted_on_when_its_reason_had_time_to_follow(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "rejected")
    desk.look(times=1)
    desk.type(version, "wrong data", STATUS_REASON_TAG)
    desk.look(times=1)
    assert desk.runs.keys == []
    desk.look(times=1)
    assert len(desk.runs.keys) == 1


def test_two_who_watch_start_one_run(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")
    desk.look(times=1)
    before, seen = desk.registry.tags(MODEL, version) or {}, desk.seen
    desk.look(times=1)
    for key in (DECISION_TAG,):  # the other one looked before the first had written anything
        desk.registry.delete_tag(MODEL, version, key)
    assert DECISION_TAG not in before
    desk.seen = seen
    desk.look(times=1)
    assert len(desk.runs.keys) == 1


def test_every_crash_between_two_steps_is_made_good_by_the_next_look(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")

    class Crash(Exception):
        pass

    class Falling:
        """Any method of the registry or of the runs may be the last one that is called."""

        def __init__(self, inner: Any, left: list[int]) -> None:
            self._inner, self._left = inner, left

        def __getattr__(self, name: str) -> Any:
            def call(*values: Any) -> Any:
                result = getattr(self._inner, name)(*values)
                self._left[0] -= 1
                if self._left[0] == 0:
                    raise Crash
                return result

            return call

    points = 0
    for point in range(1, 50):
        left, done = [point], False
        desk.registry.delete_tag(MODEL, version, DECISION_TAG)
        desk.runs.keys.clear()
        falling = Watch(Falling(desk.registry, left), desk.ledger, Falling(desk.runs, left), KEY)  # type: ignore[arg-type]
        try:
            seen = look(falling, desk.now, {}).seen
            look(falling, desk.now, seen)
            done = True
        except Crash:
            points += 1
        desk.seen = {}
        desk.look(times=2)
        assert len(desk.runs.keys) == 1, point
        if done:
            break
    assert points >= 6


@pytest.mark.parametrize("word", ["Approved", "approved ", "ok"])
def test_a_mistyped_word_is_answered_with_what_to_type_and_starts_nothing(desk: Desk, word: str) -> None:
    version = desk.add()
    desk.type(version, word)
    desk.look()
    assert desk.note(version).startswith("2026-11-25 12:00 UTC: refused: ")
    assert f"{word!r}: type exactly approved or rejected" in desk.note(version)
    assert desk.runs.keys == []
    desk.type(version, "approved")
    desk.look()
    assert len(desk.runs.keys) == 1


@pytest.mark.parametrize("verdict", ["fail", "hold"])
@pytest.mark.parametrize("word", ["approved", "rejected"])
def test_what_did_not_pass_is_answered_with_its_verdict(desk: Desk, verdict: Any, word: str) -> None:
    version = desk.add(verdict=verdict)
    desk.type(version, word)
    desk.look()
    assert f"its verdict is {verdict}" in desk.note(version)
    assert desk.runs.keys == []


@pytest.mark.parametrize(("policy", "answer"), [("prefect_input", "form of the promotion run"), ("auto", "nobody is asked")])
def test_a_version_of_another_policy_is_answered_with_the_way_that_it_has(desk: Desk, policy: str, answer: str) -> None:
    version = desk.add(policy=policy)
    desk.type(version, "approved")
    desk.look()
    assert answer in desk.note(version)
    assert desk.runs.keys == []


def test_a_second_approval_of_a_live_version_is_answered(desk: Desk) -> None:
    version = desk.add()
    desk.record(version)
    desk.type(version, "approved")
    desk.look()
    assert "it is live by ledger entry 1: there is nothing left to approve" in desk.note(version)
    desk.type(version, "rejected")
    desk.look()
    assert "to take it down, `tunegate rollback" in desk.note(version)
    assert desk.runs.keys == []


def test_a_second_approval_of_a_version_that_was_replaced_is_answered(desk: Desk) -> None:
    first, second = desk.add("one"), desk.add("two")
    desk.record(first)
    desk.record(second)
    desk.record(first, ROLLBACK)
    desk.type(second, "approved")
    desk.look()
    assert "made live by ledger entry 2" in desk.note(second)
    assert "tunegate rollback routing-v2" in desk.note(second)
    assert desk.runs.keys == []


def test_an_approval_names_its_version_and_no_other(desk: Desk) -> None:
    first, second = desk.add("one"), desk.add("two")
    desk.type(second, "approved")
    desk.look()
    [key] = desk.runs.keys
    assert f"/{MODEL}-v{second}/" in key
    assert DECISION_TAG not in (desk.registry.tags(MODEL, first) or {})


def test_a_word_that_was_deleted_and_set_again_is_a_new_decision(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")
    desk.look()
    desk.registry.delete_tag(MODEL, version, STATUS_TAG)
    desk.look(times=1)
    desk.type(version, "approved")
    desk.look()
    assert len(desk.runs.keys) == 2


def test_the_same_word_with_a_newer_stamp_is_a_new_decision_and_with_a_forged_one_is_not(desk: Desk) -> None:
    version = desk.add()

    def stamp(hour: int, key: str) -> str:
        return signed(Stamp(user="anna", did="approved", at=f"2026-11-25T{hour}:00:00+00:00", model_name=MODEL, version=version), key)

    for text, runs in ((stamp(12, KEY), 1), (stamp(13, KEY), 2)):
        desk.type(version, text, APPROVED_BY_TAG)
        desk.type(version, "approved")
        desk.look()
        assert len(desk.runs.keys) == runs
        listed = desk.registry.look(MODEL, version)
        assert listed is not None
        given = given_in_tags(listed, KEY)
        assert given is not None
        assert given.user == "anna"
    desk.type(version, stamp(14, "another key"), APPROVED_BY_TAG)
    listed = desk.registry.look(MODEL, version)
    assert listed is not None
    forged = given_in_tags(listed, KEY)
    assert forged is not None
    assert (forged.user, forged.actor) == (None, "unauthenticated (MLflow tag)")


def test_what_the_reviewer_saw_is_noted_with_the_decision(desk: Desk) -> None:
    version = desk.add()
    shown = (desk.registry.tags(MODEL, version) or {})[ARTIFACT_TAG]
    desk.type(version, "approved")
    desk.look()
    desk.type(version, "0" * 64, ARTIFACT_TAG)
    desk.look()
    listed = desk.registry.look(MODEL, version)
    assert listed is not None
    given = given_in_tags(listed, KEY)
    assert given is not None
    assert given.artifact_digest == shown


def test_a_run_that_ended_without_an_answer_is_answered_for(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")
    desk.look()
    desk.look()
    assert desk.note(version) == ""
    desk.runs.ends["0"] = RunEnd(state="Crashed", message="killed by\n signal 9")
    desk.look(times=1)
    assert "the promotion run ended as Crashed: killed by signal 9; to try once more, delete tag approval_status" in desk.note(version)
    desk.type(version, "", NOTE_TAG)
    desk.look()
    assert desk.note(version) == ""


def test_a_run_that_answered_by_itself_is_left_alone(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")
    desk.look()
    desk.type(version, "its own answer", NOTE_TAG)
    desk.runs.ends["0"] = RunEnd(state="Refused", message="its files changed")
    desk.look()
    assert desk.note(version) == "its own answer"


def test_what_cannot_be_started_is_tried_again_and_keeps_nobody_else_waiting(desk: Desk) -> None:
    first, second = desk.add("one"), desk.add("two")
    desk.type(first, "approved")
    desk.type(second, "yes")
    desk.runs.down = True
    desk.look()
    assert desk.faults == (f"{MODEL}-v{first}: the promotion deployment is not registered",)
    assert "type exactly" in desk.note(second)
    desk.runs.down = False
    desk.look(times=1)
    assert (len(desk.runs.keys), desk.faults) == (1, ())


def test_a_damaged_decision_tag_counts_as_none(desk: Desk) -> None:
    version = desk.add()
    desk.type(version, "approved")
    desk.type(version, json.dumps({"number": "many"}), DECISION_TAG)
    desk.look()
    assert len(desk.runs.keys) == 1
    listed = desk.registry.look(MODEL, version)
    assert listed is not None
    assert (sighting_in(listed) or pytest.fail("nothing was kept")).number == 1


def test_a_registry_that_is_silent_is_reported(desk: Desk) -> None:
    class Silent:
        def tagged(self, key: str) -> Any:
            raise RegistryError("no answer")

    with pytest.raises(RegistryError):
        desk.look(by=Silent())  # type: ignore[arg-type]


def test_the_challenger_is_the_newest_version_that_waits(desk: Desk) -> None:
    def challenger() -> int | None:
        point_challengers(desk.registry, desk.ledger, desk.now)
        return desk.registry.aliases(MODEL).get("challenger")

    assert challenger() is None
    first, second = desk.add("one"), desk.add("two", hours="1")
    desk.add("three", verdict="hold")
    desk.add("four", policy="auto")
    assert challenger() == second
    desk.now += timedelta(hours=2)
    assert challenger() == first
    desk.record(first)
    assert challenger() is None
