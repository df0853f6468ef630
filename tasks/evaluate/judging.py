"""The stage around the gates: keeps their report by content, so that a re-run finds the very same bytes, and remembers every judgement."""

from collections.abc import Mapping
from pathlib import Path

from pipeline_config.errors import EvaluationError
from pipeline_config.gates import GateConfig
from pipeline_config.loading import config_digest as digest_of
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateEvidence, GateReport, PreparedData, Record, TrainedModel
from tasks.evaluate.gates import REPORT, judge_gates, write_report
from tasks.evaluate.gates_case import Case
from tasks.evaluate.leakage import Leaks, find_leaks
from tasks.evaluate.looks import Judgement, Look, judgement_key, look_at, looking, remember
from tasks.evaluate.outcomes import PREDICTIONS, read_outcomes
from tasks.evaluate.scores import SCORES
from tasks.evaluate.stored_rows import Scores, read_scores
from tasks.files import JUDGED, read_json, sha256_file, sha256_json, stage_store, write_json
from tasks.stages import StageResult, run_stage

_REJUDGED = "rejudged"


class _Judged(Record):
    folder: Path
    digest: str


class JudgedRun(Record):
    """What it takes to judge a finished run's rows again: `judged.json` in its folder. `evaluation_folder` is relative to the workspace."""

    report_digest: str
    evaluation: EvaluationResult
    evaluation_folder: Path
    files: dict[str, str]
    trained: TrainedModel
    data_digest: str
    canaries: int
    leaks: Leaks
    look: int
    earlier: tuple[str, ...]


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
    run_folder: Path, workspace: Path, prepared: PreparedData, trained: TrainedModel, evaluation: EvaluationResult, judged: GateEvidence
) -> None:
    """Writes what :func:`rejudge` needs into the run's folder."""
    report, folder = judged.report, evaluation.folder
    kept = JudgedRun(
        report_digest=judged.digest, evaluation=evaluation, evaluation_folder=folder.relative_to(workspace), files=_files(folder),
        trained=trained, data_digest=prepared.digest, canaries=prepared.canaries, leaks=find_leaks(prepared, trained),
        look=report.look, earlier=report.earlier,
    )  # fmt: skip
    write_json(run_folder / JUDGED, kept.model_dump(mode="json"))


def rejudge(run_folder: Path, workspace: Path, config: PipelineConfig) -> GateEvidence:
    """Judges a finished run's stored rows by a configuration's gates, without a model.

    The report names the one that it judges again, stands in a folder of its own below the run's, and opens nothing: promotion refuses it.

    Raises:
        EvaluationError: the run was not judged, or what it was judged by is gone or was changed.
    """
    run = _judged_run(run_folder / JUDGED)
    folder = workspace / run.evaluation_folder
    if not folder.is_dir() or _files(folder) != run.files:
        raise EvaluationError(
            "the rows that the run was judged by are gone or were changed", where=str(folder), expected=", ".join(sorted(run.files)),
            hint="`tunegate run` with the run's config.json evaluates again",
        )  # fmt: skip
    look = Look(run.look, run.earlier)
    evaluation = run.evaluation.model_copy(update={"folder": folder})
    case = Case(evaluation, read_outcomes(folder), run.trained, run.canaries, read_scores(folder), run.leaks, look)
    digest = digest_of(config)
    report = judge_gates(config.gates, case, data_digest=run.data_digest, config_digest=digest, rejudges=run.report_digest)
    return write_report(run_folder / _REJUDGED / digest[:16], report)


def _judged_run(path: Path) -> JudgedRun:
    if not path.is_file():
        raise EvaluationError("the run was not judged", where=str(path), expected="a run whose gates were judged")
    try:
        return JudgedRun.model_validate(read_json(path))
    except ValueError as error:
        raise EvaluationError(
            f"what the run was judged by cannot be read: {error}", where=str(path), expected="as it was written"
        ) from error


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
