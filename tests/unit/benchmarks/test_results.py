"""What a benchmark writes, and when it fails."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.results import Bar, as_lines, exit_code, judge, result_of, write_result

BARS = (Bar("seconds", "<=", 2), Bar("recall", ">=", 0.9))


@pytest.mark.parametrize(
    ("figures", "holds"),
    [
        ({"seconds": 2.0, "recall": 0.9}, [True, True]),
        ({"seconds": 2.1, "recall": 0.9}, [False, True]),
        ({"seconds": 2.0, "recall": 0.89}, [True, False]),
        ({"seconds": 2.0}, [True, False]),
        ({"seconds": math.nan, "recall": math.nan}, [False, False]),
    ],
)
def test_a_bar_holds_only_where_its_figure_reaches_it(figures: dict[str, float], holds: list[bool]) -> None:
    result = result_of("tiny", figures, BARS, peers={}, notes=[])

    assert [bar["holds"] for bar in result["bars"]] == holds
    assert exit_code(result) == (0 if all(holds) else 1)


def test_a_figure_that_was_not_measured_is_null() -> None:
    assert judge(BARS, {})[0] == {"figure": "seconds", "op": "<=", "bound": 2, "value": None, "holds": False}


def test_a_bar_is_judged_before_its_figure_is_rounded() -> None:
    result = result_of("tiny", {"recall": 0.8999999}, BARS[1:], peers={}, notes=[])

    assert result["figures"] == {"recall": 0.9}
    assert exit_code(result) == 1


def test_the_file_has_the_parts_that_all_benchmarks_share(tmp_path: Path) -> None:
    peer = {"somebody": {"version": "1", "figures": {"seconds": 3.0}}}
    result = result_of("tiny", {"seconds": 1.0, "recall": math.nan}, BARS, peers=peer, notes=["a note"])  # type: ignore[arg-type]

    path = write_result(result, tmp_path)

    written = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert path.name == "tiny.json"
    assert list(written) == ["benchmark", "revision", "when", "machine", "figures", "peers", "bars", "notes"]
    assert written["figures"] == {"seconds": 1.0}
    assert written["bars"][1]["value"] is None
    assert written["machine"]["cores"] >= 1


def test_the_lines_say_what_fails_and_what_was_not_measured() -> None:
    lines = as_lines(result_of("tiny", {"seconds": 3.0}, BARS, peers={}, notes=[]))

    assert lines == ["FAILS  seconds: 3 (bar: <= 2)", "FAILS  recall: not measured (bar: >= 0.9)"]
