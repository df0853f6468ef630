"""The parts of the benchmark of data preparation that are no measurement."""

import json
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]  # no stubs in the lock
import pytest

from benchmarks import data, data_peer
from benchmarks.data import BARS, alternate, cost_figures, recall_figures
from benchmarks.data_preparation import Cost
from benchmarks.data_recall import CODES, Counted
from benchmarks.results import judge, write_result


def cost(rows: int, seconds: float, peak: int) -> Cost:
    return {"process_seconds": seconds + 1, "seconds": seconds, "peak_bytes": peak, "rows": rows, "quarantined": 0, "duplicates": 0}


def test_growth_and_bytes_are_those_of_a_further_row() -> None:
    figures = cost_figures(cost(100, 2.0, 2**30), cost(1100, 33.0, 2**30 + 500_000))

    assert figures["cost_per_row_growth"] == pytest.approx((33 / 1100) / (2 / 100))
    assert figures["bytes_per_row"] == pytest.approx(500)
    assert figures["seconds"] == pytest.approx(34)
    assert figures["peak_gib"] == pytest.approx(1, abs=1e-3)


def test_every_bar_on_what_is_found_has_a_figure() -> None:
    one = Counted(1, 1, 0, 1)
    figures = recall_figures(dict.fromkeys(CODES, one), one, one)

    wanted = [bar.figure for bar in BARS if "recall" in bar.figure or "precision" in bar.figure]
    assert [name for name in wanted if name not in figures] == ["recall_paraphrase_leak", "paraphrase_precision"]


def test_faults_of_form_count_together() -> None:
    counted = {**dict.fromkeys(CODES, Counted(10, 10, 0, 10)), "empty_output": Counted(5, 10, 0, 10)}

    assert recall_figures(counted, Counted(1, 1, 0, 1), Counted(1, 1, 0, 1))["recall_schema"] == pytest.approx(45 / 50)


@pytest.mark.parametrize(("spoiled", "code"), [({}, 0), ({"seconds": 361.0}, 1), ({"recall_card": 0.98}, 1)])
def test_a_bar_that_does_not_hold_makes_the_run_fail(
    spoiled: dict[str, float], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = {bar.figure: bar.bound for bar in BARS}
    monkeypatch.setattr(data, "_parts", lambda *_: {"first": lambda: reached, "second": lambda: spoiled})
    monkeypatch.setattr(data, "write_result", lambda result: write_result(result, tmp_path))
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path / "workspace"))

    assert data.main() == code
    written = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert [bar["figure"] for bar in written["bars"] if not bar["holds"]] == list(spoiled)
    assert capsys.readouterr().out.count("FAILS") == len(spoiled)


def test_without_banking77_its_bar_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANKING77_DIR", raising=False)
    monkeypatch.setattr(data, "quarantined_share", lambda sources: 0.0)

    judged = {bar["figure"]: bar for bar in judge(BARS, data.measure_false_quarantine())}

    assert judged["false_quarantine_samples"]["holds"]
    assert judged["false_quarantine_banking77"]["value"] is None
    assert not judged["false_quarantine_banking77"]["holds"]


def test_both_run_in_turn_equally_often() -> None:
    order: list[str] = []

    alternate(lambda: order.append("ours"), lambda: order.append("theirs"))

    assert order == ["ours", "theirs"] * data.ALTERNATIONS
    assert data.ALTERNATIONS >= 3


def peer_finds(text: str | None, output: str | None = "label") -> set[str]:
    columns = {"row_id": ["a", "b"], "file": ["f", "f"], "instruction": ["Answer.", "Answer."], "input": [text, "plain"]}
    frame = pd.DataFrame({**columns, "output": [output, "label"]}, dtype=data_peer.TEXT).assign(line=[1, 2])
    cases = data_peer.find_faults(frame, data_peer.row_schema())
    assert cases.empty or set(cases["index"]) == {0}
    return set() if cases.empty else set(cases["check"])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("My card is not here; größer\nin two lines", set()),
        ("Write to ana@example.org", {"EMAIL"}),
        ("Call +49 30 23125 123", {"PHONE"}),
        ("From 192.0.2.17.", {"IP"}),
        ("It is 4111 1111 1111 1111.", {"CARD"}),
        ("It is 4111 1111 1111 1112.", set()),
        ("To DE89 3704 0044 0532 0130 00 at once", {"IBAN"}),
        ("Key AKIAABCDEFGHIJKLMNOP", {"SECRET"}),
        ("a\x07b", {"CONTROL_CHARACTERS"}),
        (" \t", {"EMPTY_INPUT"}),
        (None, {"EMPTY_INPUT"}),
    ],
)
def test_the_peer_finds_what_ours_finds(text: str | None, codes: set[str]) -> None:
    assert codes <= peer_finds(text)
    assert peer_finds(text) - codes <= {"PHONE"}


def test_the_peer_finds_an_empty_answer() -> None:
    assert peer_finds("plain", " ") == {"EMPTY_OUTPUT"}


def test_the_peers_findings_have_their_lines_and_what_is_only_counted_is_left_out() -> None:
    texts = ["plain", "IBAN DE89370400440532013000", "Write to ana@example.org"]
    columns = {name: texts if name == "input" else ["a", "b", "c"] for name in ("row_id", "file", "instruction", "input", "output")}
    frame = pd.DataFrame(columns, dtype=data_peer.TEXT).assign(line=[5, 6, 7])

    places = data_peer.places_of(data_peer.find_faults(frame, data_peer.row_schema()), frame)

    assert places == {"line": [6], "code": ["IBAN"]}


def test_arrow_runs_the_peers_expressions_itself() -> None:
    """Where an expression needs Python's own, the peer is many times slower."""
    texts = pd.Series(["größer\nals", "4111 1111 1111 1111"], dtype=data_peer.TEXT)
    patterns = [value for name, value in vars(data_peer).items() if isinstance(value, str) and name.isupper() and not name.startswith("__")]
    assert len(patterns) >= 7
    assert [pattern for pattern in patterns if texts.array._needs_python_regex(pattern)] == []
