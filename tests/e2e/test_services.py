"""The real local services: up, used, and down again."""

import os
import signal
import time
from dataclasses import replace

import httpx
import psutil
import pytest

from deployments.registration import deployment_names, register_deployments
from deployments.services.lifecycle import status, up
from deployments.services.prefect_api import ensure_pool, open_client
from deployments.services.processes import MARK, services_folder
from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError

pytestmark = pytest.mark.services


def quiet(_: str) -> None:
    return


def test_all_services_are_up_and_a_second_call_changes_nothing(machine_up: Machine) -> None:
    said: list[str] = []
    before = status(machine_up)

    started = time.monotonic()
    again = up(machine_up, said.append)

    assert time.monotonic() - started < 2
    assert said == []
    assert again == before
    assert [(service.name, service.state) for service in before] == [
        (n, "up") for n in ("prefect", "mlflow", "model-server", "worker", "approvals")
    ]


def test_all_services_listen_on_the_loopback_address_alone(machine_up: Machine) -> None:
    addresses = {
        connection.laddr.ip
        for service in status(machine_up)
        for process in [psutil.Process(service.pid), *psutil.Process(service.pid).children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_mlflow_runs_without_its_job_schedulers(machine_up: Machine) -> None:
    [mlflow] = [service for service in status(machine_up) if service.name == "mlflow"]

    assert len(psutil.Process(mlflow.pid).children(recursive=True)) == 1


def test_the_database_of_each_server_lies_in_the_workspace(machine_up: Machine) -> None:
    folder = services_folder(machine_up.workspace)

    assert (folder / "prefect" / "prefect.db").is_file()
    assert (folder / "mlflow" / "mlflow.db").is_file()


def test_the_pool_admits_a_run_that_waits_for_another(machine_up: Machine) -> None:
    with open_client(machine_up) as client:
        pool = client.get(f"/work_pools/{machine_up.work_pool}").json()

    assert pool["type"] == "process"
    assert pool["concurrency_limit"] is None
    assert "command" in pool["base_job_template"]["variables"]["properties"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"type": "docker"}, "has type 'docker'"), ({"concurrency_limit": 1}, "admits 1 run"), ({"is_paused": True}, "paused")],
)
def test_a_pool_that_cannot_run_the_deployments_is_refused(machine_up: Machine, changes: dict[str, object], message: str) -> None:
    other = machine_up.model_copy(update={"work_pool": "unfit"})
    with open_client(machine_up) as client:
        client.post("/work_pools/", json={"name": "unfit", "type": "process", **changes}).raise_for_status()
        try:
            with pytest.raises(ServiceError, match=message):
                ensure_pool(other)
        finally:
            client.delete("/work_pools/unfit").raise_for_status()


def test_a_service_that_was_killed_is_noticed_and_started_again(machine_up: Machine) -> None:
    [before] = [service for service in status(machine_up) if service.name == "model-server"]
    os.kill(before.pid or 0, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before.pid)], timeout=10)
    assert [s.name for s in status(machine_up) if s.state == "down"] == ["model-server"]

    [after] = [service for service in up(machine_up, quiet) if service.name == "model-server"]

    assert after == replace(before, pid=after.pid)
    assert after.pid != before.pid


def test_processes_of_the_services_see_the_same_machine(machine_up: Machine) -> None:
    for service in status(machine_up):
        environment = psutil.Process(service.pid).environ()
        assert environment.items() >= machine_up.variables().items()
        assert MARK in environment


