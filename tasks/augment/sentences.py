"""What a reader of the run's summary must know of augmentation, in sentences."""

from collections.abc import Mapping

from pipeline_config.augmentation import AugmentationConfig, OperatorName
from tasks.artifacts import Augmentation, OperatorCounts
from tasks.augment.operators import Missing


def warnings_of(config: AugmentationConfig, augmentation: Augmentation, lacking: Mapping[OperatorName, int]) -> list[str]:
    """One sentence for each operator, and one if nothing was added.

    Args:
        lacking: children that were wanted and did not come, by operator.
    """
    said = [_sentence(counts, lacking.get(counts.name, 0)) for counts in augmentation.operators]  # type: ignore[call-overload]
    asked = any(counts.asked for counts in augmentation.operators)
    if config.balance and not asked and any(not (counts.missing or counts.dropped) for counts in augmentation.operators):
        said.append("augmentation: no label has fewer rows than another, so that there is nothing to balance")
    return said


def sentence_of_missing(lacking: Missing) -> str:
    """What an operator lacks on this machine, and the command that brings it."""
    return f"augmentation: {lacking.name} is off, because {lacking.needs} is not here; `{lacking.command}` brings it"


def _sentence(counts: OperatorCounts, lacking: int) -> str:
    name = f"augmentation: {counts.name}"
    if counts.missing is not None:
        return counts.missing
    if counts.dropped is not None:
        return f"{name} is off, because the ablation measured no lift ({counts.dropped})"
    wanted = counts.accepted + lacking
    said = f"{name} added {counts.accepted} of {wanted} rows wanted; {counts.asked} were asked for"
    refused = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.items())
    away = f"; {counts.unanswered} were not answered and are asked for again by the next run" if counts.unanswered else ""
    return f"{said}{f', of which were refused: {refused}' if refused else ''}{away}"
