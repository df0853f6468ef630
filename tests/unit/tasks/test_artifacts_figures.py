import math

import pytest
from pydantic import ValidationError

from tasks.artifacts import Figures

MEASURED = Figures(values={"accuracy": 0.5, "macro_f1": None})


def test_figures_are_asked_by_name_and_null_where_there_is_none() -> None:
    assert [MEASURED.get(name) for name in ("accuracy", "macro_f1", "bleu")] == [0.5, None, None]


def test_figures_are_stored_as_a_plain_mapping_and_read_back_equal() -> None:
    assert MEASURED.model_dump() == {"accuracy": 0.5, "macro_f1": None}
    assert Figures.model_validate_json(MEASURED.model_dump_json()) == MEASURED
    assert Figures.model_validate(MEASURED) == MEASURED


def test_a_metric_may_be_called_values() -> None:
    named = Figures(values={"values": 0.5})
    assert Figures.model_validate(named.model_dump()) == named


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_refuses_what_is_no_finite_number(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Figures(values={"accuracy": number})
