"""What happens to rows with personal data or secrets."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import PresidioConfig, SensitiveConfig
from pipeline_config.errors import DataError
from tasks.data.policies import Tally, tally
from tasks.data.quarantine import CODES, FAULTS
from tasks.data.sensitive import excerpt, mask_table, screen
from tasks.masking import mask_messages
from tasks.rows import Message, to_messages
from tasks.screening import KINDS, PLACEHOLDER, Kind
from tests.unit.tasks.test_presidio import needs_presidio

CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"
TEXTS = ["my vpn drops", f"charge {CARD}", f"refund {IBAN}", "mail bob@example.com", "+49 30 901820", "password: hunTer2xY!9q", "<EMAIL>"]


def table(*rows: tuple[str | None, str | None, str, str | None]) -> pl.DataFrame:
    """Canonical rows r0, r1, ... from instruction, input, output and turns."""
    texts = pl.DataFrame(rows, {"instruction": pl.String, "input": pl.String, "output": pl.String, "turns": pl.String}, orient="row")
    ids = pl.Series([f"r{number}" for number in range(len(rows))], dtype=pl.String)
    return texts.with_columns(row_id=ids, file=pl.lit("a.jsonl"), line=pl.int_range(1, pl.len() + 1), from_test=pl.lit(False))


def turns(*contents: str, tool_calls: object = None) -> str:
    """A chat of several turns, the first of which calls a tool if there is one to call."""
    chat = [{"role": "user", "content": content} for content in contents]
    return json.dumps([{**chat[0], "tool_calls": json.dumps(tool_calls)} if tool_calls else chat[0], *chat[1:]], ensure_ascii=False)


MIXED = table(
    ("Name the queue.", "my vpn drops", "network", None),
    ("Name the queue.", f"charge my card {CARD} again", "billing", None),
    ("Name the queue.", f"refund to {IBAN} please", "billing", None),
    ("Name the queue. Ask me at jane@example.org", "the printer is on fire", "hardware", None),
    (None, "mail bob@example.com and call +49 30 901820", "email", None),
)


def test_by_default_cards_and_accounts_are_taken_out_and_addresses_counted() -> None:
    screened = screen(MIXED, SensitiveConfig())
    assert screened.faults.rows() == [("r1", "CARD", "input holds a card number"), ("r2", "IBAN", "input holds an IBAN")]
    assert screened.faults.schema == FAULTS
    assert tally(screened.reported) == {"EMAIL": Tally(2, ("r3", "r4")), "PHONE": Tally(1, ("r4",))}
    assert tally(screened.masked) == {}
    assert screened.table.equals(MIXED)


def test_a_policy_decides_for_each_kind() -> None:
    screened = screen(MIXED, SensitiveConfig(card="ignore", iban="report", email="quarantine", phone="report"))
    assert screened.faults["row_id"].to_list() == ["r3", "r4"]
    assert tally(screened.reported) == {"IBAN": Tally(1, ("r2",))}


def test_fail_refuses_the_data_and_does_not_repeat_what_was_found() -> None:
    with pytest.raises(DataError, match="input holds a card number") as caught:
        screen(MIXED, SensitiveConfig(card="fail"))
    assert caught.value.where == "a.jsonl, line 2"
    assert "4111" not in str(caught.value)


def test_masked_kinds_are_replaced_in_every_text_and_counted() -> None:
    screened = screen(MIXED, SensitiveConfig(email="mask", phone="mask", card="mask"))
    assert screened.table["input"].to_list() == [
        "my vpn drops",
        "charge my card <CARD> again",
        f"refund to {IBAN} please",
        "the printer is on fire",
        "mail <EMAIL> and call <PHONE>",
    ]
    assert screened.table["instruction"][3] == "Name the queue. Ask me at <EMAIL>"
    assert screened.table["instruction"][4] is None
    assert tally(screened.masked) == {"CARD": Tally(1, ("r1",)), "EMAIL": Tally(2, ("r3", "r4")), "PHONE": Tally(1, ("r4",))}
    assert screened.table.drop("instruction", "input").equals(MIXED.drop("instruction", "input"))


def test_a_row_that_is_taken_out_is_not_counted_as_masked() -> None:
    screened = screen(table((None, f"{CARD} bob@example.com", "x", None)), SensitiveConfig(email="mask"))
    assert screened.faults["code"].to_list() == ["CARD"]
    assert tally(screened.masked) == {}


def test_a_card_that_is_ignored_is_no_phone_number() -> None:
    screened = screen(table((None, CARD, "x", None)), SensitiveConfig(card="ignore", phone="mask", national_id="fail"))
    assert screened.table["input"].to_list() == [CARD]
    assert tally(screened.reported) == tally(screened.masked) == {}


def test_every_turn_of_a_chat_is_masked_and_the_rest_of_it_stays() -> None:
    calls = [{"function": {"name": "send", "arguments": json.dumps({"to": "\nbob@example.com", "n": 3})}}]
    chat = turns("write to bob@example.com", "é, done", tool_calls=calls)
    screened = screen(table((None, "write to bob@example.com", "é, done", chat), ("a", "b", "c", None)), SensitiveConfig(email="mask"))
    masked = [{"function": {"name": "send", "arguments": json.dumps({"to": "\n<EMAIL>", "n": 3})}}]
    assert json.loads(screened.table["turns"][0]) == json.loads(turns("write to <EMAIL>", "é, done", tool_calls=masked))
    assert screened.table["input"][0] == "write to <EMAIL>"
    assert screened.table["turns"][1] is None


def test_a_chat_is_looked_at_turn_by_turn_as_serving_does() -> None:
    joined = "please call me back at\n5551234567"
    chat = turns("please call me back at", "5551234567", "done")
    alone, several = screen(table((None, joined, "done", None), (None, joined, "done", chat)), SensitiveConfig(phone="mask")).table["input"]
    assert alone == "please call me back at\n<PHONE>"
    assert several == joined


def test_what_stands_in_tool_calls_alone_is_found() -> None:
    chat = turns("pay", "done", tool_calls=[{"password": "hunTer2xY!9q", "card": 4111111111111111}])
    faults = screen(table((None, "pay", "done", chat)), SensitiveConfig()).faults
    assert faults.rows() == [("r0", "CARD", "a turn holds a card number"), ("r0", "SECRET", "a turn holds a secret")]


def test_rows_to_compare_with_are_masked_alike_and_never_refused() -> None:
    policies = SensitiveConfig(email="mask", phone="mask")
    assert mask_table(MIXED, policies).equals(screen(MIXED, policies).table)
    assert mask_table(MIXED, SensitiveConfig(card="fail")).equals(MIXED)


def test_every_kind_has_a_policy_and_a_code() -> None:
    assert set(SensitiveConfig.model_fields) == {*KINDS, "presidio"}
    assert {kind.upper() for kind in KINDS} | {"PRESIDIO"} < set(CODES)


def with_presidio(*entities: str, policy: Any = "report", **policies: Any) -> SensitiveConfig:
    return SensitiveConfig(presidio=PresidioConfig(entities=entities, policy=policy), **policies)


MAC = "00:1A:2B:3C:4D:5E"
ALSO = table(
    ("Name the queue.", f"the laptop {MAC} is gone", "hardware", None),
    ("Name the queue.", f"{MAC}, my card is {CARD}", "billing", None),
    (None, "mail bob@example.com", "email", turns("mail bob@example.com", f"is it {MAC}?", "email")),
)


@needs_presidio
def test_what_presidio_finds_is_counted_besides_our_own_kinds() -> None:
    screened = screen(ALSO, with_presidio("MAC_ADDRESS"))
    assert screened.faults.rows() == [("r1", "CARD", "input holds a card number")]
    assert tally(screened.reported) == {"EMAIL": Tally(1, ("r2",)), "PRESIDIO": Tally(2, ("r0", "r2"))}
    assert screened.table.equals(ALSO)


@needs_presidio
def test_what_presidio_finds_is_taken_out_with_its_name_in_the_reason() -> None:
    screened = screen(ALSO, with_presidio("MAC_ADDRESS", policy="quarantine"))
    assert screened.faults.filter(code="PRESIDIO").rows() == [
        ("r0", "PRESIDIO", "input holds what Presidio calls MAC_ADDRESS"),
        ("r1", "PRESIDIO", "input holds what Presidio calls MAC_ADDRESS"),
        ("r2", "PRESIDIO", "a turn holds what Presidio calls MAC_ADDRESS"),
    ]


@needs_presidio
def test_what_presidio_finds_may_refuse_the_data_and_is_not_repeated() -> None:
    with pytest.raises(DataError, match="Presidio calls MAC_ADDRESS") as caught:
        screen(ALSO, with_presidio("MAC_ADDRESS", policy="fail"))
    assert "data.sensitive.presidio.policy is `fail`" in caught.value.expected
    assert MAC not in str(caught.value)


@needs_presidio
def test_what_both_find_counts_once_under_the_stricter_policy() -> None:
    addressed = table((None, "mail bob@example.com", "x", None))

    def codes(policies: SensitiveConfig) -> tuple[list[str], list[str]]:
        screened = screen(addressed, policies)
        return screened.faults["code"].to_list(), [*tally(screened.reported), *(f"MASKED {code}" for code in tally(screened.masked))]

    assert codes(with_presidio("EMAIL_ADDRESS")) == ([], ["EMAIL"])
    assert codes(with_presidio("EMAIL_ADDRESS", email="ignore")) == ([], ["PRESIDIO"])
    assert codes(with_presidio("EMAIL_ADDRESS", email="mask")) == ([], ["MASKED EMAIL"])
    assert codes(with_presidio("EMAIL_ADDRESS", email="quarantine")) == (["EMAIL"], [])
    assert codes(with_presidio("EMAIL_ADDRESS", policy="quarantine")) == (["PRESIDIO"], [])
    assert codes(with_presidio("EMAIL_ADDRESS", policy="quarantine", email="quarantine")) == (["EMAIL"], [])


@needs_presidio
def test_an_excerpt_masks_what_presidio_was_asked_for() -> None:
    asked = PresidioConfig(entities=("MAC_ADDRESS",))
    assert excerpt(f"{MAC} of bob@example.com") == f"{MAC} of <EMAIL>"
    assert excerpt(f"{MAC} of bob@example.com", presidio=asked) == "<MAC_ADDRESS> of <EMAIL>"
    assert excerpt(f"it is {MAC} of bob@example.com", 12, asked) == "it is …"


Texts = tuple[str | None, str, str, str | None]
TEXT = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2).map(" ".join)
SINGLE = st.tuples(st.none() | TEXT, TEXT, TEXT, st.none())
SEVERAL = st.tuples(st.none() | TEXT, st.lists(TEXT, min_size=2), TEXT).map(lambda row: several(*row))


def several(instruction: str | None, asked: list[str], answer: str) -> Texts:
    """A row as reading makes it: `input` and `output` repeat what the turns say."""
    return instruction, "\n".join(asked), answer, turns(*asked, answer)


def asked(row: Mapping[str, Any]) -> list[Message]:
    return to_messages(row["instruction"], row["input"], row["output"])


@given(st.lists(SINGLE | SEVERAL, max_size=6), st.sets(st.sampled_from(KINDS)))
def test_prepared_rows_are_what_serving_makes_of_the_raw_ones(rows: list[Texts], masked: set[Kind]) -> None:
    policies = SensitiveConfig(**dict.fromkeys(KINDS, "report") | dict.fromkeys(masked, "mask"))
    raw = table(*rows)
    prepared = screen(raw, policies).table
    for before, after in zip(raw.iter_rows(named=True), prepared.iter_rows(named=True), strict=True):
        assert before["turns"] or asked(after) == mask_messages(asked(before), masked).messages
        assert json.loads(after["turns"] or "[]") == mask_messages(json.loads(before["turns"] or "[]"), masked).messages
    assert tally(screen(prepared, policies).masked) == {}


def test_an_excerpt_is_masked_and_cut() -> None:
    assert excerpt("mail bob@example.com") == "mail <EMAIL>"
    assert excerpt("a" * 300) == "a" * 199 + "…"
    assert excerpt("mail bob@example.com now", 13) == "mail <EMAIL>…"


@given(st.lists(st.sampled_from([*TEXTS, " ", "<", "x"]), max_size=6).map(" ".join), st.integers(1, 60))
def test_an_excerpt_never_divides_a_placeholder(text: str, limit: int) -> None:
    shown, whole = excerpt(text, limit), excerpt(text, 1000)
    assert len(shown) <= limit
    if shown != whole:
        kept = shown.removesuffix("…")
        assert whole.startswith(kept)
        assert not any(found.start() < len(kept) < found.end() for found in PLACEHOLDER.finditer(whole))
