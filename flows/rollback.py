"""A deployment of its own: goes back to a version that was live before, proves that it is still that version, and rolls it out."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.rollout import rollout
from pipeline_config.errors import PromotionRefused
from tasks.registry.task import choose_target, make_live_again, verify

# Prefect's form takes a title from here and a description from the docstring.
ModelName = Annotated[str, Field(json_schema_extra={"title": "Registered model"})]
Why = Annotated[str, Field(min_length=1, json_schema_extra={"title": "Why"})]
Version = Annotated[int | None, Field(ge=1, json_schema_extra={"title": "Version"})]
Actor = Annotated[str, Field(min_length=1, json_schema_extra={"title": "Who"})]


@flow(name="rollback", persist_result=False)
def rollback(model_name: ModelName, why: Why, version: Version = None, actor: Actor = "unauthenticated (Prefect)") -> State:
    """Makes a version live again that was live before, without asking for another approval.

    Args:
        model_name: name in the registry, such as helpdesk-routing
        why: the reason, for the ledger
        version: number of a version that was live before; empty means the one before the live one
        actor: who asks; a name typed here is recorded as typed and proves nothing
    """
    try:
        target = choose_target(model_name, version)
        evidence = verify(model_name, target.version)
        make_live_again(evidence, target, actor, why)
    except PromotionRefused as refusal:
        return Failed(name="Refused", message=str(refusal))
    rolled_out = rollout(model_name, target.version, return_state=True)
    if not rolled_out.is_completed():
        return Failed(name=rolled_out.name, message=rolled_out.message)
    return Completed(name="RolledBack", message=f"{evidence.adapter_name} is live again")
