"""Says at the end at how many points something was cut off or killed."""

import pytest

from tests.chaos.counting import COUNTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not COUNTED:
        return
    terminalreporter.section("crash points")
    for what, number in COUNTED.items():
        terminalreporter.write_line(f"{number:5}  {what}")
    terminalreporter.write_line(f"{sum(COUNTED.values()):5}  in all")
