"""Figures of an evaluation carry the time at which its answers were written."""

import os
from pathlib import Path

from tasks.evaluate.outcomes import PREDICTIONS
from tasks.evaluate.task import answered_at


def test_figures_that_are_sent_later_keep_the_time_they_were_measured_at(tmp_path: Path) -> None:
    (tmp_path / PREDICTIONS).touch()
    os.utime(tmp_path / PREDICTIONS, (1_000.5, 1_000.5))
    (tmp_path / "record.json").touch()
    assert answered_at(tmp_path) == 1_000_500
