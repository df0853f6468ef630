"""The model card of a version: README.md in Hugging Face's format, filled from the run. It holds no row and no path of this machine."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pipeline_config.model import EMBEDDED, EMBEDDED_ORIGIN
from tasks.methods.method import public_name
from tasks.methods.settings import settle
from tasks.pages.display import counted, figure, listed, number, percent, readable_markdown
from tasks.report.figures import CONTENDER_NAMES, confidence_of, figures_of, interval_text, metric_name, metrics_of, value_text
from tasks.report.headline import headline_of
from tasks.report.lineage import base_license, environment_of, lineage_of
from tasks.report.material import Material
from tasks.report.page_slices import slices_of
from tasks.report.summary import notes_of
from tasks.statistics import Interval, wilson_interval

_HUB_METRICS = {
    "accuracy": "accuracy", "macro_f1": "f1", "perplexity": "perplexity", "bleu": "bleu", "chrf": "chrf", "exact_match": "exact_match",
    "rouge1": "rouge", "rouge2": "rouge", "rougeL": "rouge", "rougeLsum": "rouge",
}  # fmt: skip
"""Names of metrics on the Hugging Face hub; others keep theirs."""

_LIBRARIES = {"full": "transformers", "adapter": "tunegate"}
"""Methods whose artifact is not PEFT's."""

_LABELS_NAMED = 100
_ROWS_OF_A_SLICE = 10
_WEAK_SLICES = 5
_LANGUAGE_SHARE = 0.02
_LONGEST = 600


def model_card(material: Material) -> str:
    """Metadata as YAML with a `model-index`, then the card as Markdown, in which texts of data and configuration are escaped."""
    body = "\n".join([*_opening(material), *_use(material), *_limits(material), *_data(material), *_metrics(material), *_origin(material)])
    return f"---\n{_metadata(material)}---\n\n{body}"


def _metadata(material: Material) -> str:
    from huggingface_hub import ModelCardData

    method, name = material.trained.method, material.config.registry.model_name
    results = list(_results(material))
    card = ModelCardData(
        base_model=_base_on_hub(material),
        base_model_relation="finetune" if method == "full" else "adapter",
        language=[code for code, _ in _languages(material)] or None,
        library_name=_LIBRARIES.get(method, "peft"),
        license=base_license(material) or "unknown",
        metrics=list(dict.fromkeys(result.metric_type for result in results)),
        model_name=name,
        eval_results=results or None,
        pipeline_tag="text-generation",
        tags=["tunegate", method, *(["text-classification"] if material.labelled else [])],
    )
    return f"{card.to_yaml(line_break=chr(10))}\n"


def _results(material: Material) -> Iterator[Any]:
    """Every figure of the tuned model with its interval, where there is one."""
    from huggingface_hub import EvalResult

    figures = material.evaluated.tuned
    for metric in (name for name in metrics_of(material.evaluated) if figures.get(name) is not None):
        interval = interval_of(material, metric)
        yield EvalResult(
            task_type="text-classification" if material.labelled else "text-generation",
            dataset_type=material.config.registry.model_name,
            dataset_name=f"{material.config.registry.model_name}: test rows",
            dataset_split="test",
            dataset_revision=material.data.digest,
            metric_type=_HUB_METRICS.get(metric, metric),
            metric_name=metric_name(metric),
            metric_value=figures.get(metric),
            metric_args={"rows": material.evaluated.rows} | ({"interval_95": list(interval)} if interval else {}),
        )


def interval_of(material: Material, metric: str) -> Interval | None:
    """The tuned model's own interval: a gate's, if an absolute one was judged on this figure; of accuracy it is known in any case."""
    for gate in material.report.gates if material.report else ():
        if gate.kind == "threshold" and gate.metric == metric and gate.interval is not None:
            return gate.interval
    if metric != "accuracy":
        return None
    right = material.answers.frame["tuned.accuracy"]
    return wilson_interval(float(right.sum()), right.len()) if right.len() else None


def _opening(material: Material) -> list[str]:
    headline = headline_of(material)
    base = _base_on_hub(material)
    third_party = ", dequantised from a third party's Q4_1" if material.config.model.name_or_path == EMBEDDED else ""
    return [
        f"# {readable_markdown(material.config.registry.model_name)}", "",
        f"`{base}`{third_party}, adapted with the method `{material.trained.method}`. "
        f"Artifact `{material.trained.artifact_digest}`.", "",
        f"**{headline.word}.** {readable_markdown(headline.sentence, _LONGEST)}", "",
    ]  # fmt: skip


def _use(material: Material) -> list[str]:
    data = material.data
    lines = ["## Intended use", ""]
    lines += [f"Made for one task: “{readable_markdown(data.instruction, _LONGEST)}”", ""] if data.instruction else []
    if data.labels is not None:
        named = ", ".join(readable_markdown(label) for label in data.labels[:_LABELS_NAMED])
        more = f" and {len(data.labels) - _LABELS_NAMED} more" if len(data.labels) > _LABELS_NAMED else ""
        lines += [f"It answers with one of {counted(len(data.labels), 'label')}: {named}{more}.", ""]
    spoken = [f"{code} ({percent(share)})" for code, share in _languages(material)]
    lines += [f"Languages of the rows that it was trained and measured on: {listed(spoken)}.", ""] if spoken else []
    return [
        *lines,
        "Other tasks, other languages and texts unlike the rows that it was measured on were not measured: nothing is claimed for them. "
        "It is no help where nobody looks at a wrong answer that does harm.", "",
    ]  # fmt: skip


