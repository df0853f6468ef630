"""What is said of a sample of rows by what they mean."""

import polars as pl
import pytest

from tasks.data.bymeaning import check_meaning
from tasks.data.findings import Finding
from tests.unit.tasks.data.word_embedder import WordEmbedder


def findings(train: list[str], test: list[str]) -> dict[str, Finding]:
    inputs = [*train, *test]
    rows = pl.DataFrame(
        {
            "row_id": [f"{number:03}" for number in range(len(inputs))],
            "file": "rows.jsonl",
            "line": range(1, len(inputs) + 1),
            "instruction": None,
            "input": inputs,
            "text": [f"{number:03}" for number in range(len(inputs))],
            "label": "a",
            "side": ["train"] * len(train) + ["test"] * len(test),
        },
        schema_overrides={"instruction": pl.String},
    )
    return {finding.code: finding for finding in check_meaning(rows, 100, WordEmbedder(), str).findings}


def test_a_leak_in_other_words_is_a_warning_that_names_the_model() -> None:
    found = findings(["cancel order", "extend contract"], ["annul order"])["OVERLAP_MEANING"]
    assert (found.level, found.count) == ("warning", 1)
    assert "by known words" in found.message


@pytest.mark.parametrize(("train", "narrow"), [(["cancel order"] * 20, True), (["cancel", "extend", "order", "contract"] * 5, False)])
def test_texts_that_are_much_alike_are_a_warning(train: list[str], narrow: bool) -> None:
    assert ("NARROW" in findings(train, ["not"])) is narrow


def test_few_rows_are_not_called_narrow() -> None:
    assert "NARROW" not in findings(["cancel order"] * 19, ["not"])
