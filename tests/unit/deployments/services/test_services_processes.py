import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deployments.services.processes import (
    MARK,
    ProcessRecord,
    is_alive,
    last_lines,
    log_path,
    read_record,
    read_records,
    start_process,
    stop_processes,
)

SLEEPS = "import time; print('ready', flush=True); time.sleep(60)"
IGNORES_TERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
OPENS_A_SESSION = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(60)
"""
WATCHES_ITS_CHILD = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
def asked(*_):
    print("child ended first" if child.poll() is not None else "child still runs", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, asked)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
OPENS_TWO_SESSIONS = """
import subprocess, sys, time
grandchild = '''
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], "w").close(), sys.exit()))
print("ready", flush=True)
sys.stdin.read()
time.sleep(0.5)  # as long as a checkpoint takes
'''
child = f'''
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {grandchild!r}, sys.argv[1]], start_new_session=True, stdin=subprocess.PIPE)
time.sleep(60)
'''
subprocess.Popen([sys.executable, "-c", child, sys.argv[1]], start_new_session=True)
time.sleep(60)
"""


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_processes(tmp_path, read_records(tmp_path), patience=0.1)


def started(folder: Path, code: str, *arguments: str, name: str = "tiny", says: str = "ready") -> ProcessRecord:
    record = start_process(name, [sys.executable, "-c", code, *arguments], dict(os.environ), folder, settings="same")
    eventually(lambda: says in log_path(folder, name).read_text())
    return record


def marked(record: ProcessRecord) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == record.mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_started_process_is_found_again_by_its_record(folder: Path) -> None:
    record = started(folder, SLEEPS)

    assert read_record(folder, "tiny") == record
    assert is_alive(record)


def test_a_started_process_leads_a_session_of_its_own(folder: Path) -> None:
    record = started(folder, SLEEPS)

    assert os.getsid(record.pid) == record.pid != os.getsid(0)


def test_stopping_ends_the_process_and_forgets_it(folder: Path) -> None:
    record = started(folder, SLEEPS)

    assert stop_processes(folder, [record]) == []
    assert not is_alive(record)
    assert read_record(folder, "tiny") is None


def test_a_process_that_ignores_the_request_is_killed(folder: Path) -> None:
    record = started(folder, IGNORES_TERM)

    assert stop_processes(folder, [record], patience=0.3) == [record]
    assert not is_alive(record)


def test_stopping_ends_what_the_process_started_in_another_session(folder: Path) -> None:
    record = started(folder, OPENS_A_SESSION, says="child")
    assert len(marked(record)) == 2

    stop_processes(folder, [record])

    assert marked(record) == []


def test_sessions_that_a_service_opened_end_before_the_service_that_reports_them(folder: Path) -> None:
    record = started(folder, WATCHES_ITS_CHILD)

    stop_processes(folder, [record])

    assert "child ended first" in log_path(folder, "tiny").read_text()


def test_orphans_of_a_dead_process_are_ended_too(folder: Path) -> None:
    record = started(folder, OPENS_A_SESSION, says="child")
    os.kill(record.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(record))
    assert len(marked(record)) == 1

    stop_processes(folder, [record])

    assert marked(record) == []


def test_a_grandchild_in_a_session_of_its_own_is_left_to_end_by_itself(folder: Path) -> None:
    """A training process is told to stop by the end of its input, so that it writes a checkpoint; a signal would cut that short."""
    asked = folder / "asked-by-signal"
    record = started(folder, OPENS_TWO_SESSIONS, str(asked))
    assert len(marked(record)) == 3

    assert stop_processes(folder, [record]) == []

    assert marked(record) == []
    assert not asked.exists()


def test_other_processes_are_never_touched(folder: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
    record = started(folder, SLEEPS)
    try:
        stop_processes(folder, [record])
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_process_that_got_the_id_of_a_dead_one_is_never_touched(folder: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
    try:
        created = psutil.Process(other.pid).create_time() - 3600
        stale = ProcessRecord(name="tiny", pid=other.pid, created=created, mark="0" * 32, settings="same")

        assert not is_alive(stale)
        assert stop_processes(folder, [stale]) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_zombie_is_not_alive(folder: Path) -> None:
    record = start_process("tiny", [sys.executable, "-c", ""], dict(os.environ), folder, settings="same")

    eventually(lambda: psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE)

    assert not is_alive(record)


def test_each_start_has_a_log_of_its_own_and_keeps_the_one_before(folder: Path) -> None:
    stop_processes(folder, [started(folder, "print('ready one', flush=True)")])
    started(folder, "print('ready two', flush=True)", says="two")

    assert log_path(folder, "tiny").read_text() == "ready two\n"
    assert (folder / "tiny.log.1").read_text() == "ready one\n"


def test_a_record_that_is_none_is_left_out(folder: Path) -> None:
    (folder / "broken.process.json").write_text("{}")

    assert read_records(folder) == []


def test_last_lines_leave_out_empty_ones(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    log.write_text("one\n\ntwo\n\nthree\n")

    assert last_lines(log, 2) == "two\nthree"
    assert last_lines(tmp_path / "missing.log") == ""
