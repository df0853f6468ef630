"""`tunegate gates`: judges the stored rows of a finished run again, without a model and without any server."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.cli.runs import CONFIG, find
from pipeline_config.environment import Machine
from pipeline_config.loading import load_over
from tasks.artifacts import GateEvidence

if TYPE_CHECKING:
    from tasks.report.writing import Written

_EXIT_CODES = {"pass": 0, "fail": 3, "hold": 4}


def judge_again(run: str, file: Path | None, overrides: Sequence[str], machine: Machine) -> int:
    """Writes the new report and its page below the run's folder and prints it; returns the exit code.

    Raises:
        ConfigError: the run's configuration with these changes is wrong.
        EvaluationError: there is no such run, or what it was judged by is gone.
    """
    folder = find(run, machine)
    config = load_over(folder / CONFIG, file, overrides)
    from tasks.evaluate.judging import rejudge
    from tasks.report.summary import RunParts
    from tasks.report.writing import write_page

    finished, judged = rejudge(folder, machine.workspace, config)
    parts = RunParts(data=finished.data, trained=finished.trained, evaluated=finished.evaluation, judged=judged)
    print("\n".join(_lines(judged, write_page(config, finished.context, parts, None, judged.path.parent))))
    return _EXIT_CODES[judged.report.verdict]


def _lines(judged: GateEvidence, written: "Written") -> list[str]:
    report = judged.report
    return [
        f"{report.verdict}: artifact {report.artifact_digest[:12]} judged again; this report opens nothing",
        *(f"{gate.outcome.replace('_', ' '):<14} {gate.name}: {gate.reason}" for gate in report.gates),
        f"judged again  {report.rejudges}",
        f"report        {judged.path}",
        *written.faults,
        *([f"page          {written.page}"] if written.page else []),
    ]
