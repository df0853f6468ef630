"""What tunegate's processes get from the machine they run on."""

from pathlib import Path

import pytest

from pipeline_config.environment import Machine, read_machine
from pipeline_config.errors import ConfigError

KERNEL_CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "NO_PROXY", "no_proxy", *KERNEL_CACHES):
        monkeypatch.delenv(name, raising=False)
    return read_machine({"TUNEGATE_WORKSPACE": str(tmp_path)})


def test_threads_do_not_spin_for_long(machine: Machine) -> None:
    assert int(machine.variables()["GOMP_SPINCOUNT"]) <= 10_000


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "infinite")])
def test_a_thread_policy_of_the_user_stands(machine: Machine, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    policy = {key: found for key, found in machine.child_environment().items() if key in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}

    assert policy == {name: value}


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_calls_to_this_machine_pass_no_proxy(machine: Machine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "intranet.example,localhost")

    environment = machine.child_environment()

    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet.example,localhost,127.0.0.1"


def test_kernels_of_passing_shapes_are_not_hoarded_in_either_cache(machine: Machine) -> None:
    assert all(1 <= int(machine.child_environment()[name]) <= 128 for name in KERNEL_CACHES)


@pytest.mark.parametrize("name", KERNEL_CACHES)
def test_a_capacity_of_the_user_stands(machine: Machine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1024")
    assert machine.child_environment()[name] == "1024"


def test_the_ledgers_address_is_handed_on_and_its_password_not_shown(tmp_path: Path) -> None:
    url = "postgresql://user:secret@db/ledger"
    machine = read_machine({"TUNEGATE_WORKSPACE": str(tmp_path), "TUNEGATE_LEDGER_URL": url})
    assert machine.variables()["TUNEGATE_LEDGER_URL"] == url
    assert "secret" not in repr(machine)
    unset = read_machine({"TUNEGATE_WORKSPACE": str(tmp_path), "TUNEGATE_LEDGER_URL": ""})
    assert (unset.ledger_url, unset.variables()["TUNEGATE_LEDGER_URL"]) == (None, "")


def test_a_ledger_that_is_neither_a_file_nor_in_postgres_is_refused() -> None:
    with pytest.raises(ConfigError, match="TUNEGATE_LEDGER_URL") as caught:
        read_machine({"TUNEGATE_LEDGER_URL": "mysql://user:secret@db/ledger"})
    assert "secret" not in str(caught.value)
