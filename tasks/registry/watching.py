"""Finds what reviewers have decided on their pages, answers what cannot count, and starts one promotion run for each other decision.

Two may do this at one time (the service that polls and the scheduled sweep): a run is started under a key made of the decision, and Prefect
gives the same run for the same key.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline_config.errors import TunegateError
from tasks.artifacts import Record
from tasks.ledger import Ledger
from tasks.registry.approval import PROMOTIONS, REJECTED, mistyped, used_up
from tasks.registry.port import (
    APPROVED_BY_TAG,
    DECISION_TAG,
    POLICY_TAG,
    STATUS_REASON_TAG,
    STATUS_TAG,
    VERDICT_TAG,
    Listed,
    Registry,
)
from tasks.registry.reviewing import Sighting, digests_in, note, point_challenger, sighting_in
from tasks.registry.stamps import read_stamp

ANSWERED = ("Promoted", "Rejected", "Refused", "AwaitingApproval")
"""States in which a promotion run ends that has written its own note."""

_log = logging.getLogger(__name__)
_RUN = "run "
_AGAIN = f"to try once more, delete tag {STATUS_TAG} and set it again"

Fingerprint = tuple[str, str, str]
Seen = Mapping[tuple[str, int], Fingerprint]
"""Word, reason and time of the stamp, by model and version."""


class RunEnd(Record):
    """How a promotion run ended."""

    state: str
    message: str


class Runs(Protocol):
    """The promotion deployment. Each method raises ServiceError when it does not answer."""

    def start(self, model_name: str, version: int, key: str) -> str:
        """Starts a run for a version, unless one was started under this key; returns its id."""
        ...

    def ended(self, run_id: str) -> RunEnd | None:
        """How a run ended; null while it has not."""
        ...


@dataclass(frozen=True)
class Watch:
    """What watching takes. `key` is what the server signs its stamps with; null: no stamp is believed."""

    registry: Registry
    ledger: Ledger
    runs: Runs
    key: str | None = None


@dataclass(frozen=True)
class Look:
    """What one look saw, to be handed to the next, and what went wrong, which the next look tries again."""

    seen: Seen
    faults: tuple[str, ...] = ()


def look(watch: Watch, now: datetime, before: Seen) -> Look:
    """Attends to every decision that stands as it stood at the look before.

    A page sets one tag after the other: a word that was not there a moment ago may still get its reason. Only a word that is gone is
    noticed at once.

    Raises:
        RegistryError: the registry does not answer.
    """
    seen: dict[tuple[str, int], Fingerprint] = {}
    faults = []
    for listed in _decided(watch.registry):
        place, found = (listed.model_name, listed.version), _fingerprint(listed, watch.key)
        seen[place] = found
        if found[0] and found != before.get(place):
            continue
        try:
            _attend(watch, listed, found, now)
        except TunegateError as error:
            _log.warning("%s: %s", listed.adapter_name, error)
            faults.append(f"{listed.adapter_name}: {error.what}")
    return Look(seen, tuple(faults))


def point_challengers(registry: Registry, ledger: Ledger, now: datetime) -> dict[str, int | None]:
    """Makes the alias `challenger` of every model right; time alone can end a wait. Returns the versions by model."""
    models = dict.fromkeys(listed.model_name for listed in registry.tagged(POLICY_TAG))
    return {model: point_challenger(registry, ledger, model, now) for model in models}


def _decided(registry: Registry) -> list[Listed]:
    """Versions with a decision, or with one that is gone by now."""
    found = {(listed.model_name, listed.version): listed for tag in (DECISION_TAG, STATUS_TAG) for listed in registry.tagged(tag)}
    return list(found.values())


def _fingerprint(listed: Listed, key: str | None) -> Fingerprint:
    status = listed.tags.get(STATUS_TAG, "")
    stamp = read_stamp(listed.tags.get(APPROVED_BY_TAG), key, listed.model_name, listed.version)
    return status, listed.tags.get(STATUS_REASON_TAG, ""), stamp.at if stamp is not None and stamp.did == status else ""


def _attend(watch: Watch, listed: Listed, found: Fingerprint, now: datetime) -> None:
    last, (status, _, at) = sighting_in(listed), found
    if last is None and not status:
        return None
    if last is not None and (last.status, last.at) == (status, at):
        if last.done is not None:
            return _follow(watch, listed, last, now)
        sighting = last  # it was seen, and whoever saw it ended before anything followed
    else:
        number = 1 + (last.number if last else 0)
        sighting = _keep(
            watch.registry, listed, Sighting.model_validate({"number": number, "status": status, "at": at, **digests_in(listed)})
        )
    _keep(watch.registry, listed, sighting.model_copy(update={"done": _act(watch, listed, sighting, now)}))
    return None


def _act(watch: Watch, listed: Listed, sighting: Sighting, now: datetime) -> str:
    """Does what a decision asks for; says what that was."""
    if not sighting.status:
        return "taken back"
    if fault := _refusal(listed, sighting.status, watch.ledger):
        note(watch.registry, listed.model_name, listed.version, f"refused: {fault}", now)
        return "refused"
    # The time of the registration: a registry that is made anew counts versions from one again.
    key = f"approval/{listed.adapter_name}/{listed.created.isoformat()}/{sighting.number}"
    return f"{_RUN}{watch.runs.start(listed.model_name, listed.version, key)}"


def _refusal(listed: Listed, status: str, ledger: Ledger) -> str | None:
    """Why a decision cannot count, as far as tags and ledger tell; the promotion run looks at the version's bytes."""
    verdict, policy = listed.tags.get(VERDICT_TAG, "missing"), listed.tags.get(POLICY_TAG)
    if fault := mistyped(status):
        return fault
    if verdict != "pass":
        return f"its verdict is {verdict}, and only what passed can go live: there is nothing to decide"
    if policy is not None and policy != "mlflow_review":
        how = "fill in the form of the promotion run in Prefect's page" if policy == "prefect_input" else "nobody is asked"
        return f"its approval policy is {policy}: {how}"
    return _taken(listed, status, ledger)


