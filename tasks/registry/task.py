"""The registry stage as Prefect tasks: register a version, prove it, ask for its approval, make it live, take that back."""

import getpass
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from pipeline_config.environment import Machine, read_machine, read_secret
from pipeline_config.errors import LedgerError, PromotionRefused, RegistryError, ServiceError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateEvidence, PreparedData, RegisteredVersion, Rival, RunContext, TrainedModel
from tasks.files import exclusive, version_cache
from tasks.ledger import Entry, Ledger, open_ledger
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.approval import Approval, Given
from tasks.registry.bundling import bundle
from tasks.registry.mlflow_bases import MlflowBaseStore
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.port import adapter_name
from tasks.registry.promote import (
    Target,
    decided,
    go_back,
    is_live,
    note_rolled_out,
    promote,
    rollback_target,
    undo,
    was_rolled_out,
)
from tasks.registry.reconcile import Healed, Models, known_models, reconcile
from tasks.registry.reviewing import approval_tags, ask, is_overdue, note, point_challenger, reject, weigh
from tasks.registry.rival import rival_of
from tasks.registry.stamps import STAMP_KEY
from tasks.registry.verdict import Evidence, verified_evidence
from tasks.registry.watching import Runs, Watch, look, point_challengers
from tasks.stages import StageResult


@task(name="find the champion", persist_result=False, cache_policy=NO_CACHE)
def find_rival(config: PipelineConfig, context: RunContext, trained: StageResult[TrainedModel]) -> Rival | None:
    """The version that the new artifact has to stand up to; null for a first version."""
    machine = read_machine()
    registry, ledger = _registry(machine), open_ledger(context.workspace, machine.ledger_url)
    return rival_of(registry, ledger, config.registry.model_name, trained.value.artifact_digest, version_cache(context.workspace))


@task(name="register", persist_result=False, cache_policy=NO_CACHE)
def register(
    config: PipelineConfig,
    context: RunContext,
    prepared: StageResult[PreparedData],
    trained: StageResult[TrainedModel],
    evaluated: StageResult[EvaluationResult],
    judged: StageResult[GateEvidence],
) -> StageResult[RegisteredVersion]:
    """Makes the artifact a version, whatever its verdict, unless the same artifact with the same report is one already.

    One that nobody decided on in time is no obstacle: the new version gets a time of its own.
    """
    started = time.monotonic()
    registry, name, evidence = _registry(read_machine()), config.registry.model_name, judged.value
    artifact = evidence.report.artifact_digest
    found = _found(registry, name, evidence, config)
    version = found or _register(registry, config, context, prepared.value, trained.value, evaluated.value, evidence)
    value = RegisteredVersion(
        model_name=name,
        version=version,
        adapter_name=adapter_name(name, version),
        artifact_digest=artifact,
        gate_report_digest=evidence.digest,
        url=registry.url(name, version),
    )
    _link_back(context, value)
    return StageResult("register", value, evidence.digest, time.monotonic() - started, found is not None)


def _register(
    registry: MlflowRegistry,
    config: PipelineConfig,
    context: RunContext,
    prepared: PreparedData,
    trained: TrainedModel,
    evaluated: EvaluationResult,
    judged: GateEvidence,
) -> int:
    name, bases = config.registry.model_name, MlflowBaseStore(read_machine().mlflow_url)
    with TemporaryDirectory() as folder:
        # A large base takes minutes to store: the lock, which a rollback needs, is not held meanwhile.
        parts = bundle(Path(folder), config, context, prepared, trained, evaluated, judged, bases)
        with exclusive(_lock(context.workspace)):
            tags = parts.tags | approval_tags(config.registry, _requester())
            return _found(registry, name, judged, config) or registry.register(
                name, context.mlflow_run_id, trained.artifact, parts.evidence, tags, parts.description, parts.package
            )


def _found(registry: MlflowRegistry, name: str, judged: GateEvidence, config: PipelineConfig) -> int | None:
    """The version of this artifact with this report, unless nobody decided on it in time."""
    found = registry.find(name, judged.report.artifact_digest, judged.digest)
    if found and is_overdue(registry, _ledger(read_machine()), name, found, config.registry, datetime.now(UTC)):
        get_run_logger().info("nobody decided on version %d in time: it is registered anew", found)
        return None
    return found


def _link_back(context: RunContext, registered: RegisteredVersion) -> None:
    """The run's page in MLflow names the version, as the version's page names the run."""
    tags = {"tunegate.version": registered.adapter_name, "tunegate.version_url": registered.url}
    MlflowTracker(read_machine().mlflow_url).set_tags(context.mlflow_run_id, tags)


