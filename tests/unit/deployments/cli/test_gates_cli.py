"""`tunegate gates` and `tunegate topup`, as far as they need no server."""

from pathlib import Path
from typing import Any

import pytest

from deployments.cli.gates import judge_again
from deployments.cli.topup import top_up
from pipeline_config.environment import Machine, read_machine
from pipeline_config.errors import ConfigError, EvaluationError
from pipeline_config.pipeline import PipelineConfig
from tests.evaluations import write_finished_run
from tests.versions import make_config

GATES: dict[str, Any] = {"min_accuracy": {"kind": "threshold", "threshold": 0.5}, "fit": {"kind": "overfitting"}}
HELD = GATES | {"beats_base": {"kind": "improvement", "threshold": 0.88}}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path))
    return read_machine()


def config(gates: dict[str, Any], **data: Any) -> PipelineConfig:
    return make_config(gates=gates, data={"source": {"path": "/data/tickets.jsonl"}, **data})


@pytest.mark.parametrize(
    ("overrides", "code", "said"),
    [
        ([], 0, "pass: artifact aaaaaaaaaaaa judged again; this report opens nothing"),
        (["gates.min_accuracy=0.99"], 3, "fail           min_accuracy: accuracy 0.900"),
        (["gates.beats_base={kind: improvement, threshold: 0.9}"], 4, "hold           beats_base"),
    ],
)
def test_a_run_is_judged_again_under_other_gates(
    machine: Machine, capsys: pytest.CaptureFixture[str], overrides: list[str], code: int, said: str
) -> None:
    judged = write_finished_run(machine.workspace, config(GATES))
    assert judge_again("run-1", None, overrides, machine) == code
    output = capsys.readouterr().out
    assert said in output
    assert judged.digest in output


def test_gates_that_are_wrong_and_runs_that_are_not_there_are_said(machine: Machine) -> None:
    write_finished_run(machine.workspace, config(GATES))
    with pytest.raises(ConfigError, match="did you mean `accuracy`"):
        judge_again("run-1", None, ["gates.mine={metric: acuracy, threshold: 0.5}"], machine)
    with pytest.raises(EvaluationError, match="no finished run 'run-2'"):
        judge_again("run-2", None, [], machine)


@pytest.mark.parametrize(
    ("gates", "data", "reason"),
    [
        (GATES, {"max_test_rows": 200}, "the run's verdict is pass"),
        (GATES | {"safe": {"kind": "safety"}}, {"max_test_rows": 200}, "how many more rows"),
        (HELD, {}, "all 200 test rows"),
        (HELD, {"max_test_rows": 900}, "all 200 test rows"),
    ],
)
def test_what_cannot_be_topped_up_says_why(machine: Machine, gates: dict[str, Any], data: dict[str, Any], reason: str) -> None:
    write_finished_run(machine.workspace, config(gates, **data))
    with pytest.raises(EvaluationError, match=reason):
        top_up("run-1", None, machine)
