"""A deployment of its own: makes a registered version live, if its own evidence and its approval policy allow it."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.asking import ask_in_prefect
from flows.rollout import rollout
from pipeline_config.errors import LedgerError, PromotionRefused
from tasks.registry.reviewing import in_one_line
from tasks.registry.task import ask_approval, keep_rejection, make_live, see_live, tell_reviewer, verify, weigh_answer

# Prefect's form takes a title from here and a description from the docstring.
ModelName = Annotated[str, Field(json_schema_extra={"title": "Registered model"})]
Version = Annotated[int, Field(ge=1, json_schema_extra={"title": "Version"})]


@flow(name="promotion", persist_result=False)
def promotion(model_name: ModelName, version: Version) -> State:
    """Verifies a version's evidence, asks for its approval, records it as live and rolls it out.

    Args:
        model_name: name in the registry, such as helpdesk-routing
        version: number of the version that is to become champion; only one whose verdict is pass is accepted
    """
    try:
        seen = see_live(model_name)
        evidence = verify(model_name, version)
        approval = ask_approval(evidence)
        if (approval.state, approval.policy) == ("awaiting", "prefect_input"):
            tell_reviewer(model_name, version, approval.reason)
            approval = weigh_answer(evidence, ask_in_prefect(evidence))
        if approval.state == "awaiting":
            return Completed(name="AwaitingApproval", message=tell_reviewer(model_name, version, approval.reason))
        if approval.state == "rejected":
            entry = keep_rejection(evidence, approval)
            text = f"rejected by ledger entry {entry.seq} ({approval.actor}): {approval.reason}"
            return Completed(name="Rejected", message=tell_reviewer(model_name, version, text))
        entry = make_live(evidence, approval, seen)
    except (PromotionRefused, LedgerError) as refusal:
        tell_reviewer(model_name, version, f"refused: {in_one_line(refusal)}")
        return Failed(name="Refused", message=str(refusal))
    rolled_out = rollout(model_name, version, return_state=True)
    if not rolled_out.is_completed():
        tell_reviewer(model_name, version, f"not served: {rolled_out.message} (approval: {approval.actor})")
        return Failed(name=rolled_out.name, message=rolled_out.message)
    tell_reviewer(model_name, version, f"live by ledger entry {entry.seq} (approval: {approval.actor})")
    return Completed(name="Promoted", message=f"{evidence.adapter_name} is live")