def test_deployments_are_registered_once_and_keep_what_a_person_switched(machine_up: Machine) -> None:
    register_deployments(machine_up, quiet)
    with open_client(machine_up) as client:
        finetune = client.get("/deployments/name/finetune/finetune").raise_for_status().json()
        [schedule] = finetune["schedules"]
        assert (schedule["schedule"]["cron"], schedule["active"]) == ("0 3 * * 1", False)
        assert finetune["pull_steps"] == []
        assert finetune["parameters"] == {"preset": "demo"}
        assert {client.get(f"/deployments/name/{name}").json()["work_pool_name"] for name in deployment_names()} == {machine_up.work_pool}

        healing = client.get("/deployments/name/reconcile/reconcile").raise_for_status().json()
        assert [(found["schedule"]["cron"], found["active"]) for found in healing["schedules"]] == [("*/15 * * * *", True)]

        switch = f"/deployments/{finetune['id']}/schedules/{schedule['id']}"
        other = f"/deployments/{healing['id']}/schedules/{healing['schedules'][0]['id']}"
        client.patch(switch, json={"active": True}).raise_for_status()
        client.patch(other, json={"active": False}).raise_for_status()
        client.patch(f"/deployments/{finetune['id']}", json={"paused": True}).raise_for_status()
        try:
            assert register_deployments(machine_up, quiet) is False
            (services_folder(machine_up.workspace) / "deployments.json").unlink()
            assert register_deployments(machine_up, quiet) is True
            again = client.get("/deployments/name/finetune/finetune").json()
            assert (again["paused"], again["schedules"][0]["active"]) == (True, True)
            assert client.get("/deployments/name/reconcile/reconcile").json()["schedules"][0]["active"] is False
        finally:
            client.patch(other, json={"active": True}).raise_for_status()
            client.patch(f"/deployments/{finetune['id']}", json={"paused": False}).raise_for_status()
            client.patch(switch, json={"active": False}).raise_for_status()


def test_a_schedule_that_a_person_switched_off_stays_off(machine_up: Machine) -> None:
    register_deployments(machine_up, quiet)
    with open_client(machine_up) as client:
        sweep = client.get("/deployments/name/sweep/sweep").raise_for_status().json()
        [schedule] = sweep["schedules"]
        assert (schedule["schedule"]["cron"], schedule["active"]) == ("*/15 * * * *", True)
        switch = f"/deployments/{sweep['id']}/schedules/{schedule['id']}"
        client.patch(switch, json={"active": False}).raise_for_status()
        try:
            (services_folder(machine_up.workspace) / "deployments.json").unlink()
            assert register_deployments(machine_up, quiet) is True
            assert [s["active"] for s in client.get("/deployments/name/sweep/sweep").json()["schedules"]] == [False]
        finally:
            client.patch(switch, json={"active": True}).raise_for_status()


def test_a_deleted_deployment_is_registered_again(machine_up: Machine) -> None:
    register_deployments(machine_up, quiet)
    with open_client(machine_up) as client:
        rollout = client.get("/deployments/name/rollout/rollout").raise_for_status().json()
        client.delete(f"/deployments/{rollout['id']}").raise_for_status()

        assert register_deployments(machine_up, quiet) is True

        assert client.get("/deployments/name/rollout/rollout").status_code == 200


def test_the_form_offers_presets_as_a_list_with_titles_and_descriptions(machine_up: Machine) -> None:
    register_deployments(machine_up, quiet)
    with open_client(machine_up) as client:
        parameters = client.get("/deployments/name/finetune/finetune").json()["parameter_openapi_schema"]["properties"]

    assert parameters["preset"]["enum"] == ["demo", "smoke", "banking77", "replies"]
    assert all(parameter["title"] != name and parameter["description"] for name, parameter in parameters.items())


def test_registering_without_a_server_is_one_error(machine_up: Machine) -> None:
    away = machine_up.model_copy(update={"prefect_port": 9})

    with pytest.raises(ServiceError, match="does not answer"):
        register_deployments(away, quiet)


def test_a_run_on_the_worker_finds_the_packages_and_ends_with_its_own_verdict(machine_up: Machine) -> None:
    """The worker starts runs in an empty folder, so this holds only for module entrypoints of the installed package."""
    register_deployments(machine_up, quiet)
    with open_client(machine_up) as client:
        promotion = client.get("/deployments/name/promotion/promotion").json()
        body = {"parameters": {"model_name": "nobody", "version": 1}}
        run = client.post(f"/deployments/{promotion['id']}/create_flow_run", json=body).raise_for_status().json()
        state = _final_state(client, run["id"])

    assert (state["type"], state["name"]) == ("FAILED", "Refused")


def _final_state(client: httpx.Client, run: str, seconds: float = 120) -> dict[str, str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = client.get(f"/flow_runs/{run}").raise_for_status().json()["state"]
        if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return dict(state)
        time.sleep(0.5)
    raise AssertionError(f"the run was not final within {seconds:.0f} s: {state}")