def is_already_live(context: RunContext, registered: RegisteredVersion) -> bool:
    """Whether exactly this version is what the ledger says is live."""
    live = open_ledger(context.workspace, read_machine().ledger_url).live(registered.model_name)
    digests = (registered.version, registered.artifact_digest, registered.gate_report_digest)
    return live is not None and (live.version, live.artifact_digest, live.gate_report_digest) == digests


@task(name="verify the evidence", persist_result=False, cache_policy=NO_CACHE)
def verify(model_name: str, version: int) -> Evidence:
    """Fetches a version and proves that it passed.

    Raises:
        PromotionRefused: it does not.
    """
    machine = read_machine()
    evidence = verified_evidence(_registry(machine), model_name, version, version_cache(machine.workspace))
    get_run_logger().info("%s passed: its files, gate report and configuration are the ones that were judged", evidence.adapter_name)
    return evidence


@task(name="ask for approval", persist_result=False, cache_policy=NO_CACHE)
def ask_approval(evidence: Evidence) -> Approval:
    """What the version's approval policy says now: approved, rejected or awaiting.

    Raises:
        PromotionRefused: what was decided does not count, or the time to decide is over.
        LedgerError: the ledger was tampered with.
    """
    machine = read_machine()
    approval = ask(_registry(machine), _ledger(machine), evidence, datetime.now(UTC), read_secret(STAMP_KEY))
    return _unless_refused(approval, evidence)


@task(name="weigh the answer", persist_result=False, cache_policy=NO_CACHE)
def weigh_answer(evidence: Evidence, given: Given) -> Approval:
    """As :func:`ask_approval`, for what a person wrote into Prefect's form."""
    machine = read_machine()
    return _unless_refused(weigh(_registry(machine), _ledger(machine), evidence, given, datetime.now(UTC)), evidence)


@task(name="record the rejection", persist_result=False, cache_policy=NO_CACHE)
def keep_rejection(evidence: Evidence, approval: Approval) -> Entry:
    """Records in the ledger that a reviewer said no. What is live stays.

    Raises:
        LedgerError: somebody else wrote to the ledger meanwhile.
    """
    machine = read_machine()
    return reject(_registry(machine), _ledger(machine), evidence, approval, _lock(machine.workspace))


@task(name="tell the reviewer", persist_result=False, cache_policy=NO_CACHE)
def tell_reviewer(model_name: str, version: int, text: str) -> str:
    """Answers on the version's page, and makes `challenger` name the newest version that waits. Returns the answer.

    Neither decides anything, so that a registry which does not answer changes nothing about what was done.
    """
    registry, now = _registry(read_machine()), datetime.now(UTC)
    note(registry, model_name, version, text, now)
    try:
        point_challenger(registry, _ledger(read_machine()), model_name, now)
    except (RegistryError, LedgerError) as error:
        get_run_logger().warning("the alias challenger of %s was not set: %s", model_name, error.what)
    return text


@task(name="look for decisions", persist_result=False, cache_policy=NO_CACHE)
def look_for_decisions(runs: Runs, pause: float) -> int:
    """Attends to every decision in the registry, as the watching service does all the time; returns how many decisions stand there.

    Args:
        pause: seconds between the two looks that a decision has to outlast; see `tasks.registry.watching.look`.

    Raises:
        ServiceError: some decision could not be attended to; the next look tries again.
    """
    machine = read_machine()
    watch = Watch(_registry(machine), _ledger(machine), runs, read_secret(STAMP_KEY))
    first = look(watch, datetime.now(UTC), {})
    time.sleep(pause)
    second = look(watch, datetime.now(UTC), first.seen)
    for model, version in point_challengers(watch.registry, watch.ledger, datetime.now(UTC)).items():
        get_run_logger().info("%s: %s", model, f"version {version} awaits a decision" if version else "nothing awaits a decision")
    if second.faults:
        raise ServiceError("; ".join(second.faults), where=machine.mlflow_url, hint="`tunegate status` says what is up")
    return len(second.seen)


@task(name="see what is live", persist_result=False, cache_policy=NO_CACHE)
def see_live(model_name: str) -> int:
    """What was decided on a model before this promotion, for :func:`make_live`."""
    return decided(_ledger(read_machine()), model_name)


@task(name="make it live", persist_result=False, cache_policy=NO_CACHE)
def make_live(evidence: Evidence, approval: Approval, seen: int) -> Entry:
    """Records the version as live in the ledger, then moves the aliases.

    Args:
        seen: of :func:`see_live`, from the beginning of the promotion.

    Raises:
        LedgerError: somebody else has decided on this model since, or the ledger was tampered with.
    """
    machine = read_machine()
    entry = promote(_registry(machine), _ledger(machine), evidence, approval, seen, _lock(machine.workspace))
    get_run_logger().info("ledger entry %d: %s is live", entry.seq, entry.adapter_name)
    return entry


