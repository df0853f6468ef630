"""Which answers are labels."""

import polars as pl
import pytest

from pipeline_config.errors import DataError
from tasks.data.labels import are_labels, require_two_classes, select_labels


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


def table(*outputs: str | None) -> pl.DataFrame:
    return pl.DataFrame({"output": outputs, "not_text": [None] * len(outputs)}, schema={"output": pl.String, "not_text": pl.String})


def test_keeps_only_wanted_labels_and_rows_without_an_answer() -> None:
    assert select_labels(table("a", "b", None, "c", "a"), ["a", "c"])["output"].to_list() == ["a", None, "c", "a"]


def test_no_wanted_labels_keep_every_row() -> None:
    assert select_labels(table("a", None), []).height == 2


def test_keeps_a_row_whose_answer_is_not_text() -> None:
    odd = table("a", "3").with_columns(not_text=pl.Series([None, "output is of type int"]))
    assert select_labels(odd, ["a"]).height == 2


def test_a_wanted_label_that_no_row_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="no row has the answer 'emial'") as caught:
        select_labels(table("email", "network"), ["emial", "network"])
    assert "did you mean `email`?" in str(caught.value)
    assert "email, network" in str(caught.value)


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match="one class only: all 4 training rows have the answer 'a'"):
        require_two_classes(pl.Series(["a"] * 4))
    require_two_classes(pl.Series(["a", "b"] * 4))
