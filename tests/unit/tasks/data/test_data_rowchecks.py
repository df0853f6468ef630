"""What becomes of rows that fail a check of a single row, by policy."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline_config.data import ChecksConfig, PresidioConfig, SensitiveConfig
from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData
from tasks.data.prepare import prepare_data
from tasks.data.quarantine import count_by_code
from tasks.data.reporting import read_report
from tasks.data.template import ChatTemplate
from tasks.rows import read_rows
from tests.unit.tasks.data.data_builders import count_words, data_config, prepare, ticket, tickets, write_jsonl
from tests.unit.tasks.test_presidio import needs_presidio

FRENCH = "Bonjour, je ne peux plus ouvrir ma messagerie depuis ce matin, et le mot de passe est pourtant le bon"
ODD: dict[str, dict[str, object]] = {
    "broken_encoding": ticket(90, input="the café writes cafÃ© on every bill"),
    "control_tokens": ticket(91, input="ignore this <|im_end|> and answer email"),
    "refusal": ticket(92, output="I'm sorry, but as an AI language model I cannot help you with this request."),
    "wrong_language": ticket(93, input=FRENCH),
}

LONG = ticket(94, input=" ".join(f"word{number}" for number in range(80)))


def prepared_with(tmp_path: Path, *odd: dict[str, object], sensitive: SensitiveConfig | None = None, **checks: Any) -> PreparedData:
    data = data_config(
        write_jsonl(tmp_path / "a.jsonl", [*tickets(), *odd]),
        checks=ChecksConfig(near_duplicate_jaccard=None, **checks),
        **({"sensitive": sensitive} if sensitive else {}),
    )
    return prepare(data, tmp_path / "out", max_length=60)


def texts(prepared: PreparedData) -> list[str]:
    rows = [row for side in ("train", "validation", "test") for row in read_rows(prepared.folder / f"{side}.parquet")]
    return [row["messages"][1]["content"] for row in rows]


@pytest.mark.parametrize("name", ODD)
def test_an_unfit_row_is_quarantined_unless_the_policy_says_otherwise(tmp_path: Path, name: str) -> None:
    assert count_by_code(prepared_with(tmp_path, ODD[name], languages=("en",)).folder) == {name.upper(): 1}


@pytest.mark.parametrize("name", ODD)
def test_a_reported_row_is_kept_counted_and_shown(tmp_path: Path, name: str) -> None:
    prepared = prepared_with(tmp_path, ODD[name], languages=("en",), **{name: "report"})
    assert prepared.counts.quarantined == 0
    found = {finding.code: finding for finding in read_report(prepared.folder).findings}
    assert (found[name.upper()].level, found[name.upper()].count) == ("info", 1)
    assert [example.line for example in found[name.upper()].examples] == [41]


@pytest.mark.parametrize("name", ODD)
def test_an_ignored_fault_is_not_looked_for(tmp_path: Path, name: str) -> None:
    prepared = prepared_with(tmp_path, ODD[name], languages=("en",), **{name: "ignore"})
    assert prepared.counts.quarantined == 0
    assert name.upper() not in {finding.code for finding in read_report(prepared.folder).findings}


@pytest.mark.parametrize("name", ODD)
def test_a_fault_may_stop_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"data.checks.{name} is `fail`") as caught:
        prepared_with(tmp_path, ODD[name], languages=("en",), **{name: "fail"})
    assert "a.jsonl, line 41" in str(caught.value)


def test_all_checks_of_wording_may_be_ignored(tmp_path: Path) -> None:
    prepared = prepared_with(tmp_path, *ODD.values(), **dict.fromkeys(ODD, "ignore"))
    assert prepared.counts.quarantined == 0


def test_a_row_that_one_check_takes_out_is_not_counted_as_kept_by_another(tmp_path: Path) -> None:
    address = "please write to jane.doe@corp-mail.org"
    refused = ticket(96, input=address, output=str(ODD["refusal"]["output"]))
    card = ticket(97, input="my card is 4111 1111 1111 1111, call me", output=str(ODD["refusal"]["output"]))
    long = ticket(98, input=f"{address} {LONG['input']}")
    prepared = prepared_with(tmp_path, refused, card, long, ticket(99, input=f"{address} now"))
    kept = {finding.code: finding.count for finding in read_report(prepared.folder).findings if finding.level == "info"}
    assert kept["EMAIL"] == 1
    assert count_by_code(prepared.folder) == {"REFUSAL": 1, "CARD": 1, "TOO_LONG": 1}


def test_no_language_is_wrong_unless_some_are_asked_for(tmp_path: Path) -> None:
    assert prepared_with(tmp_path, ODD["wrong_language"]).counts.quarantined == 0


def test_rows_that_are_too_long_are_dropped_shortened_or_stop_the_run(tmp_path: Path) -> None:
    assert count_by_code(prepared_with(tmp_path, LONG).folder) == {"TOO_LONG": 1}
    shortened = prepared_with(tmp_path, LONG, too_long="truncate")
    assert shortened.counts.quarantined == 0
    assert max(len(text.split()) for text in texts(shortened)) == 60 - 4 - 4 - 4 - 3 - 1
    assert "TRUNCATED" in {finding.code for finding in read_report(shortened.folder).findings}
    with pytest.raises(DataError, match=r"data\.checks\.too_long is `fail`"):
        prepared_with(tmp_path, LONG, too_long="fail")


def test_masked_rows_hold_a_placeholder_and_are_counted(tmp_path: Path) -> None:
    row = ticket(95, input="please write to jane.doe@corp-mail.org about it")
    prepared = prepared_with(tmp_path, row, sensitive=SensitiveConfig(email="mask"))
    assert "please write to <EMAIL> about it" in texts(prepared)
    found = {finding.code: finding for finding in read_report(prepared.folder).findings}
    assert found["MASKED_EMAIL"].count == 1


def test_no_example_shows_what_is_sensitive(tmp_path: Path) -> None:
    rows = [ticket(96, input="my card is 4111 1111 1111 1111, call me"), ticket(97, input="write to jane.doe@corp-mail.org")]
    prepared = prepared_with(tmp_path, *rows)
    report = read_report(prepared.folder).model_dump_json()
    assert "4111 1111" not in report
    assert "jane.doe" not in report
    assert "<CARD>" in report
    assert "<EMAIL>" in report


def chat(*roles: str) -> dict[str, object]:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "find", "arguments": {}}}]}
    turns = [call if role == "call" else {"role": role, "content": f"text of {role}"} for role in roles]
    return {"messages": turns}


@pytest.mark.parametrize(
    ("left_out", "odd"),
    [
        ("tool calls", chat("user", "call", "tool", "assistant")),
        ("several answers", chat("user", "assistant", "user", "assistant")),
        ("system turns", chat("system", "user", "assistant")),
    ],
)
def test_what_the_template_leaves_out_is_one_error_before_rows_are_written(tmp_path: Path, left_out: str, odd: dict[str, object]) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [*[chat("user", "assistant")] * 3, odd])
    template = ChatTemplate(60, count_words, frozenset, lambda: {left_out})
    with pytest.raises(DataError, match=f"does not render {left_out}") as caught:
        prepare_data(data_config(path), template=template, folder=tmp_path / "out")
    assert "a.jsonl, line 4" in str(caught.value)
    assert not (tmp_path / "out" / "train.parquet").exists()


def test_rows_without_it_need_not_be_rendered(tmp_path: Path) -> None:
    def never() -> frozenset[str]:
        raise AssertionError("no row has turns")

    rows = [{"input": row["input"], "output": row["output"]} for row in tickets()]
    template = ChatTemplate(60, count_words, frozenset, never)
    prepared = prepare_data(data_config(write_jsonl(tmp_path / "a.jsonl", rows)), template=template, folder=tmp_path / "out")
    assert pl.read_parquet(prepared.folder / "split.parquet").height == 40


@needs_presidio
@pytest.mark.parametrize(("policy", "level", "quarantined"), [("report", "info", 0), ("quarantine", "removed", 1)])
def test_the_report_counts_what_presidio_finds_and_does_not_show_it(tmp_path: Path, policy: Any, level: str, quarantined: int) -> None:
    row = ticket(95, input="the laptop 00:1A:2B:3C:4D:5E is gone")
    sensitive = SensitiveConfig(presidio=PresidioConfig(entities=("MAC_ADDRESS",), policy=policy))
    prepared = prepared_with(tmp_path, row, sensitive=sensitive)
    [found] = [finding for finding in read_report(prepared.folder).findings if finding.code == "PRESIDIO"]
    assert (found.level, found.count, prepared.counts.quarantined) == (level, 1, quarantined)
    assert found.examples[0].text.startswith("the laptop <MAC_ADDRESS> is gone")
    assert "1A:2B" not in read_report(prepared.folder).model_dump_json()
