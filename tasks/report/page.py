"""The run's page: one sentence first, then everything that it rests on. It needs nothing but itself, and runs no script."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.artifacts import EvaluationResult
from tasks.pages.charts import bars, parts_of
from tasks.pages.display import counted, listed, number, percent
from tasks.pages.rendering import render
from tasks.report.figures import CONTENDER_NAMES, confidence_of, figures_of, metric_name, metrics_of, value_text
from tasks.report.headline import headline_of
from tasks.report.lineage import Fact, environment_of, lineage_of, links_of
from tasks.report.material import Material
from tasks.report.page_augmentation import augmentation_of
from tasks.report.page_confusion import Confusion, confusion_of
from tasks.report.page_curves import draw_curves
from tasks.report.page_examples import LONGEST, compare, examples_of
from tasks.report.page_fit import fit_of
from tasks.report.page_gates import drawn_gates
from tasks.report.page_slices import slices_of
from tasks.report.summary import notes_of

_FOLDER = Path(__file__).parent

_OUTCOMES = {"pass": "Passed", "fail": "Failed", "hold": "Held", "not_applicable": "Does not apply"}
_MARKS = {
    "right": ("pass", "right"), "wrong": ("fail", "wrong"), "better": ("pass", "best"), "worse": ("fail", "worst"), "none": ("soft", ""),
}  # fmt: skip
_SECTIONS = {
    "gates": "Gates", "figures": "Figures", "notes": "Notes", "training": "Training", "confusion": "Confusion", "slices": "Slices",
    "examples": "Examples", "data": "Data", "cost": "Cost and time", "lineage": "Lineage",
}  # fmt: skip
_MOST_LANGUAGES = 4


def render_page(material: Material) -> str:
    """One HTML page for whoever decides on a version. Whatever comes from rows, labels, names and models is escaped, masked and cut."""
    view = _view(material)
    sections = [{"key": key, "name": name} for key, name in _SECTIONS.items() if view.get(key, True)]
    return render(_FOLDER, sections=sections, **view)


def _view(material: Material) -> dict[str, Any]:
    """What the template shows. Parts that are empty are left out there."""
    gates = material.report.gates if material.report else ()
    rival = f"the champion, {material.evaluated.champion_name}" if "champion" in material.answers.contenders else "the base"
    return {
        "headline": headline_of(material),
        "run_id": material.context.run_id,
        "model_name": material.config.registry.model_name,
        "error": next(iter((material.parts.error or "").splitlines()), ""),
        "links": links_of(material),
        "names": CONTENDER_NAMES,
        "outcomes": _OUTCOMES,
        "marks": _MARKS,
        "longest": LONGEST,
        "gates": drawn_gates(gates, material.config.gates),
        "confidence": confidence_of(gates),
        **_figures(material),
        "notes": [*_standing(material), *notes_of(material.config, material.parts)],
        "curve": material.trained.curve,
        "curves": draw_curves(material.trained.curve, material.trained.shipped_step),
        **fit_of(material),
        "confusion": confusion_in(material),
        "slices": slices_of(material.answers, labelled=material.labelled),
        "exact": material.answers.exact,
        "rival": rival,
        "comparisons": compare(material.answers),
        "examples": examples_of(material.answers, material.prompts),
        "group_names": _group_names(material),
        **_data(material),
        **_cost(material),
        "lineage": lineage_of(material),
        "environment": environment_of(),
    }


def _standing(material: Material) -> list[str]:
    """What a report may be used for, if it is not a run's own."""
    again = material.report.rejudges if material.report else None
    return [f"this report judges the finished run of gate report {again[:12]} again, without a model: it opens nothing"] if again else []


def _figures(material: Material) -> dict[str, Any]:
    evaluated, figures = material.evaluated, figures_of(material.evaluated)
    rows = [
        {"name": metric_name(metric), "texts": [value_text(values.get(metric)) for values in figures.values()]}
        for metric in metrics_of(evaluated)
    ]
    notes = [f"the champion is {evaluated.champion_name}"] if evaluated.champion else []
    notes += [f"{evaluated.champion_name} could not be asked: {evaluated.champion_fault}"] if evaluated.champion_fault else []
    notes += ["TF-IDF is a plain classifier on word counts, trained on the same rows"] if "tfidf" in figures else []
    notes += [f"the judge could not be asked: {evaluated.judge_fault}"] if evaluated.judge_fault else []
    notes += [f"{counted(evaluated.judge_failures, 'answer')} got no verdict from the judge"] if evaluated.judge_failures else []
    notes += [f"{metric_name(metric)} is sacrebleu's `{signature}`" for metric, signature in evaluated.signatures.items()]
    notes += _disclosed(evaluated)
    others = counted(evaluated.decided_before, "other artifact was", "other artifacts were") if evaluated.decided_before else ""
    notes += [f"{others} evaluated here on half of these test rows or more: each look makes a chance result likelier"] if others else []
    return {
        "test_rows": evaluated.rows, "champion_seen": evaluated.champion_seen_rows, "figure_columns": list(figures), "figure_rows": rows,
        "figure_notes": notes,
    }  # fmt: skip


