"""Asks a person in Prefect's page: the promotion run ends its process and waits, for as long as it takes, until the form is sent."""

from typing import Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field

from pipeline_config.errors import PromotionRefused
from tasks.registry.approval import Given
from tasks.registry.verdict import Evidence


class Review(RunInput):
    """The form. What it asks for stands in the ledger afterwards."""

    decision: Literal["approved", "rejected"] = Field(json_schema_extra={"title": "Decision", "position": 0})
    reviewer: str = Field(min_length=1, json_schema_extra={"title": "Your name (recorded as typed)", "position": 1})
    reason: str = Field(min_length=1, json_schema_extra={"title": "Why", "position": 2})


def ask_in_prefect(evidence: Evidence) -> Given:
    """Suspends the run until somebody has filled in the form. The run then starts from its beginning, and this call returns.

    The answer is to these very bytes: if artifact or report change meanwhile, the resumed run asks anew.

    Raises:
        PromotionRefused: this run is of no deployment, and so nothing would start it again.
    """
    if deployment.id is None:
        raise PromotionRefused(
            "this run cannot wait for an answer in Prefect's page", where=evidence.adapter_name, expected="a run of a deployment",
            hint="start the deployment `promotion/promotion`",
        )  # fmt: skip
    key = f"{evidence.artifact_digest[:16]}-{evidence.gate_report_digest[:16]}"
    answer = suspend_flow_run(wait_for_input=Review.with_initial_data(description=_description(evidence)), timeout=None, key=key)
    return Given(
        status=answer.decision, reason=answer.reason, actor=f"{answer.reviewer} (typed into Prefect's form, unauthenticated)",
        artifact_digest=evidence.artifact_digest, gate_report_digest=evidence.gate_report_digest,
    )  # fmt: skip


def _description(evidence: Evidence) -> str:
    gates = [f"| {gate.name} | {gate.outcome} | {gate.reason.replace('|', ' ')} |" for gate in evidence.report.gates]
    return "\n".join(
        [
            f"**{evidence.adapter_name}** passed. Shall it go live?",
            "",
            "| gate | outcome | reason |",
            "| --- | --- | --- |",
            *gates,
            "",
            f"Artifact `{evidence.artifact_digest[:12]}`, gate report `{evidence.gate_report_digest[:12]}`.",
        ]
    )
