"""What the previous run's rows say of this one's."""

from pathlib import Path

from tasks.data.history import drift_since_last_run, keep_profile
from tests.reports import banking_report


def test_the_first_run_has_nothing_to_compare_with(tmp_path: Path) -> None:
    assert drift_since_last_run(tmp_path, banking_report()) is None


def test_the_same_rows_have_not_drifted(tmp_path: Path) -> None:
    keep_profile(tmp_path, banking_report())
    assert drift_since_last_run(tmp_path, banking_report()) is None


def test_other_rows_are_compared_with_those_of_the_run_before(tmp_path: Path) -> None:
    report = banking_report()
    keep_profile(tmp_path, report)
    fewer = {label: count for label, count in report.profile.labels.items() if label < "g"}
    moved = report.model_copy(update={"digest": "0" * 64, "profile": report.profile.model_copy(update={"labels": fewer})})
    drift = drift_since_last_run(tmp_path, moved)
    assert drift is not None
    assert drift.label_distance is not None
    assert drift.label_distance > drift.limits["label_distance"]
    assert any("labels" in warning for warning in drift.warnings)
    keep_profile(tmp_path, moved)
    assert drift_since_last_run(tmp_path, moved) is None
