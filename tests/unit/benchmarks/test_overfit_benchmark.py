"""The parts of the overfitting benchmark that train nothing."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.overfit import BARS, main, train_all
from benchmarks.overfit import RUNS as OVERFIT_RUNS
from benchmarks.overfit_records import Stored, record_file
from benchmarks.overfit_runs import CALIBRATION, KINDS, REPORT, SCARCE, SMALL, TEST_ROWS, TRUTH_ROWS, VALIDATION_ROWS, Run, plan, write_data
from benchmarks.overfit_thresholds import best_cuts, misjudged, proposal
from benchmarks.overfit_truth import evidence_of, figures_of, judge_kept, judge_record, true_rebound
from benchmarks.results import RESULTS, judge
from pipeline_config.errors import DataError
from tasks.files import write_json
from tasks.rows import answer_of, read_rows

RUNS = plan()
SIDES = ("train", "validation", "test", "truth")


def rows(loss: float, count: int = 20, right: float = 0.5) -> dict[str, list[Any]]:
    """Answers of two tokens, all with the same loss a token."""
    return {"nats": [2 * loss] * count, "tokens": [2] * count, "right": [at < right * count for at in range(count)]}


def record(run: Run, validation: list[float], truth: list[float], shipped: int = -1) -> Stored:
    steps = [10 * at for at in range(1, len(validation) + 1)]
    points = [
        {"step": step, "epoch": step / 10, "train_loss": 0.4, "validation_loss": loss} for step, loss in zip(steps, validation, strict=True)
    ]
    measured = {
        "truth": {str(step): rows(loss) for step, loss in zip(steps, truth, strict=True)},
        "shipped": {"train": rows(0.1, right=1.0), "validation": rows(validation[shipped]), "test": rows(truth[shipped])},
    }
    return {
        "run": asdict(run), "curve": points, "shipped_step": steps[shipped], "measured": measured, "seconds": 1.0, "revision": None,
    }  # fmt: skip


GOOD, BAD = ([1.0, 0.5, 0.4], [1.0, 0.5, 0.41]), ([1.0, 0.5, 0.9], [1.0, 0.5, 0.8])


def test_a_hundred_and_thirty_runs_calibrate_and_fifty_others_are_reported_on() -> None:
    assert len(RUNS) == len({run.name for run in RUNS}) == 180
    assert [run.calibrates for run in RUNS] == [True] * 130 + [False] * 50
    assert Counter(run.kind for run in RUNS if run.calibrates) == dict.fromkeys(KINDS, CALIBRATION)
    assert Counter(run.kind for run in RUNS if not run.calibrates) == dict.fromkeys(KINDS, REPORT)


def test_the_plan_is_the_same_every_time_and_its_settings_are_valid() -> None:
    assert plan() == RUNS
    for run in RUNS:
        assert run.training().method == run.method


def test_what_is_reported_on_has_as_many_validation_rows_as_a_real_run_but_where_few_rows_are_the_point() -> None:
    assert all((run.validation_rows in VALIDATION_ROWS) == (run.kind not in SMALL) for run in RUNS if run.number >= SCARCE)
    assert all(run.validation_rows < min(VALIDATION_ROWS) for run in RUNS if run.number < SCARCE)


def test_the_verdict_as_it_is_judges_the_real_runs_as_the_result_says() -> None:
    kept = [json.loads(line) for line in (RESULTS / OVERFIT_RUNS).read_text().splitlines()]
    reported = [judge_kept(run) for run in kept if run["number"] >= CALIBRATION]
    stored = json.loads((RESULTS / "overfit.json").read_text())["figures"]
    assert len(kept) == len(RUNS)
    assert {name: value for name, value in stored.items() if name in figures_of(reported)} == pytest.approx(figures_of(reported))


def test_another_setting_is_another_record() -> None:
    run = RUNS[0]
    assert replace(run, epochs=run.epochs + 1).name != run.name


@pytest.fixture
def banking(tmp_path: Path) -> Path:
    for name, count in (("train", 40), ("test", 8)):
        lines = [f"{name} message {n} about {label},{label}" for label in "abcdefghijklmnopqrstuv" for n in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,category", *lines]) + "\n")
    return tmp_path


def test_sides_are_disjoint_but_for_what_leaks(banking: Path, tmp_path: Path) -> None:
    run = replace(RUNS[0], source="banking77", labels=20, rows=40, validation_rows=20, noise=0.0, leak=0.0)
    for leak, shared in ((0.0, 0), (0.5, 10)):
        folder = tmp_path / str(leak)
        write_data(replace(run, leak=leak), banking, folder)
        sides = {
            side: [row["digest"] for row in read_rows(folder / f"{side}.parquet")] for side in ("train", "validation", "test", "truth")
        }
        assert {side: len(found) for side, found in sides.items()} == {
            "train": 40,
            "validation": 20,
            "test": TEST_ROWS,
            "truth": TRUTH_ROWS,
        }
        assert len(set(sides["validation"]) & set(sides["train"])) == shared
        assert not set(sides["truth"]) & {*sides["train"], *sides["validation"], *sides["test"]}
        assert not set(sides["test"]) & {*sides["train"], *sides["validation"]}


def test_noise_is_on_every_side(banking: Path, tmp_path: Path) -> None:
    run = replace(RUNS[0], source="banking77", labels=20, rows=100, validation_rows=60, noise=0.3, leak=0.0)
    write_data(run, banking, tmp_path / "rows")
    for side in SIDES:
        found = read_rows(tmp_path / "rows" / f"{side}.parquet")
        wrong = sum(not row["messages"][-2]["content"].endswith(f" {answer_of(row)}") for row in found)
        assert 0.1 < wrong / len(found) < 0.5


def test_too_few_rows_are_an_error(banking: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 2 labels"):
        write_data(replace(RUNS[0], source="banking77", labels=2, rows=200), banking, tmp_path / "rows")


def test_the_truth_is_measured_on_its_own_rows_at_the_shipped_checkpoint() -> None:
    assert true_rebound(record(RUNS[0], *BAD)) == pytest.approx(0.8 / 0.5)
    assert true_rebound(record(RUNS[0], *BAD, shipped=1)) == 1.0


def test_the_verdict_is_told_nothing_of_the_truth() -> None:
    one, other = record(RUNS[0], [1.0, 0.5], [1.0, 0.5]), record(RUNS[0], [1.0, 0.5], [1.0, 0.5])
    other["measured"]["truth"] = {step: rows(9.0) for step in other["measured"]["truth"]}
    assert evidence_of(one) == evidence_of(other)


@pytest.mark.parametrize(
    ("validation", "truth", "wrong", "severity"),
    [
        (GOOD[0], GOOD[1], False, "none"),
        (BAD[0], BAD[1], False, "severe"),
        (BAD[0], GOOD[1], True, "none"),
        (GOOD[0], BAD[1], True, "severe"),
        ([1.0, 0.5, 0.55], [1.0, 0.5, 0.53], False, "mild"),
    ],
)
def test_wrong_is_the_wrong_side_of_the_gate(validation: list[float], truth: list[float], wrong: bool, severity: str) -> None:
    judged = judge_record(record(RUNS[0], validation, truth))
    assert (judged.wrong, judged.truth) == (wrong, severity)


def test_a_verdict_that_is_not_known_closes_the_gate() -> None:
    stored = record(RUNS[0], *GOOD)
    stored["curve"] = stored["curve"][:-1]  # the shipped checkpoint's point
    judged = judge_record(stored)
    assert (judged.found.severity, judged.closed, judged.wrong) == ("unknown", True, True)


def test_figures_count_what_was_trained_only() -> None:
    judged = [judge_record(record(RUNS[0], *GOOD)), judge_record(record(RUNS[1], *BAD)), judge_record(record(RUNS[2], BAD[0], GOOD[1]))]
    figures = figures_of(judged)
    assert figures["overfit_wrong"] == pytest.approx(1 / 3)
    assert (figures["runs"], figures["severe_runs"], figures["closed_though_not_severe"], figures["passed_though_severe"]) == (3, 1, 1, 0)
    assert sum(value for name, value in figures.items() if name.startswith("wrong_")) == 1
    holds = {bar["figure"]: bar["holds"] for bar in judge(BARS, figures)}
    assert holds == {"overfit_wrong": False, "runs": False, "severe_runs": False}
    assert not any(bar["holds"] for bar in judge(BARS, figures_of([])))


def test_the_best_cut_is_the_widest_that_misjudges_fewest() -> None:
    examples = [(1.0, False), (1.1, False), (1.5, True), (1.45, False), (2.0, True)]
    assert best_cuts(examples) == (1.45, 1.5, 0)
    assert best_cuts([(1.0, False), (1.1, True), (1.2, False), (1.6, True)]) == (1.2, 1.6, 1)
    assert misjudged(examples, 1.2) == 1


def test_a_proposal_names_every_threshold() -> None:
    judged = [judge_record(record(RUNS[at], *(GOOD if at % 2 else BAD))) for at in range(6)]
    lines = list(proposal(judged))
    assert lines[0].startswith("0 of 6 runs")
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "severe rebound", "mild rebound", "chance of known validation rows, below", "share of known validation rows",
    ]  # fmt: skip
    assert "any between 1 and 1.774 misjudges 0; proposed: 1.387" in lines[1]


def test_a_run_with_a_record_is_not_trained_again(tmp_path: Path) -> None:
    run = RUNS[0]
    write_json(record_file(run, tmp_path), record(run, *GOOD))
    assert list(train_all([run], tmp_path / "no banking", tmp_path, jobs=1)) == [run]


def test_calibration_looks_at_no_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path / "no banking"))
    for run in RUNS:
        if run.calibrates:
            write_json(record_file(run, tmp_path / "benchmarks" / "overfit"), record(run, *(BAD if run.kind == "wrong-labels" else GOOD)))
    assert main(["--calibrate"]) == 0
    said = capsys.readouterr().out
    assert "130 of 130" in said
    assert "0 of 130 runs are on the wrong side" in said
    assert all(f"-{number} " not in said for number in range(CALIBRATION, CALIBRATION + REPORT))
