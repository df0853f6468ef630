"""Judges what a model has forgotten: its answers to the general suite, and how well it reads general text, both against the base's."""

import math
from dataclasses import dataclass

from pipeline_config.gates import ForgettingGate
from tasks.artifacts import GateResult, GeneralLosses, Outcome, RetainedCategory, Retention
from tasks.evaluate.gates_case import shown
from tasks.evaluate.looks import FIRST, SECOND_LEVEL, Look
from tasks.statistics import LEVEL, Interval, Pairs, paired_interval

ACCURACY, PERPLEXITY = "retention_accuracy", "retention_perplexity_ratio"
"""What the gate's value and interval are of: that half of it which decided."""

_LARGEST = 700.0
"""Largest difference in nats whose exponential is a finite number, about."""


@dataclass(frozen=True)
class _Half:
    """One of the gate's two measurements."""

    metric: str
    threshold: float
    outcome: Outcome
    reason: str
    value: float | None = None
    interval: Interval | None = None


def judge_forgetting(name: str, gate: ForgettingGate, retention: Retention | None, look: Look = FIRST) -> GateResult:
    """Both halves have to pass. The result shows the one that decided, and the suite if both passed; its reason says both."""
    level = look.level or SECOND_LEVEL
    if retention is None:
        halves = [_Half(ACCURACY, -gate.max_drop, "hold", "nobody measured forgetting; held")]
    else:
        halves = [_judge_suite(gate, retention, level), _judge_text(gate, retention.text, level)]
    decided = min(halves, key=lambda half: ("fail", "hold", "pass").index(half.outcome))
    outcome, reason = decided.outcome, "; ".join(half.reason for half in halves)
    if look.level is None:
        outcome, reason = "hold", f"{reason}; held: the artifact has been judged {look.number - 1} times before, train another one"
    return GateResult(
        name=name, kind=gate.kind, metric=decided.metric, value=decided.value, threshold=decided.threshold, interval=decided.interval,
        rows=retention.questions if retention is not None else None, outcome=outcome, reason=reason,
        level=level if decided.interval is not None else None,
    )  # fmt: skip


def ratio_interval(losses: GeneralLosses, level: float = LEVEL) -> Interval | None:
    """Bootstrap interval of tuned's perplexity as a multiple of the base's; blocks are drawn for both at once (`tasks.resampling`).

    All blocks have as many tokens, so that the mean of their differences is the logarithm of the ratio.

    Returns:
        Null if there are fewer than two blocks, or one has no finite loss.
    """
    import numpy as np

    from tasks.resampling import resample

    differences = _differences(losses)
    if differences is None or len(differences) < 2:
        return None
    low, high = resample(np.array(differences)[:, None], lambda sums: sums[..., 0] / len(differences)).wider(level)
    return _ratio(low), _ratio(high)


def _judge_suite(gate: ForgettingGate, retention: Retention, level: float) -> _Half:
    asked, least = retention.questions, -gate.max_drop
    if (fault := _fault(gate, retention)) is not None:
        return _Half(ACCURACY, least, "hold", f"{fault}; held")
    pairs = Pairs(asked, sum(part.gained for part in retention.categories), sum(part.lost for part in retention.categories))
    interval = paired_interval(pairs, 1 - 2 * level)
    outcome: Outcome = "pass" if interval[0] > least else "fail" if interval[1] < least else "hold"
    by_category = ", ".join(f"{part.name} {part.base_right} to {part.tuned_right} of {part.questions}" for part in retention.categories)
    text = (
        f"on {asked} general questions tuned is {pairs.difference:+.3f}{shown(interval, '+.3f')} above the base in accuracy"
        f" ({by_category}), a lower end above {least:+g} is required"
    )
    if outcome == "hold":
        text += "; held: the questions cannot tell; ask all of them, train more gently, or allow more"
    return _Half(ACCURACY, least, outcome, text, pairs.difference, interval)


def _fault(gate: ForgettingGate, retention: Retention) -> str | None:
    """Why the answers to the suite decide nothing, if they do not."""
    asked = retention.questions
    if asked < gate.min_questions:
        return f"{asked} general questions were asked, and {gate.min_questions} are needed"
    if retention.unanswered:
        return f"on {retention.unanswered} of {asked} general questions a likelihood is no number"
    wrong = [part.name for part in retention.categories if not _is_consistent(part)]
    return f"the counts of {' and '.join(wrong)} contradict themselves" if wrong else None


def _is_consistent(part: RetainedCategory) -> bool:
    counts = (part.gained, part.lost, part.base_right - part.lost, part.questions - part.base_right - part.gained)
    return min(counts) >= 0 and part.tuned_right - part.base_right == part.gained - part.lost


def _judge_text(gate: ForgettingGate, losses: GeneralLosses | None, level: float) -> _Half:
    most = gate.max_perplexity_ratio
    if losses is None:
        return _Half(PERPLEXITY, most, "hold", "this machine has no general text to read; held")
    differences, interval = _differences(losses), ratio_interval(losses, level)
    if differences is None or interval is None:
        return _Half(PERPLEXITY, most, "hold", "a loss on general text is missing or no finite number; held")
    ratio = _ratio(sum(differences) / len(differences))
    outcome: Outcome = "pass" if interval[1] < most else "fail" if interval[0] > most else "hold"
    text = (
        f"perplexity on {losses.tokens} tokens of general text is {ratio:.3f}{shown(interval)} times the base's,"
        f" an upper end below {most:g} is required{'; held' if outcome == 'hold' else ''}"
    )
    return _Half(PERPLEXITY, most, outcome, text, ratio, interval)


def _ratio(difference: float) -> float:
    """The ratio that a difference of logarithms stands for; a wrecked model can have one that no float holds."""
    return math.exp(min(difference, _LARGEST))


def _differences(losses: GeneralLosses) -> list[float] | None:
    """Tuned's loss minus the base's in each block, in nats a token, ascending; null if one is missing."""
    if len(losses.base) != len(losses.tuned):
        return None
    pairs = [(tuned, base) for tuned, base in zip(losses.tuned, losses.base, strict=True) if tuned is not None and base is not None]
    differences = sorted(tuned - base for tuned, base in pairs)
    whole = len(pairs) == len(losses.base) and all(map(math.isfinite, differences))
    return differences if whole else None
