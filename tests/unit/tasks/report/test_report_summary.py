import json
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from pipeline_config.data import DataConfig, SourceConfig
from pipeline_config.environment import read_machine
from pipeline_config.errors import TrainingError
from pipeline_config.gates import OverfittingGate, ThresholdGate
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.registry import RegistryConfig
from pipeline_config.training import TrainingConfig
from tasks.artifacts import (
    CurvePoint,
    EvaluationResult,
    Figures,
    GateEvidence,
    GateReport,
    GateResult,
    PreparedData,
    PromotionOutcome,
    RegisteredVersion,
    RowCounts,
    RunContext,
    StageRecord,
    TrainedModel,
    Verdict,
)
from tasks.files import read_json
from tasks.report.summary import RunParts, outcome_of, summarise
from tasks.report.table import curl_line, render
from tasks.report.task import RunReport
from tasks.stages import StageResult
from tests.builders import make_prepared, make_row

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "reference" / "summary.schema.json").read_text())
DIGEST = "0123456789abcdef" * 4
CONFIG = PipelineConfig(
    environment="local",
    data=DataConfig(source=SourceConfig(path=Path("unused"))),
    gates={"min_accuracy": ThresholdGate(threshold=0.8), "fit": OverfittingGate(kind="overfitting")},
    registry=RegistryConfig(model_name="desk", approval="auto"),
)
PREPARED = PreparedData(
    folder=Path(), digest=DIGEST, training_digest=DIGEST, instruction="Route it.", labels=("a", "b"),
    counts=RowCounts(read=10, train=4, validation=1, test=4, quarantined=1, duplicates=0, unselected=0, set_aside=0),
)  # fmt: skip
TRAINED = TrainedModel(
    folder=Path(), artifact_digest=DIGEST, base_digest=DIGEST, method="lora", steps=8, shipped_step=8,
    curve=(CurvePoint(step=8, epoch=1.0, train_loss=None, validation_loss=0.5),), stopped_early=False, layout="packed",
    supervised_tokens=80, total_tokens=800, tokens_per_second=None, peak_memory_bytes=1 << 30,
)  # fmt: skip
EVALUATED = EvaluationResult(
    folder=Path(), rows=4, base=Figures(values={"accuracy": 0.25, "macro_f1": 0.2, "perplexity": 9.0}),
    tuned=Figures(values={"accuracy": 0.75, "perplexity": 1.5}), tfidf=Figures(values={"accuracy": 0.5}),
    champion=None, champion_name=None, champion_fault=None, champion_seen_rows=0, tuned_train_accuracy=1.0,
    base_constrained=True,
)  # fmt: skip
VERSION = RegisteredVersion(
    model_name="desk", version=3, adapter_name="desk-v3", artifact_digest=DIGEST, gate_report_digest=DIGEST, url="http://mlflow/desk/3"
)


def evidence(verdict: Verdict) -> GateEvidence:
    gate = GateResult(
        name="min_accuracy", kind="threshold", metric="accuracy", value=0.75, threshold=0.8, interval=(0.3, 0.95), rows=4,
        outcome=verdict, reason="accuracy 0.750 [0.300, 0.950] on 4 rows",
    )  # fmt: skip
    return GateEvidence(
        path=Path(), digest=DIGEST,
        report=GateReport(artifact_digest=DIGEST, data_digest=DIGEST, config_digest=DIGEST, gates=(gate,), verdict=verdict),
    )  # fmt: skip


def parts(verdict: Verdict, promotion: str | None = None) -> RunParts:
    promoted = PromotionOutcome(state=promotion, message=None, url="http://prefect/p", seconds=3.0) if promotion else None
    return RunParts(
        stages=(StageRecord(name="prepare", status="reused", seconds=0.1, reused=True),),
        data=PREPARED, trained=TRAINED, evaluated=EVALUATED, judged=evidence(verdict), registered=VERSION, promotion=promoted,
    )  # fmt: skip


def context(workspace: Path = Path("/nowhere")) -> RunContext:
    return RunContext(run_id="20260101-abc", workspace=workspace, mlflow_run_id="m", mlflow_run_url="http://mlflow/m", prefect_run_url=None)


ENDS: list[tuple[RunParts, bool, str]] = [
    (parts("pass", "Promoted"), False, "passed"),
    (parts("pass", "AwaitingApproval"), False, "awaiting_approval"),
    (parts("pass", "Rejected"), False, "rejected"),
    (parts("pass", "Refused"), False, "error"),
    (parts("pass"), False, "error"),
    (parts("fail"), False, "gate_failed"),
    (parts("hold"), False, "held"),
    (RunParts(error="no rows"), False, "error"),
    (RunParts(), True, "interrupted"),
    (parts("pass", "Promoted"), True, "interrupted"),
]


