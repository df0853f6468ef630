"""No container engine runs in the tests, so the compose file is checked for shape and for what a schema cannot see."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DOCKER = Path(__file__).parents[3] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

_STRINGS = {"type": "array", "items": {"type": "string"}}
SCHEMA = {
    "type": "object",
    "required": ["name", "services"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string"},
        "configs": {"type": "object"},
        "volumes": {"type": "object"},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image", "healthcheck"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string"},
                    "build": {"type": "object", "required": ["context", "dockerfile"]},
                    "command": {"anyOf": [{"type": "string"}, _STRINGS]},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "ports": _STRINGS,
                    "volumes": _STRINGS,
                    "configs": {"type": "array", "items": {"type": "object", "required": ["source", "target"]}},
                    "network_mode": {"type": "string"},
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}},
                        },
                    },
                    "healthcheck": {"type": "object", "required": ["test"], "properties": {"test": _STRINGS}},
                },
            },
        },
    },
}


def test_the_file_has_the_shape_of_a_compose_file() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)
    assert set(SERVICES) == {"postgres", "prefect", "mlflow", "worker", "model-server", "approvals"}


def test_ports_are_published_on_the_loopback_address_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_names_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= SERVICES.keys()
    named = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert set(named) <= COMPOSE["volumes"].keys()
    if "build" in service:
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_no_secret_stands_in_the_file() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    for match in re.finditer(r"(?i)(password|secret|token)[A-Z_]*: +(\S+)", text):
        assert match[2].startswith("${"), match[0]
    for address in re.findall(r"://tunegate:([^@]+)@", text):
        assert address.startswith("${TUNEGATE_DB_PASSWORD")


def test_telemetry_is_off_in_every_container_of_ours() -> None:
    from pipeline_config.environment import TELEMETRY_OFF

    for name, service in SERVICES.items():
        if "build" in service:
            assert TELEMETRY_OFF.items() <= service["environment"].items(), name


def test_the_image_copies_every_package_and_does_not_run_as_root() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for package in ("pipeline_config", "tasks", "flows", "deployments", "requirements.lock"):
        assert re.search(rf"^COPY .*\b{re.escape(package)}\b", text, re.MULTILINE), package
    assert re.search(r"^USER tunegate$", text, re.MULTILINE)
