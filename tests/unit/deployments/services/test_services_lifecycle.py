import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.services.catalogue import Service, catalogue
from deployments.services.health import mlflow_fault, model_server_fault, prefect_fault, worker_fault
from deployments.services.lifecycle import bring_up, down, status
from deployments.services.processes import is_alive, read_record, services_folder
from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tests.machines import free_ports, scratch_machine

SERVES = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
DIES = "import sys; print('first line'); sys.exit('the database is locked')"
SLEEPS = "import time; time.sleep(60)"


def free_port() -> int:
    return free_ports(1)[0]


def asks(port: int) -> Callable[[float], str | None]:
    def fault(_: float) -> str | None:
        try:
            return None if httpx.get(f"http://127.0.0.1:{port}", trust_env=False).text == "ok" else "wrong answer"
        except httpx.HTTPError:
            return "no answer"

    return fault


def service(name: str, code: str, port: int, **changes: object) -> Service:
    command = (sys.executable, "-c", code, str(port))
    values = {
        "name": name,
        "url": f"http://127.0.0.1:{port}",
        "fault": asks(port),
        "command": command,
        "port": port,
        "setting": "TINY_PORT",
    }
    return Service(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = scratch_machine(tmp_path)
    yield machine
    down(machine, lambda _: None)


@pytest.fixture(params=[b"", b"true", b'"ok"', b'{"status": "ok"}', b"[]"])
def web_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """Some web server that answers everything in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_services_are_started_and_awaited(machine: Machine) -> None:
    said: list[str] = []
    tiny = service("tiny", SERVES, free_port())

    [result] = bring_up([tiny], machine, said.append)

    assert result.state == "up"
    assert asks(tiny.port or 0)(0.0) is None
    assert [line.split(" (")[0].split(" after")[0] for line in said] == ["starting tiny", "tiny is up"]


def test_what_is_up_is_left_alone_without_a_word(machine: Machine) -> None:
    said: list[str] = []
    tiny = service("tiny", SERVES, free_port())
    first = bring_up([tiny], machine, lambda _: None)

    assert bring_up([tiny], machine, said.append) == first
    assert said == []


def test_a_service_that_died_is_started_again(machine: Machine) -> None:
    tiny = service("tiny", SERVES, free_port())
    [first] = bring_up([tiny], machine, lambda _: None)
    process = psutil.Process(first.pid)
    process.kill()
    psutil.wait_procs([process])

    [second] = bring_up([tiny], machine, lambda _: None)

    assert second.state == "up"
    assert second.pid != first.pid


def test_a_service_waits_for_what_it_needs(machine: Machine) -> None:
    said: list[str] = []
    looks = iter(["not yet", "not yet", None])
    first = replace(service("first", SLEEPS, 0), fault=lambda _: next(looks), port=None)

    bring_up([first, service("second", SERVES, free_port(), needs=("first",))], machine, said.append)

    assert [line.split()[0:2] for line in said] == [["starting", "first"], ["first", "is"], ["starting", "second"], ["second", "is"]]


def test_a_service_that_dies_while_starting_is_an_error_with_the_end_of_its_log(machine: Machine) -> None:
    with pytest.raises(ServiceError) as raised:
        bring_up([service("tiny", DIES, free_port())], machine, lambda _: None)

    assert "tiny ended while it started" in str(raised.value)
    assert "the database is locked" in str(raised.value)
    assert "TINY_PORT=" in raised.value.hint
    assert raised.value.where == str(services_folder(machine.workspace) / "tiny.log")


def test_a_service_that_does_not_become_well_in_time_is_stopped_and_named(machine: Machine) -> None:
    with pytest.raises(ServiceError, match=r"tiny was not well after 0 s \(no answer\)"):
        bring_up([service("tiny", SLEEPS, free_port())], machine, lambda _: None, seconds=0.3)

    assert read_record(services_folder(machine.workspace), "tiny") is None


def test_a_taken_port_is_an_error_that_names_the_setting_before_anything_is_started(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"port {port} is taken by process \d+") as raised:
            bring_up([service("first", SERVES, free_port()), service("tiny", SERVES, port)], machine, lambda _: None)

    assert "TINY_PORT=" in raised.value.hint
    assert read_record(services_folder(machine.workspace), "first") is None


def test_another_process_on_the_port_of_a_service_is_not_taken_for_it(machine: Machine) -> None:
    """Two checkouts that start at once ask for the same ports; only one gets them."""
    tiny = service("tiny", SLEEPS, free_port(), fault=lambda _: None)

    with pytest.raises(ServiceError, match=rf"another process answers on port {tiny.port}"):
        bring_up([tiny], machine, lambda _: None, seconds=0.3)


def test_other_settings_are_refused_rather_than_taken_over(machine: Machine) -> None:
    tiny = service("tiny", SERVES, free_port())
    [first] = bring_up([tiny], machine, lambda _: None)

    with pytest.raises(ServiceError, match="other settings") as raised:
        bring_up([tiny], machine.model_copy(update={"work_pool": "other"}), lambda _: None)

    assert "tunegate down" in raised.value.hint
    assert psutil.pid_exists(first.pid or 0)


def test_the_users_own_server_is_asked_but_not_started(machine: Machine) -> None:
    own = Service("prefect", "http://127.0.0.1:9", fault=lambda _: "no answer", setting="PREFECT_API_URL")

    with pytest.raises(ServiceError, match="your own prefect server: no answer") as raised:
        bring_up([own], machine, lambda _: None)

    assert "PREFECT_API_URL" in raised.value.hint


def test_down_ends_what_was_started_and_says_so(machine: Machine) -> None:
    said: list[str] = []
    bring_up([service("one", SERVES, free_port()), service("two", SERVES, free_port())], machine, lambda _: None)
    records = [read_record(services_folder(machine.workspace), name) for name in ("one", "two")]

    assert down(machine, said.append) == ["one", "two"]

    assert [line.split(" (")[0] for line in said] == ["stopped one", "stopped two"]
    assert not any(is_alive(record) for record in records if record)


def test_down_says_when_there_is_nothing_to_do(machine: Machine) -> None:
    said: list[str] = []

    assert down(machine, said.append) == []
    assert said == ["no service was running"]


def test_status_of_a_machine_where_nothing_runs(machine: Machine) -> None:
    assert [(s.name, s.state) for s in status(machine)] == [
        (n, "down") for n in ("prefect", "mlflow", "model-server", "worker", "approvals")
    ]


def test_a_web_server_is_not_taken_for_any_of_the_services(tmp_path: Path, web_server: int) -> None:
    ports = dict.fromkeys(("TUNEGATE_PREFECT_PORT", "TUNEGATE_MLFLOW_PORT", "TUNEGATE_SERVER_PORT"), str(web_server))
    machine = scratch_machine(tmp_path, **ports)

    faults = [prefect_fault(machine), mlflow_fault(machine), model_server_fault(machine), worker_fault(machine, "somebody", 0.0)]

    assert [bool(fault) for fault in faults] == [True] * 4


def test_the_users_own_prefect_server_is_known_by_its_health_answer(tmp_path: Path, web_server: int) -> None:
    machine = scratch_machine(tmp_path, PREFECT_API_URL=f"http://127.0.0.1:{web_server}/api")

    says_true = httpx.get(f"http://127.0.0.1:{web_server}", trust_env=False).text == "true"

    assert (prefect_fault(machine) is None) == says_true


def test_nothing_local_is_started_beside_the_users_own_servers(tmp_path: Path) -> None:
    machine = scratch_machine(tmp_path, PREFECT_API_URL="http://prefect.example/api", MLFLOW_TRACKING_URI="http://mlflow.example")

    assert [s.name for s in catalogue(machine) if s.is_local] == ["model-server", "worker", "approvals"]


@pytest.mark.parametrize("url", ["sqlite:///mlflow.db", "./mlruns", "databricks"])
def test_mlflow_has_to_be_a_server(tmp_path: Path, url: str) -> None:
    with pytest.raises(ServiceError, match="not the address of a server"):
        catalogue(scratch_machine(tmp_path, MLFLOW_TRACKING_URI=url))


def test_every_local_port_can_be_changed(tmp_path: Path) -> None:
    machine = scratch_machine(tmp_path, TUNEGATE_PREFECT_PORT="14211", TUNEGATE_MLFLOW_PORT="14212", TUNEGATE_SERVER_PORT="14213")

    ports = {s.name: (s.port, s.setting) for s in catalogue(machine) if s.port}

    assert ports == {
        "prefect": (14211, "TUNEGATE_PREFECT_PORT"),
        "mlflow": (14212, "TUNEGATE_MLFLOW_PORT"),
        "model-server": (14213, "TUNEGATE_SERVER_PORT"),
    }