def summary_of(run: RunParts, interrupted: bool) -> dict[str, Any]:
    outcome = outcome_of(run, interrupted=interrupted)
    endpoint = {"url": "http://127.0.0.1:8000/v1/chat/completions", "model": "desk"} if outcome == "passed" else None
    return summarise(CONFIG, context(), run, outcome, endpoint, "my vpn is gone" if run.data else None)


@pytest.mark.parametrize(("run", "interrupted", "outcome"), ENDS)
def test_every_end_has_its_word_and_a_summary_that_keeps_the_contract(run: RunParts, interrupted: bool, outcome: str) -> None:
    summary = summary_of(run, interrupted)
    jsonschema.validate(json.loads(json.dumps(summary, allow_nan=False)), SCHEMA)
    assert summary["outcome"] == outcome
    assert (summary["endpoint"] is not None) == (outcome == "passed")


def test_the_summary_tells_what_was_done_and_what_was_not_reached() -> None:
    summary = summary_of(parts("fail"), False)
    assert summary["stages"]["prepare"] == {"status": "reused", "seconds": 0.1, "reused": True}
    assert summary["stages"]["promote"]["status"] == "skipped"
    assert summary["rows"]["quarantined"] == 1
    assert summary["metrics"]["base"] == {"accuracy": 0.25, "macro_f1": 0.2, "perplexity": 9.0}
    assert summary["metrics"]["champion"] == {"accuracy": None, "macro_f1": None, "perplexity": None}
    assert (summary["model"]["version"], summary["training"]["peak_memory_bytes"]) == (3, 1 << 30)


def test_notes_say_what_was_done_in_another_way_than_usual() -> None:
    run = parts("pass").model_copy(
        update={
            "trained": TRAINED.model_copy(update={"notes": ("training falls back to padded batches",)}),
            "evaluated": EVALUATED.model_copy(update={"champion_seen_rows": 2, "base_constrained": False}),
        }
    )
    notes = "\n".join(summary_of(run, False)["notes"])
    assert all(words in notes for words in ("no person approved", "padded batches", "2 test rows", "the base answered freely"))
    assert not any("padded" in note for note in summary_of(parts("pass"), False)["notes"])


def test_notes_say_what_weakens_the_evidence() -> None:
    safety = {"secret": 0, "email": 2, "phone": 1, "any": 2, "answers": 4}
    changes = {"decided_before": 3, "judge_failures": 5, "judge_fault": "the judge answers HTTP 500", "safety": safety}
    notes = summary_of(parts("pass").model_copy(update={"evaluated": EVALUATED.model_copy(update=changes)}), False)["notes"]
    assert any(note.startswith("3 other artifacts were judged by these test rows before") for note in notes)
    assert "the judge gave no verdict on 5 rows (the judge answers HTTP 500): `judge` was not measured" in notes
    assert "2 answers of the tuned model hold personal data or secrets that nobody gave it (email 2, phone 1)" in notes
    one = EVALUATED.model_copy(update={"decided_before": 1})
    assert any("1 other artifact was" in note for note in summary_of(parts("pass").model_copy(update={"evaluated": one}), False)["notes"])
    words = ("test rows before", "the judge", "personal data")
    assert not any(word in note for note in summary_of(parts("pass"), False)["notes"] for word in words)


def test_every_figure_that_anybody_has_is_in_the_summary_and_in_the_table() -> None:
    tuned = Figures(values={"accuracy": 0.75, "rougeL": 0.4242, "bleu": None})
    summary = summary_of(parts("fail").model_copy(update={"evaluated": EVALUATED.model_copy(update={"tuned": tuned})}), False)
    jsonschema.validate(summary, SCHEMA)
    assert (summary["metrics"]["tuned"]["rougeL"], summary["metrics"]["base"]["rougeL"]) == (0.4242, None)
    lines = {line.split()[1]: line for line in shown(summary).splitlines() if line.startswith("│") and len(line.split()) > 2}
    assert "0.424" in lines["rougeL"]
    assert lines["accuracy"].index("0.250") < lines["accuracy"].index("0.750"), "base before tuned"
    assert "bleu" not in lines, "nobody has it"


def test_notes_say_which_training_settings_were_mapped_or_are_unusual() -> None:
    training = TrainingConfig.model_validate({"warmup_ratio": 0.1, "learning_rate": 0.5})
    notes = summarise(CONFIG.model_copy(update={"training": training}), context(), parts("pass"), "passed", None, None)["notes"]
    assert any(note.startswith("training.warmup_ratio is taken as") for note in notes)
    assert any(note.startswith("training.learning_rate is 0.5; usual for lora is") for note in notes)


