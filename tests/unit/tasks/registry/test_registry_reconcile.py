"""Reconciling: the ledger decides, what somebody moved is put back, and that is written down once."""

from pathlib import Path

import pytest

from pipeline_config.errors import LedgerError, RegistryError
from tasks.ledger import RECONCILE, UNDO, Ledger
from tasks.registry.promote import note_rolled_out, undo
from tasks.registry.reconcile import Healed, known_models, reconcile
from tests.unit.tasks.registry.test_registry_aliases import Site
from tests.versions import MODEL


def heal(site: Site, model_name: str = MODEL) -> Healed:
    return reconcile(site.registry, site.ledger, model_name, site.folder / "lock")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Version 2 is live, version 1 was before it, version 3 was never approved."""
    site = Site(tmp_path, 2)
    site.add(3)
    return site


def test_nothing_is_written_where_nothing_is_wrong(site: Site) -> None:
    entries = site.ledger.entries()
    healed = heal(site)
    assert (healed.live, healed.rolled_out, healed.withdrawn, healed.remark) == (2, False, None, None)
    assert site.ledger.entries() == entries
    note_rolled_out(site.registry, site.ledger, site.versions[1])
    assert heal(site).rolled_out


def test_an_alias_moved_by_hand_is_put_back_and_that_is_recorded_each_time(site: Site) -> None:
    for seq in (3, 4):
        site.registry.set_alias(MODEL, "champion", 3)
        site.registry.delete_alias(MODEL, "previous")
        remark = heal(site).remark
        assert remark is not None
        assert (remark.seq, remark.policy, remark.version, remark.concerns) == (seq, RECONCILE, 2, "routing-v3")
        assert "named champion 3 where the ledger has champion 2, previous 1" in remark.reason
        assert "somebody had moved them" in remark.reason
        assert site.registry.aliases(MODEL) == {"champion": 2, "previous": 1}
        assert heal(site).remark is None


def test_the_alias_of_a_reviewer_is_left_alone(site: Site) -> None:
    site.registry.set_alias(MODEL, "challenger", 3)
    assert heal(site).remark is None
    assert site.registry.aliases(MODEL)["challenger"] == 3


def test_an_alias_of_a_model_that_was_never_promoted_is_taken_away(site: Site) -> None:
    site.add(1, "intents")
    site.registry.set_alias("intents", "champion", 1)
    assert known_models(site.registry, site.ledger).ours == ("intents", MODEL)
    healed = heal(site, "intents")
    assert (healed.live, healed.rolled_out) == (None, True)
    assert healed.remark is not None
    assert (healed.remark.version, healed.remark.concerns) == (None, "intents-v1")
    assert site.registry.aliases("intents") == {}
    assert site.ledger.live("intents") is None


def test_a_model_that_another_ledger_decides_on_is_left_alone(site: Site, tmp_path: Path) -> None:
    mine = Ledger(tmp_path / "mine.sqlite")
    assert known_models(site.registry, mine).ours == ()
    assert known_models(site.registry, mine).strangers == (MODEL,)
    site.add(1, "intents")
    assert known_models(site.registry, mine).ours == ("intents",)
    assert known_models(site.registry, site.ledger).strangers == ()


def test_a_version_that_was_taken_back_is_named(site: Site) -> None:
    undo(site.registry, site.ledger, site.versions[1], "3 of 20 answers differ", site.folder / "lock")
    assert site.ledger.entries()[-1].policy == UNDO
    assert (heal(site).live, heal(site).withdrawn) == (1, "routing-v2")


def test_a_cut_ledger_heals_nothing(site: Site) -> None:
    site.cut(2)
    site.registry.set_alias(MODEL, "champion", 3)
    with pytest.raises(LedgerError, match="routing-v2 is signed with"):
        heal(site)
    assert site.registry.aliases(MODEL) == {"champion": 3, "previous": 1}


def test_a_deleted_champion_is_said_each_time_and_recorded_never(site: Site) -> None:
    site.registry.forget(MODEL, 2)
    entries = site.ledger.entries()
    for _ in range(2):
        with pytest.raises(RegistryError, match="is not in the registry any more"):
            heal(site)
    assert site.ledger.entries() == entries