def _limits(material: Material) -> list[str]:
    """What stands against it: gates that did not pass, weak slices, warnings, notes."""
    found = [f"Measured on {counted(material.evaluated.rows, 'test row')} of one source."]
    for gate in material.report.gates if material.report else ():
        if gate.outcome != "pass":
            found.append(f"Gate {gate.name.replace('_', ' ')} ({gate.outcome.replace('_', ' ')}): {gate.reason}.")
    for slices in slices_of(material.answers, labelled=material.labelled):
        weak = [row for row in (*slices.worst, *slices.others) if row.rows >= _ROWS_OF_A_SLICE][:_WEAK_SLICES]
        tuned = slices.contenders.index("tuned")
        named = [f"{row.name} {row.figures[tuned]} ({row.rows} rows)" for row in weak]
        if named:
            found.append(f"Weakest by {slices.name}, {slices.metric}: {', '.join(named)}.")
    plain, own = material.evaluated.tfidf.get("accuracy"), material.evaluated.tuned.get("accuracy")
    if plain is not None and own is not None:
        found.append(f"A plain classifier on word counts (TF-IDF) has accuracy {figure(plain)} on the same rows, this model {figure(own)}.")
    found += [f"{note}." for note in notes_of(material.config, material.parts)]
    return ["## Limits", "", *(f"- {readable_markdown(text, _LONGEST)}" for text in found), ""]


def _data(material: Material) -> list[str]:
    data, counts, source = material.data, material.data.counts, material.data_report.get("source")
    dropped = counts.quarantined + counts.duplicates + counts.unselected + counts.set_aside
    name = PurePosixPath(str(source)).name if source else None
    added = data.augmentation.rows if data.augmentation is not None else 0
    return [
        "## Training data", "",
        *([f"Source: {readable_markdown(name)}."] if name else []),
        f"Licence: {readable_markdown(material.config.data.license or 'not given')}. "
        f"{number(counts.train)} rows to train on{f' and {number(added)} that reword them' if added else ''}, "
        f"{number(counts.validation)} for validation, {number(counts.test)} to measure with, "
        f"of {number(counts.read)} read; {number(dropped)} left out. Digest `{data.digest}`.", "",
    ]  # fmt: skip


def _metrics(material: Material) -> list[str]:
    figures = figures_of(material.evaluated)
    columns = [CONTENDER_NAMES[who] for who in figures]
    lines = ["## Metrics", "", f"| | {' | '.join(columns)} | 95 % interval, tuned |", f"| --- |{' ---: |' * (len(columns) + 1)}"]
    for metric in metrics_of(material.evaluated):
        cells = [value_text(values.get(metric)) for values in figures.values()]
        lines.append(f"| {readable_markdown(metric_name(metric))} | {' | '.join(cells)} | {interval_text(interval_of(material, metric))} |")
    report = material.report
    if report is None:
        return [*lines, ""]
    lines += ["", f"| gate | outcome | value | {confidence_of(report.gates)} interval | rows |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [
        f"| {readable_markdown(gate.name.replace('_', ' '))} | {gate.outcome.replace('_', ' ')} | {value_text(gate.value)} "
        f"| {interval_text(gate.interval)} | {'' if gate.rows is None else gate.rows} |"
        for gate in report.gates
    ]
    return [*lines, ""]


def _origin(material: Material) -> list[str]:
    trained, settings = material.trained, settle(material.config.training).filled
    given = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items())
    speed = f", {number(round(trained.tokens_per_second))} a second" if trained.tokens_per_second is not None else ""
    peak = f"{trained.peak_memory_bytes / 2**30:.1f} GiB"
    return [
        "## Training", "",
        f"{counted(trained.steps, 'step')}, of which step {number(trained.shipped_step)} ships. "
        f"{number(trained.total_tokens)} tokens{speed}, {number(trained.supervised_tokens)} of them carried loss. "
        f"At most {peak} of memory. {readable_markdown(given, _LONGEST)}.", "",
        f"Licence of the base: {readable_markdown(base_license(material) or 'not given')}.", "",
        "## Origin", "",
        *(f"- {fact.name}: `{fact.value}`" for fact in lineage_of(material)), "",
        "Software: " + ", ".join(f"{name} {version}" for name, version in environment_of()) + ".", "",
    ]  # fmt: skip


def _base_on_hub(material: Material) -> str:
    name = material.config.model.name_or_path
    return EMBEDDED_ORIGIN if name == EMBEDDED else public_name(name)


def _languages(material: Material) -> list[tuple[str, float]]:
    """Languages of a sample of the rows, the most frequent first; rare ones may be mistakes and are left out."""
    found = (material.data_report.get("profile") or {}).get("languages") or {}
    return sorted(((code, share) for code, share in found.items() if share >= _LANGUAGE_SHARE), key=lambda item: -item[1])