def shown(summary: dict[str, Any]) -> str:
    text = StringIO()
    Console(file=text, width=80).print(render(summary), soft_wrap=True)
    return text.getvalue()


@pytest.mark.parametrize(("run", "interrupted", "outcome"), ENDS)
def test_every_end_can_be_shown(run: RunParts, interrupted: bool, outcome: str) -> None:
    text = shown(summary_of(run, interrupted))
    assert ("curl" in text) == (outcome == "passed")
    if run.judged is not None:
        assert "[0.300, 0.950]" in " ".join(text.replace("│", " ").split()), "an interval must not be taken for markup"
        assert "http://mlflow/desk/3" in text


def test_a_narrow_terminal_does_not_break_the_lines_that_are_copied() -> None:
    summary = summary_of(parts("pass", "Promoted"), False)
    url = "http://127.0.0.1:5000/#/models/" + "long-name-" * 10
    summary["urls"]["model_version"] = url
    lines = shown(summary).splitlines()
    assert curl_line(summary["endpoint"], "my vpn is gone") in lines
    assert f"model version: {url}" in lines


@pytest.mark.parametrize(
    "message", ["my vpn is gone", 'it\'s $HOME `id` "quoted" \\ back', "Umlaute äöü €\nand a second line", "-d @/etc/passwd"]
)
def test_the_curl_line_survives_a_shell(message: str) -> None:
    line = curl_line({"url": "http://127.0.0.1:8000/v1/chat/completions", "model": "desk"}, message)
    script = f'curl() {{ printf "%s\\0" "$@"; }}\n{line}'
    arguments = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert arguments[1] == "http://127.0.0.1:8000/v1/chat/completions"
    assert json.loads(arguments[-1]) == {"model": "desk", "messages": [{"role": "user", "content": message}]}


@pytest.fixture
def report(tmp_path: Path) -> RunReport:
    return RunReport(CONFIG, context(tmp_path), read_machine({"TUNEGATE_WORKSPACE": str(tmp_path)}))


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    rows = [make_row("my vpn is gone", "a")]
    return PREPARED.model_copy(update={"folder": make_prepared(tmp_path / "data", rows, rows, rows).folder})


def added(report: RunReport, *values: tuple[str, Any], reused: bool = False) -> None:
    for name, value in values:
        assert report.add(StageResult(name, value, "k", 0.5, reused)).value is value


def latest(workspace: Path) -> dict[str, Any]:
    summary: dict[str, Any] = read_json(workspace / "runs" / "latest" / "summary.json")
    jsonschema.validate(summary, SCHEMA)
    return summary


def test_a_run_that_breaks_leaves_a_summary_that_names_the_stage(report: RunReport, prepared: PreparedData, tmp_path: Path) -> None:
    added(report, ("prepare", prepared))
    with pytest.raises(TrainingError), report:
        raise TrainingError("out of memory", where="training process")
    summary = latest(tmp_path)
    assert summary["outcome"] == "error"
    assert "out of memory" in summary["error"]
    assert [summary["stages"][name]["status"] for name in ("prepare", "train", "evaluate")] == ["completed", "failed", "skipped"]


def test_a_run_that_is_interrupted_says_so(report: RunReport, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), report:
        raise KeyboardInterrupt
    assert latest(tmp_path)["outcome"] == "interrupted"


def test_a_version_that_is_live_already_has_passed(report: RunReport, prepared: PreparedData, tmp_path: Path) -> None:
    with report:
        judged = evidence("pass")
        results = (("prepare", prepared), ("train", TRAINED), ("evaluate", EVALUATED), ("gates", judged), ("register", VERSION))
        added(report, *results, reused=True)
        report.already_live()
    summary = latest(tmp_path)
    assert (summary["outcome"], summary["endpoint"]["model"], summary["example"]) == ("passed", "desk", "my vpn is gone")
    assert all(stage["reused"] for stage in summary["stages"].values())


def test_a_promotion_that_breaks_is_an_error_with_its_reason(report: RunReport, tmp_path: Path) -> None:
    with report:
        added(report, ("train", TRAINED), ("gates", evidence("pass")), ("register", VERSION))
        report.promoted(PromotionOutcome(state="Refused", message="its files changed", url=None, seconds=1.0))
    summary = latest(tmp_path)
    assert summary["outcome"] == "error"
    assert "its files changed" in summary["error"]
    assert report.final_state().is_failed()