@task(name="choose the version to go back to", persist_result=False, cache_policy=NO_CACHE)
def choose_target(model_name: str, version: int | None) -> Target:
    """The version to go back to.

    Raises:
        PromotionRefused: see `tasks.registry.promote.rollback_target`.
    """
    machine = read_machine()
    return rollback_target(_registry(machine), _ledger(machine), model_name, version)


@task(name="make it live again", persist_result=False, cache_policy=NO_CACHE)
def make_live_again(evidence: Evidence, target: Target, actor: str, why: str) -> Entry:
    """Records in the ledger that a version is live again, then moves the aliases.

    Raises:
        PromotionRefused: its bytes or its report are not those that were live.
        LedgerError: somebody else has decided on this model since, or the ledger was tampered with.
    """
    machine = read_machine()
    entry = go_back(_registry(machine), _ledger(machine), evidence, target, actor, why, _lock(machine.workspace))
    get_run_logger().info("ledger entry %d: %s is live again", entry.seq, entry.adapter_name)
    return entry


@task(name="check that it is live", persist_result=False, cache_policy=NO_CACHE)
def require_live(evidence: Evidence) -> None:
    """Refuses a version that the ledger does not name.

    Raises:
        PromotionRefused: another version is live, or none.
    """
    live = _ledger(read_machine()).live(evidence.model_name)
    if not is_live(live, evidence):
        found = live.adapter_name if live else None
        raise PromotionRefused(
            f"the ledger says that {found or 'no version'} is live", where=evidence.adapter_name,
            expected="this version to be promoted first", hint="start the `promotion` deployment instead",
        )  # fmt: skip


@task(name="undo the promotion", persist_result=False, cache_policy=NO_CACHE)
def take_back(evidence: Evidence, reason: str) -> Entry | None:
    """Makes live what was live before, in ledger and aliases; null if the version is not live any more."""
    machine = read_machine()
    entry = undo(_registry(machine), _ledger(machine), evidence, reason, _lock(machine.workspace))
    get_run_logger().warning("%s is taken back; live is %s", evidence.adapter_name, (entry.adapter_name if entry else None) or "nothing")
    return entry


def _unless_refused(approval: Approval, evidence: Evidence) -> Approval:
    if approval.state == "refused":
        raise PromotionRefused(approval.reason, where=evidence.adapter_name)
    get_run_logger().info("%s by %s: %s", approval.state, approval.actor, approval.reason)
    return approval


def _requester() -> str | None:
    """Who started this run: the user of this machine, or whoever Prefect names; null where nobody is named."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is not None and run.deployment_id is not None:
        by = run.created_by.display_value if run.created_by else None
        return "schedule (Prefect)" if run.auto_scheduled else by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return None


@task(name="see whether it was proven", persist_result=False, cache_policy=NO_CACHE)
def is_proven(model_name: str) -> bool:
    """Whether the model server was proven to serve what is live, once."""
    machine = read_machine()
    return was_rolled_out(_registry(machine), _ledger(machine), model_name)


@task(name="note the proof", persist_result=False, cache_policy=NO_CACHE)
def note_proof(evidence: Evidence) -> None:
    """Notes on the version's page that the model server was proven to serve it."""
    machine = read_machine()
    note_rolled_out(_registry(machine), _ledger(machine), evidence)


@task(name="find models", persist_result=False, cache_policy=NO_CACHE)
def find_models() -> Models:
    """All models that the ledger or tunegate's versions name."""
    machine = read_machine()
    return known_models(_registry(machine), _ledger(machine))


@task(name="put it right", persist_result=False, cache_policy=NO_CACHE)
def heal(model_name: str) -> Healed:
    """Makes a model's aliases and tags say what the ledger says.

    Raises:
        LedgerError: the ledger was tampered with or its end was cut off.
        RegistryError: see `tasks.registry.reconcile.reconcile`.
    """
    machine = read_machine()
    healed = reconcile(_registry(machine), _ledger(machine), model_name, _lock(machine.workspace))
    if healed.remark is not None:
        get_run_logger().warning("ledger entry %d on %s: %s", healed.remark.seq, model_name, healed.remark.reason)
    return healed


def _registry(machine: Machine) -> MlflowRegistry:
    return MlflowRegistry(machine.mlflow_url)


def _ledger(machine: Machine) -> Ledger:
    return open_ledger(machine.workspace, machine.ledger_url)


def _lock(workspace: Path) -> Path:
    return workspace / "registry.lock"