def _taken(listed: Listed, status: str, ledger: Ledger) -> str | None:
    live, entries = ledger.live(listed.model_name), ledger.entries()
    digests = tuple(digests_in(listed).values())
    if live is not None and (live.version, live.artifact_digest, live.gate_report_digest) == (listed.version, *digests):
        way = 'to take it down, `tunegate rollback --why "..."`' if status == REJECTED else "there is nothing left to approve"
        return f"it is live by ledger entry {live.seq}: {way}"
    mine = (
        e
        for e in entries
        if e.policy in PROMOTIONS and (e.adapter_name, e.artifact_digest, e.gate_report_digest) == (listed.adapter_name, *digests)
    )
    promoted = next(mine, None)
    return used_up(promoted) if promoted is not None else None


def _follow(watch: Watch, listed: Listed, last: Sighting, now: datetime) -> None:
    """Answers for a promotion run that ended without an answer of its own: it was killed, or something broke."""
    if last.done is None or not last.done.startswith(_RUN):
        return
    end = watch.runs.ended(last.done.removeprefix(_RUN))
    if end is None:
        return
    if end.state not in ANSWERED:
        text = f"the promotion run ended as {end.state}: {' '.join(end.message.split()) or 'no reason given'}; {_AGAIN}"
        note(watch.registry, listed.model_name, listed.version, text, now)
    _keep(watch.registry, listed, last.model_copy(update={"done": f"ended as {end.state}"}))


def _keep(registry: Registry, listed: Listed, sighting: Sighting) -> Sighting:
    registry.set_tag(listed.model_name, listed.version, DECISION_TAG, sighting.model_dump_json())
    return sighting
