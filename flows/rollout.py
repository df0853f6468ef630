"""A deployment of its own: makes the model server serve the live version, proves it, and undoes the switch if that fails."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from pipeline_config.errors import PromotionRefused, RolloutError
from tasks.deploy.task import follow_ledger, load_version, one_at_a_time, prove_switch
from tasks.registry.task import is_proven, note_proof, require_live, take_back, verify

# Prefect's form takes a title from here and a description from the docstring.
ModelName = Annotated[str, Field(json_schema_extra={"title": "Registered model"})]
Version = Annotated[int, Field(ge=1, json_schema_extra={"title": "Version"})]


@flow(name="rollout", persist_result=False)
def rollout(model_name: ModelName, version: Version) -> State:
    """Loads the live version on the model server and compares its answers with the ones that were judged.

    Where it was proven before, what fails now is no reason to go back: that is for a person to decide.

    Args:
        model_name: name in the registry, such as helpdesk-routing
        version: number of the version that the ledger says is live; any other is refused

    Raises:
        RolloutError: the server did not serve the version; what was live before is live again, unless this version was proven before.
    """
    with one_at_a_time(model_name):
        return _roll_out(model_name, version)


def _roll_out(model_name: str, version: int) -> State:
    try:
        evidence = verify(model_name, version)
        require_live(evidence)
        proven = is_proven(model_name)
    except PromotionRefused as refusal:
        return Failed(name="Refused", message=str(refusal))
    name, settings = evidence.adapter_name, evidence.deployment
    try:
        load_version(name, evidence.artifact, settings.request_timeout)
        compared = prove_switch(model_name, name, evidence.parity, settings.parity_rows, settings.request_timeout)
    except RolloutError as fault:
        if proven:
            raise
        live = take_back(evidence, fault.what)
        follow_ledger(name, live)
        raise
    note_proof(evidence)
    return Completed(name="RolledOut", message=f"{compared} answers of {name} equal the ones that were judged")
