"""The mirror of the ledger in the registry, and how a ledger whose end was cut off is noticed by it."""

import sqlite3
from pathlib import Path

import pytest

from pipeline_config.errors import LedgerError, RegistryError
from tasks.ledger import Ledger
from tasks.registry.aliases import check_tail, is_signed, mirror
from tasks.registry.approval import Approval
from tasks.registry.port import LEDGER_HEAD_TAG, version_in
from tasks.registry.promote import decided, promote, undo
from tasks.registry.verdict import Evidence, verified_evidence
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate, make_config

APPROVED = Approval(state="approved", policy="auto", actor="policy auto (no person)", reason="every gate passed")


class Site:
    """A registry and a ledger, and versions that went live one after the other."""

    def __init__(self, folder: Path, versions: int) -> None:
        self.folder, self.registry, self.ledger = folder, FakeRegistry(folder / "registry"), Ledger(folder / "ledger.sqlite")
        self.versions = [self.add(number) for number in range(1, versions + 1)]
        for evidence in self.versions:
            self.promote(evidence)

    def add(self, number: int, model_name: str = MODEL) -> Evidence:
        config = make_config(registry={"model_name": model_name, "approval": "auto"})
        candidate = Candidate(self.folder / f"{model_name}-{number}", weights=str(number), config=config)
        version = candidate.register(self.registry, str(number), model_name)
        return verified_evidence(self.registry, model_name, version, self.folder / "versions")

    def promote(self, evidence: Evidence) -> None:
        seen = decided(self.ledger, evidence.model_name)
        promote(self.registry, self.ledger, evidence, APPROVED, seen, self.folder / "lock")

    def signature(self, version: int) -> str | None:
        return (self.registry.tags(MODEL, version) or {}).get(LEDGER_HEAD_TAG)

    def cut(self, seq: int) -> None:
        """What somebody with the file can do: the last entries are gone, and what is left is a whole chain."""
        with sqlite3.connect(self.ledger.where) as connection:
            connection.execute("DROP TRIGGER entries_never_go")
            connection.execute("DELETE FROM entries WHERE seq >= ?", [seq])
        connection.close()
        self.ledger.verify()


def test_each_version_is_signed_with_the_last_entry_that_was_about_it(tmp_path: Path) -> None:
    site = Site(tmp_path, 2)
    first, second = site.ledger.entries()
    assert (site.signature(1), site.signature(2)) == (first.hash, second.hash)
    back = undo(site.registry, site.ledger, site.versions[1], "the server is down", tmp_path / "lock")
    assert back is not None
    assert back.concerns == "routing-v2"
    assert (site.signature(1), site.signature(2)) == (back.hash, back.hash)
    assert is_signed(site.registry, back)
    assert not is_signed(site.registry, second)
    check_tail(site.registry, site.ledger, MODEL)


def test_an_undo_that_leaves_nothing_live_is_signed_on_the_version_that_it_took_back(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    back = undo(site.registry, site.ledger, site.versions[0], "the server is down", tmp_path / "lock")
    assert back is not None
    assert site.signature(1) == back.hash


@pytest.mark.parametrize("first_lost", [1, 2, 3])
def test_a_ledger_whose_end_was_cut_off_promotes_and_takes_back_nothing(tmp_path: Path, first_lost: int) -> None:
    site = Site(tmp_path, 3)
    fourth = site.add(4)
    site.cut(first_lost)
    aliases, entries = site.registry.aliases(MODEL), site.ledger.entries()
    for attempt in (
        lambda: check_tail(site.registry, site.ledger, MODEL),
        lambda: site.promote(fourth),
        lambda: undo(site.registry, site.ledger, site.versions[1], "", tmp_path / "lock"),
    ):
        with pytest.raises(LedgerError, match=r"lacks the entry that routing-v3 is signed with"):
            attempt()
    assert (site.registry.aliases(MODEL), site.ledger.entries()) == (aliases, entries)


def test_a_cut_entry_is_missed_even_if_others_were_written_in_its_place(tmp_path: Path) -> None:
    site = Site(tmp_path, 2)
    site.cut(2)
    site.ledger.remark(model_name=MODEL, policy="rejection", actor="somebody", reason="", concerns=None, expected_head=1)
    with pytest.raises(LedgerError, match="routing-v2 is signed with"):
        check_tail(site.registry, site.ledger, MODEL)


def test_another_models_signatures_are_its_own(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    site.promote(site.add(1, "intents"))
    site.cut(2)
    check_tail(site.registry, site.ledger, MODEL)
    with pytest.raises(LedgerError, match="intents-v1 is signed with"):
        check_tail(site.registry, site.ledger, "intents")


def test_a_live_version_that_was_deleted_is_said(tmp_path: Path) -> None:
    site = Site(tmp_path, 2)
    site.registry.forget(MODEL, 2)
    with pytest.raises(RegistryError, match="version 2 is live, and is not in the registry any more"):
        mirror(site.registry, site.ledger, MODEL)


@pytest.mark.parametrize(
    ("name", "version"), [("routing-v7", 7), ("routing-v", None), ("routing-v7b", None), ("7", None), ("other-v7", None), ("routing", None)]
)
def test_a_name_means_a_version_of_its_own_model_only(name: str, version: int | None) -> None:
    assert version_in(name, MODEL) == version


def test_a_tampered_row_stops_every_promotion_and_undo(tmp_path: Path) -> None:
    site = Site(tmp_path, 2)
    third = site.add(3)
    with sqlite3.connect(site.ledger.where) as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("UPDATE entries SET actor = 'somebody else' WHERE seq = 1")
    connection.close()
    for attempt in (
        lambda: site.promote(third),
        lambda: undo(site.registry, site.ledger, site.versions[1], "", tmp_path / "lock"),
    ):
        with pytest.raises(LedgerError, match=r"entry 1 .*does not match its hash"):
            attempt()
    assert site.registry.aliases(MODEL) == {"champion": 2, "previous": 1}
