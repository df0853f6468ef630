"""Which answers are labels."""

import polars as pl
import pytest

from pipeline_config.errors import DataError
from tasks.data.labels import are_labels, is_selected, require_known


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["a", "b"] * 3, True),
        (["a", "b", "c", "a", "b", "c", "a", "b"], False),
        ([f"l{number}" for number in range(200)] * 3, True),
        ([f"l{number}" for number in range(201)] * 3, False),
        ([], False),
    ],
)
def test_labels_are_few_and_frequent(answers: list[str], expected: bool) -> None:
    assert are_labels(pl.Series(answers, dtype=pl.String)) is expected


def selected(wanted: list[str], *rows: tuple[str | None, str | None]) -> list[str | None]:
    table = pl.DataFrame(rows, schema={"output": pl.String, "fault": pl.String}, orient="row")
    return table.filter(is_selected(wanted))["output"].to_list()


def test_keeps_only_wanted_labels_and_rows_without_an_answer() -> None:
    rows = [("a", None), ("b", None), (None, None), ("c", None), ("a", None)]
    assert selected(["a", "c"], *rows) == ["a", None, "c", "a"]
    assert selected([], *rows) == ["a", "b", None, "c", "a"]


def test_keeps_a_row_whose_answer_cannot_be_used() -> None:
    assert selected(["a"], ("a", None), ("3", "NOT_TEXT")) == ["a", "3"]


def test_a_wanted_label_that_no_row_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="no row has the answer 'emial'") as caught:
        require_known(["emial", "network"], {"network", "email"})
    assert "did you mean `email`?" in str(caught.value)
    assert "email, network" in str(caught.value)
