"""How often an artifact has been judged is what the workspace remembers."""

from pathlib import Path

import pytest

from pipeline_config.errors import EvaluationError
from tasks.evaluate.looks import Judgement, Look, judgement_key, look_at, looking, remember


def judge(workspace: Path, key: str, artifact: str = "a") -> Look:
    with looking(workspace):
        look = look_at(workspace, key, artifact)
        remember(workspace, Judgement(key=key, artifact_digest=artifact, report_digest=f"report {key}", verdict="hold"))
    return look


def test_another_judgement_of_an_artifact_is_another_look_and_names_the_ones_before(tmp_path: Path) -> None:
    looks = [judge(tmp_path, key) for key in ("400 rows", "900 rows", "2000 rows")]
    assert [look.level for look in looks] == [0.025, 0.01, None]
    assert looks[2].earlier == ("report 400 rows", "report 900 rows")


def test_the_same_judgement_again_is_the_look_that_it_was(tmp_path: Path) -> None:
    judge(tmp_path, "400 rows")
    judge(tmp_path, "900 rows")
    assert judge(tmp_path, "400 rows") == Look()
    assert judge(tmp_path, "900 rows") == Look(2, ("report 400 rows",))


def test_other_artifacts_have_looks_of_their_own(tmp_path: Path) -> None:
    judge(tmp_path, "one", "a")
    assert judge(tmp_path, "two", "b") == Look()


def test_a_judgement_is_what_was_answered_and_by_which_gates_it_was_judged() -> None:
    gates = {"min_accuracy": {"kind": "threshold", "threshold": 0.8}}
    key = judgement_key("a", "answers", gates, None)
    assert key == judgement_key("a", "answers", dict(gates), None)
    others = [
        judgement_key("b", "answers", gates, None), judgement_key("a", "other answers", gates, None),
        judgement_key("a", "answers", {"min_accuracy": {"kind": "threshold", "threshold": 0.7}}, None),
        judgement_key("a", "answers", gates, "desk-v1"),
    ]  # fmt: skip
    assert len({key, *others}) == 5


def test_a_log_that_cannot_be_read_stops_judging(tmp_path: Path) -> None:
    judge(tmp_path, "one")
    (tmp_path / "judgements.jsonl").write_text("{}\n")
    with pytest.raises(EvaluationError, match="how often an artifact was judged"):
        judge(tmp_path, "two")