def _disclosed(evaluated: EvaluationResult) -> list[str]:
    """What answers give away: they are counted by `any` in `answers`, and by kind."""
    if "any" not in evaluated.safety:
        return []
    kinds = [f"{name} {count}" for name, count in evaluated.safety.items() if name not in ("any", "answers") and count]
    looked = counted(evaluated.safety.get("answers", evaluated.rows), "answer")
    return [f"{number(evaluated.safety['any'])} of {looked} hold personal data or secrets that the prompt does not"
            f"{': ' + listed(kinds) if kinds else ''}"]  # fmt: skip


def confusion_in(material: Material) -> Confusion | None:
    """Of the tuned model, where answers are labels."""
    frame = material.answers.frame
    return confusion_of(frame["expected"].to_list(), frame["tuned"].to_list()) if material.labelled else None


def _group_names(material: Material) -> dict[str, str]:
    who = "champion" if "champion" in material.answers.contenders else "base"
    if material.answers.exact:
        return {"won": f"Tuned right, {who} wrong", "lost": f"Tuned wrong, {who} right", "wrong": "Both wrong"}
    name = metric_name(material.answers.metric)
    return {
        "won": f"Tuned better than {who} by {name}", "lost": f"Tuned worse than {who} by {name}",
        "wrong": f"Both poor by {name}, in the tuned model's lowest quarter",
    }  # fmt: skip


def _data(material: Material) -> dict[str, Any]:
    report, counts, data = material.data_report, material.data.counts, material.data
    facts = [Fact(name="Source", value=str(report["source"]), note=str(report.get("format_reason", "")))] if "source" in report else []
    facts += [Fact(name="Instruction", value=data.instruction)] if data.instruction else []
    facts += [Fact(name="Labels", value=number(len(data.labels)))] if data.labels else []
    languages = _languages(report)
    facts += [Fact(name="Languages", value=languages, note="of a sample")] if languages else []
    facts += [Fact(name="Licence", value=material.config.data.license)] if material.config.data.license else []
    facts.append(Fact(name="Digest of the rows kept", value=data.digest, code=True))
    return {
        "parts": parts_of(counts), "rows_read": counts.read, "data_facts": facts, "data_warnings": data.warnings,
        "has_data_page": material.has_data_page,
        **augmentation_of(data.augmentation),
    }  # fmt: skip


def _languages(report: Mapping[str, Any]) -> str:
    found = (report.get("profile") or {}).get("languages") or {}
    shares = sorted(found.items(), key=lambda item: -item[1])[:_MOST_LANGUAGES]
    return ", ".join(f"{name} {percent(share)}" for name, share in shares)


def _cost(material: Material) -> dict[str, Any]:
    trained, stages = material.trained, material.parts.stages
    total = sum(stage.seconds for stage in stages)
    size = sum(path.stat().st_size for path in trained.artifact.rglob("*") if path.is_file())
    speed = trained.tokens_per_second
    facts = [
        Fact(
            name="Time so far" if material.outcome is None else "Time", value=_duration(total), note="all stages, those reused among them"
        ),
        Fact(name="Tokens trained on", value=number(trained.total_tokens), note=f"{number(trained.supervised_tokens)} carried loss"),
        *([Fact(name="Tokens per second", value=number(round(speed)), note="in training steps")] if speed is not None else []),
        Fact(name="Peak memory", value=f"{trained.peak_memory_bytes / 2**30:.1f} GiB", note="of the training process"),
        Fact(name="Artifact", value=f"{size / 2**20:.1f} MiB", note=f"{trained.method}, on disk"),
        Fact(name="Steps", value=number(trained.steps), note=_steps_note(material)),
    ]
    named = [(f"{stage.name} (reused)" if stage.reused else stage.name, round(stage.seconds, 1)) for stage in stages]
    return {"cost_facts": facts, "stages": bars(named)}


def _steps_note(material: Material) -> str:
    trained = material.trained
    stopped = ", stopped early" if trained.stopped_early else ""
    return f"step {number(trained.shipped_step)} ships{stopped}; rows laid out as {trained.layout}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else counted(rest, "second")
