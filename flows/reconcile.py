"""A deployment of its own, on a schedule: makes aliases, tags and the model server say what the ledger says, whatever happened to them."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.rollout import rollout
from pipeline_config.errors import RolloutError, TunegateError
from tasks.deploy.task import ask_server, load_version, withdraw
from tasks.registry.port import adapter_name
from tasks.registry.reconcile import Healed, stranger_note
from tasks.registry.task import find_models, heal, verify


@flow(name="reconcile", persist_result=False)
def reconcile() -> State:
    """Heals a promotion, a rollback or an undo that was cut off between any two steps, and puts back aliases that were moved by hand."""
    models = find_models()
    notes, faults = [stranger_note(model_name) for model_name in models.strangers], []
    for model_name in models.ours:
        try:
            healed = heal(model_name)
            _serve(healed)
        except TunegateError as fault:
            faults.append(f"{model_name}: {fault.what}")
        else:
            notes += [f"{model_name}: {healed.remark.reason}"] if healed.remark else []
    if faults:
        return Failed(name="Unhealed", message="; ".join(faults))
    return Completed(name="Reconciled", message="; ".join(notes) or "aliases and server say what the ledger says")


def _serve(healed: Healed) -> None:
    """Tells the server what is live. A roll-out that was never finished is finished, with its proof and, if that fails, its undo."""
    loaded = ask_server()
    if healed.withdrawn is not None and healed.withdrawn in loaded:
        withdraw(healed.withdrawn)
    if healed.live is None:
        return
    if not healed.rolled_out:
        rolled_out = rollout(healed.model_name, healed.live, return_state=True)
        if not rolled_out.is_completed():
            raise RolloutError(rolled_out.message or "the roll-out did not end well", where=healed.model_name)
    elif adapter_name(healed.model_name, healed.live) not in loaded:
        evidence = verify(healed.model_name, healed.live)
        load_version(evidence.adapter_name, evidence.artifact, evidence.deployment.request_timeout)
