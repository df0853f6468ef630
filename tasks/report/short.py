"""The page in short, as Markdown for Prefect: verdict, gates, figures. No text of a row is in it."""

from pathlib import Path

from tasks.pages.display import markdown
from tasks.report.figures import CONTENDER_NAMES, figures_of, interval_text, is_difference, metric_name, metrics_of, value_text
from tasks.report.headline import headline_of
from tasks.report.material import Material

_LONGEST = 500


def report_markdown(material: Material, page: Path | None) -> str:
    """GitHub-flavoured Markdown, in which every text is shown as it is.

    Args:
        page: where the page lies; null if it could not be written.
    """
    headline, figures = headline_of(material), figures_of(material.evaluated)
    lines = [f"**{headline.word}.** {markdown(headline.sentence, _LONGEST)}"]
    if material.report is not None:
        lines += ["", "| gate | outcome | value | interval |", "| --- | --- | ---: | ---: |"]
        for gate in material.report.gates:
            signed = is_difference(gate, material.config.gates.get(gate.name))
            numbers = f"{value_text(gate.value, signed=signed)} | {interval_text(gate.interval, signed=signed)}"
            lines.append(f"| {markdown(gate.name)} | {gate.outcome.replace('_', ' ')} | {numbers} |")
        stopped = [gate for gate in material.report.gates if gate.outcome in ("fail", "hold")]
        lines += ["", *(f"- **{markdown(gate.name)}**: {markdown(gate.reason, _LONGEST)}" for gate in stopped)]
    lines += ["", f"| | {' | '.join(CONTENDER_NAMES[who] for who in figures)} |", f"| --- |{' ---: |' * len(figures)}"]
    for metric in metrics_of(material.evaluated):
        lines.append(f"| {markdown(metric_name(metric))} | {' | '.join(value_text(values.get(metric)) for values in figures.values())} |")
    return "\n".join([*lines, "", *([f"Page: {markdown(str(page), _LONGEST)}", ""] if page else [])])
