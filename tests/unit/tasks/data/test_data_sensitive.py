"""What happens to rows with personal data or secrets."""

from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import SensitiveConfig
from pipeline_config.errors import DataError
from tasks.data.quarantine import CODES, count_by_code, quarantine_path
from tasks.data.sensitive import reported_kinds
from tasks.screening import KINDS
from tests.unit.tasks.data.data_builders import data_config, prepare, ticket, tickets, write_jsonl

CARD = "4111 1111 1111 1111"


def rows() -> list[dict[str, object]]:
    fit = tickets(each=30)
    return [
        *fit,
        ticket(101, input=f"charge my card {CARD} again"),
        ticket(102, input="refund to DE89 3704 0044 0532 0130 00 please"),
        ticket(103, output="network", instruction="Name the queue. Ask me at jane@example.org"),
        ticket(104, input="mail bob@example.com and call +49 30 901820"),
    ]


def test_by_default_cards_and_accounts_are_taken_out_and_addresses_counted(tmp_path: Path) -> None:
    prepared = prepare(data_config(write_jsonl(tmp_path / "a.jsonl", rows())), tmp_path / "out")
    assert count_by_code(prepared.folder) == {"CARD": 1, "IBAN": 1}
    assert reported_kinds(prepared.folder) == {"email": 2, "phone": 1}
    reasons = pl.read_parquet(quarantine_path(prepared.folder))["reason"].to_list()
    assert reasons == ["input holds a card number", "input holds an IBAN"]
    assert prepared.counts.read == 64
    assert prepared.counts.quarantined == 2


def test_a_policy_decides_for_each_kind(tmp_path: Path) -> None:
    policies = SensitiveConfig(card="ignore", iban="report", email="quarantine", phone="ignore")
    prepared = prepare(data_config(write_jsonl(tmp_path / "a.jsonl", rows()), sensitive=policies), tmp_path / "out")
    assert count_by_code(prepared.folder) == {"EMAIL": 2}
    assert reported_kinds(prepared.folder) == {"iban": 1}


def test_fail_refuses_the_data_and_does_not_repeat_what_was_found(tmp_path: Path) -> None:
    source = data_config(write_jsonl(tmp_path / "a.jsonl", rows()), sensitive=SensitiveConfig(card="fail"))
    with pytest.raises(DataError, match="input holds a card number") as caught:
        prepare(source, tmp_path / "out")
    assert "a.jsonl, line 61" in str(caught.value)
    assert "4111" not in str(caught.value)


def test_every_kind_has_a_policy_and_a_code() -> None:
    assert set(SensitiveConfig.model_fields) == set(KINDS)
    assert {kind.upper() for kind in KINDS} < set(CODES)
