"""What happens to faulty rows is decided by the policy for their code."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import ChecksConfig, Policy
from pipeline_config.errors import DataError
from tasks.data.policies import EXAMPLES, Tally, add_up, apply_policies, policies_of, tally
from tasks.data.quarantine import CODES, FAULTS, faults_of

POLICIES: dict[str, Policy] = {"REFUSAL": "report", "BROKEN_ENCODING": "quarantine", "CARD": "fail", "WRONG_LANGUAGE": "ignore"}


def shard(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"row_id": ids, "file": ["a.jsonl"] * len(ids), "line": range(1, len(ids) + 1)})


def faults(*pairs: tuple[str, str]) -> pl.DataFrame:
    return faults_of([(row_id, code, f"output shows {code}") for row_id, code in pairs])


def test_each_code_goes_its_own_way() -> None:
    found = faults(("r1", "REFUSAL"), ("r2", "BROKEN_ENCODING"), ("r3", "WRONG_LANGUAGE"))
    applied = apply_policies(found, shard("r1", "r2", "r3"), POLICIES)
    assert applied.faults.rows() == [("r2", "BROKEN_ENCODING", "output shows BROKEN_ENCODING")]
    assert applied.faults.schema == FAULTS
    assert tally(applied.reported) == {"REFUSAL": Tally(1, ("r1",))}


def test_a_code_without_a_policy_is_quarantined() -> None:
    assert apply_policies(faults(("r1", "NO_TURNS")), shard("r1"), POLICIES).faults["row_id"].to_list() == ["r1"]


def test_a_row_that_is_taken_out_is_not_reported_as_well() -> None:
    found = faults(("r1", "REFUSAL"), ("r1", "BROKEN_ENCODING"), ("r2", "REFUSAL"))
    assert tally(apply_policies(found, shard("r1", "r2"), POLICIES).reported) == {"REFUSAL": Tally(1, ("r2",))}


def test_without_faults_nothing_happens() -> None:
    applied = apply_policies(faults(), shard("r1"), POLICIES)
    assert applied.faults.is_empty()
    assert tally(applied.reported) == {}


def test_fail_is_one_error_that_says_how_many_rows_and_where_the_first_is() -> None:
    found = faults(("r1", "CARD"), ("r1", "CARD"), ("r0", "CARD"), ("r9", "BROKEN_ENCODING"))
    with pytest.raises(DataError, match=r"2 of 4 rows .*\(CARD 2\); the first: output shows CARD") as caught:
        apply_policies(found, shard("r9", "r1", "r0", "r2"), POLICIES)
    assert caught.value.where == "a.jsonl, line 2"
    assert "data.sensitive.card is `fail`" in caught.value.expected


def test_the_error_names_the_setting_of_a_check() -> None:
    with pytest.raises(DataError, match=r"data\.checks\.refusal is `fail`"):
        apply_policies(faults(("r1", "REFUSAL")), shard("r1"), {"REFUSAL": "fail"})
    with pytest.raises(DataError, match=r"data\.sensitive\.presidio\.policy is `fail`"):
        apply_policies(faults(("r1", "PRESIDIO")), shard("r1"), {"PRESIDIO": "fail"})


def test_every_check_with_a_policy_has_its_code_and_its_setting() -> None:
    policies = policies_of(ChecksConfig(refusal="report", wrong_language="ignore"))
    assert policies == {"WRONG_LANGUAGE": "ignore", "BROKEN_ENCODING": "quarantine", "CONTROL_TOKENS": "quarantine", "REFUSAL": "report"}
    assert set(policies) <= set(CODES)
    assert {code.lower() for code in policies} <= set(ChecksConfig.model_fields)


def test_the_smallest_ids_are_the_examples_and_a_row_counts_once() -> None:
    found = faults(*((f"r{number}", "REFUSAL") for number in (7, 3, 3, 9, 1, 8)))
    assert tally(found) == {"REFUSAL": Tally(5, ("r1", "r3", "r7"))}


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["REFUSAL", "EMAIL"])), max_size=40))
def test_shards_add_up_to_the_whole_in_any_order(found: list[tuple[int, str]]) -> None:
    shards = [faults(*((f"r{row}", code) for row, code in found if row % 4 == shard)) for shard in range(4)]
    whole = tally(faults(*((f"r{row}", code) for row, code in found)))
    assert add_up(map(tally, shards)) == add_up(map(tally, reversed(shards))) == whole
    assert all(len(part.examples) == min(EXAMPLES, part.rows) for part in whole.values())
