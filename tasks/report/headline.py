"""The verdict in one sentence: first line of the page, of the model card and of what Prefect shows."""

from typing import Literal

from tasks.artifacts import GateResult, Record
from tasks.pages.display import counted, listed, number, percent
from tasks.report.figures import metric_name, value_text
from tasks.report.material import Material

_TELLING = ("rougeL", "chrf", "bleu", "json_schema", "exact_match", "accuracy", "perplexity")
"""Of what is said in the sentence where answers are free text: the first that was measured."""
_NAMED = 3

_ENDS = {
    "passed": "{adapter} is live.",
    "awaiting_approval": "{adapter} awaits approval.",
    "rejected": "{adapter} was rejected by a reviewer, and not deployed.",
    "gate_failed": "{adapter} was registered, and neither promoted nor deployed.",
    "held": "{adapter} was registered, and neither promoted nor deployed.",
    "error": "The run ended with an error.",
    "interrupted": "The run was interrupted; the same command goes on.",
}


class Headline(Record):
    """Status for its colour, one word, one sentence, and what became of the version (empty while the run goes on)."""

    status: Literal["pass", "fail", "hold", "info"]
    word: str
    sentence: str
    end: str


def headline_of(material: Material) -> Headline:
    """What the gates amount to. Nothing is judged here that a gate has not judged."""
    end = _end(material)
    report, figures = material.report, _figures(material)
    if report is None:
        return Headline(status="info", word="Not judged", sentence=f"The gates were not judged: {figures}.", end=end)
    judged = [gate for gate in report.gates if gate.outcome != "not_applicable"]
    of = counted(len(judged), "gate")
    if report.verdict == "pass":
        every = f"All {of} that apply passed" if len(judged) > 1 else f"{of} applies and passed"
        return Headline(status="pass", word="Passed", sentence=f"{every}: {figures}.", end=end)
    failed = [gate for gate in judged if gate.outcome == "fail"]
    if report.verdict == "fail":
        sentence = f"{number(len(failed))} of {of} failed ({_names(failed)}): {figures}."
        return Headline(status="fail", word="Failed", sentence=sentence, end=end)
    held = [gate for gate in judged if gate.outcome == "hold"]
    reason = f"{number(len(held))} of {of} could not decide ({_names(held)})" if held else "no gate of a kind that is required passed"
    return Headline(status="hold", word="Held", sentence=f"Not enough evidence: {reason}. So far {figures}.", end=end)


def _names(gates: list[GateResult]) -> str:
    more = [f"{len(gates) - _NAMED} more"] if len(gates) > _NAMED else []
    return listed([*(gate.name.replace("_", " ") for gate in gates[:_NAMED]), *more])


def _figures(material: Material) -> str:
    """The one figure that says most, of the tuned model and of who it has to beat."""
    evaluated = material.evaluated
    rows = counted(evaluated.rows, "test row")
    others = {"the base": evaluated.base, str(evaluated.champion_name): evaluated.champion}
    if material.labelled and (tuned := evaluated.tuned.get("accuracy")) is not None:
        beside = [f"{who} {_share(value)}" for who, found in others.items() if found and (value := found.get("accuracy")) is not None]
        return ", ".join([f"the tuned model has {_share(tuned)} of {rows} right", *beside])
    metric = next((name for name in _TELLING if evaluated.tuned.get(name) is not None), None)
    if metric is None:
        return f"no figure of the {rows} says anything"
    beside = [f"{who} {value_text(value)}" for who, found in others.items() if found and (value := found.get(metric)) is not None]
    return ", ".join([f"the tuned model has {metric_name(metric)} {value_text(evaluated.tuned.get(metric))} on {rows}", *beside])


def _end(material: Material) -> str:
    if material.report is not None and material.report.rejudges is not None:
        return "A finished run was judged again: this report opens nothing."
    if material.outcome is None:
        return ""
    version = material.parts.registered
    if version is None and material.outcome not in ("error", "interrupted"):
        return ""
    return _ENDS[material.outcome].format(adapter=version.adapter_name if version else "The model")


def _share(value: float) -> str:
    """In percent, rounded as the tables round it: 0.8525 is 0.853 there and must not be 85.2 % here."""
    return percent(round(value, 3) or value)
