"""The stage around the gates: keeps their report by content, so that a re-run finds the very same bytes, and remembers every judgement."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline_config.errors import EvaluationError
from pipeline_config.gates import GateConfig
from pipeline_config.loading import config_digest as digest_of
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateEvidence, GateReport, PreparedData, Record, RunContext, TrainedModel
from tasks.evaluate.gates import REPORT, judge_gates, write_report
from tasks.evaluate.gates_case import Case
from tasks.evaluate.leakage import Leaks, find_leaks
from tasks.evaluate.looks import Judgement, Look, judgement_key, look_at, looking, remember
from tasks.evaluate.outcomes import PREDICTIONS, read_outcomes
from tasks.evaluate.scores import SCORES
from tasks.evaluate.stored_rows import Scores, read_scores
from tasks.files import JUDGED, read_json, run_folder, sha256_file, sha256_json, stage_store, write_json
from tasks.stages import StageResult, run_stage

_REJUDGED = "rejudged"


class _Judged(Record):
    folder: Path
    digest: str


class JudgedRun(Record):
    """What it takes to judge a finished run's rows again: `judged.json` in its folder. `evaluation_folder` is relative to the workspace."""

    context: RunContext
    report_digest: str
    evaluation: EvaluationResult
    evaluation_folder: Path
    files: dict[str, str]
    trained: TrainedModel
    data: PreparedData
    leaks: Leaks
    look: int
    earlier: tuple[str, ...]


class Rejudged(NamedTuple):
    """A finished run, and the new report on it."""

    run: JudgedRun
    judged: GateEvidence


def judge_evaluation(
    gates: Mapping[str, GateConfig],
    workspace: Path,
    prepared: PreparedData,
    trained: TrainedModel,
    evaluated: StageResult[EvaluationResult],
    *,
    config_digest: str,
) -> StageResult[GateEvidence]:
    """Judges an evaluation, or reuses the report on it.

    Which look at the artifact this is, the workspace remembers (`tasks.evaluate.looks`): a second one is judged at a stricter level.

    Raises:
        EvaluationError: nobody can tell which look it is, because the log of judgements is broken.
    """
    evaluation, settings = evaluated.value, {name: gate.model_dump(mode="json") for name, gate in gates.items()}
    scores = read_scores(evaluation.folder)
    key = judgement_key(trained.artifact_digest, _answers_digest(evaluation, scores), settings, evaluation.champion_name)
    with looking(workspace):
        look = look_at(workspace, key, trained.artifact_digest)
        inputs = {
            "gates": settings,
            "evaluation": evaluated.key,
            "trained": trained.model_dump(mode="json", exclude={"folder"}),
            "data": prepared.digest,
            "canaries": prepared.canaries,
            "config": config_digest,
            "earlier": look.earlier,
        }

        def build(folder: Path) -> _Judged:
            case = Case(
                evaluation, read_outcomes(evaluation.folder), trained, prepared.canaries, scores, find_leaks(prepared, trained), look
            )
            report = judge_gates(gates, case, data_digest=prepared.digest, config_digest=config_digest)
            return _Judged(folder=folder, digest=write_report(folder, report).digest)

        result = run_stage(stage_store(workspace), "gates", inputs, _Judged, build)
        evidence = _evidence(result.value.folder, result.value.digest)
        remember(workspace, _judgement(key, evidence))
    return StageResult(result.name, evidence, result.key, result.seconds, result.reused)


def keep_for_rejudging(
    context: RunContext, prepared: PreparedData, trained: TrainedModel, evaluation: EvaluationResult, judged: GateEvidence
) -> None:
    """Writes what :func:`rejudge` needs into the run's folder."""
    report, folder = judged.report, evaluation.folder
    kept = JudgedRun(
        context=context, report_digest=judged.digest, evaluation=evaluation, evaluation_folder=folder.relative_to(context.workspace),
        files=_files(folder), trained=trained, data=prepared, leaks=find_leaks(prepared, trained), look=report.look, earlier=report.earlier,
    )  # fmt: skip
    write_json(run_folder(context.workspace, context.run_id) / JUDGED, kept.model_dump(mode="json"))


def rejudge(folder: Path, workspace: Path, config: PipelineConfig) -> Rejudged:
    """Judges the stored rows of the finished run in a folder by a configuration's gates, without a model.

    The report names the one that it judges again, stands in a folder of its own below the run's, and opens nothing: promotion refuses it.

    Raises:
        EvaluationError: the run was not judged, or what it was judged by is gone or was changed.
    """
    run = _judged_run(folder / JUDGED, workspace)
    answered, look, digest = run.evaluation.folder, Look(run.look, run.earlier), digest_of(config)
    case = Case(run.evaluation, read_outcomes(answered), run.trained, run.data.canaries, read_scores(answered), run.leaks, look)
    report = judge_gates(config.gates, case, data_digest=run.data.digest, config_digest=digest, rejudges=run.report_digest)
    return Rejudged(run, write_report(folder / _REJUDGED / digest[:16], report))


def _judged_run(path: Path, workspace: Path) -> JudgedRun:
    """What was kept; the evaluation's folder is that in this workspace, which may have been moved."""
    if not path.is_file():
        raise EvaluationError("the run was not judged", where=str(path), expected="a run whose gates were judged")
    try:
        run = JudgedRun.model_validate(read_json(path))
    except ValueError as error:
        raise EvaluationError(
            f"what the run was judged by cannot be read: {error}", where=str(path), expected="as it was written"
        ) from error
    folder = workspace / run.evaluation_folder
    if not folder.is_dir() or _files(folder) != run.files:
        raise EvaluationError(
            "the rows that the run was judged by are gone or were changed", where=str(folder), expected=", ".join(sorted(run.files)),
            hint="`tunegate run` with the run's config.json evaluates again",
        )  # fmt: skip
    return run.model_copy(update={"evaluation": run.evaluation.model_copy(update={"folder": folder})})


def _files(folder: Path) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in (PREDICTIONS, SCORES) if (folder / name).is_file()}


def _evidence(folder: Path, digest: str) -> GateEvidence:
    path = folder / REPORT
    return GateEvidence(path=path, digest=digest, report=GateReport.model_validate_json(path.read_bytes()))


def _answers_digest(evaluation: EvaluationResult, scores: Scores) -> str:
    """Digest of what was answered; another exam in general use is another judgement as well."""
    retention = evaluation.retention
    if retention is None:
        return scores.answers_digest()
    text = [retention.text.digest, retention.text.tokens] if retention.text is not None else None
    return sha256_json([scores.answers_digest(), retention.suite_digest, text])


def _judgement(key: str, evidence: GateEvidence) -> Judgement:
    report = evidence.report
    return Judgement(key=key, artifact_digest=report.artifact_digest, report_digest=evidence.digest, verdict=report.verdict)
