"""The benchmark of the gates: how often they pass what they should not, see what they should, and how true their intervals are.

`make bench-gates` writes `benchmarks/results/gates.json` and fails if a bar does not hold. Folders of stored evaluations
(`predictions.parquet`, and `scores.parquet` if there is one) may be given as arguments, or as EVALUATIONS to make; one comes with it.
"""

import sys
import time
from collections.abc import Sequence

from benchmarks.gates_counts import COMPARISONS, INDEPENDENT, figures_of_counts
from benchmarks.gates_resampled import figures_of_resampled
from benchmarks.gates_stored import figures_of_stored, stored_folders
from benchmarks.results import Bar, as_lines, exit_code, result_of, write_result

BARS = (
    Bar("false_promotion_rate", "<=", 0.035),
    Bar("promotion_power", ">=", 0.83),
    Bar("noninferior_power", ">=", 0.83),
    Bar("regression_caught", ">=", 0.90),
    Bar("interval_coverage_min", ">=", 0.93),
    Bar("interval_coverage_max", "<=", 0.97),
    Bar("stored_false_promotion_rate", "<=", 0.035),
    Bar("resampled_false_promotion_rate", "<=", 0.035),
    Bar("resampled_coverage_min", ">=", 0.93),
    Bar("resampled_coverage_max", "<=", 0.97),
)

NOTES = (
    f"{COMPARISONS} comparisons a cell, seed fixed, each judged by tasks.evaluate.gates.judge_gates as a run's are. A rate of false "
    "promotion is the worst of its cells, and counts what passes at the first look or, having been held, at the second one at 0.01. Power, "
    "caught regressions and coverage are of the first look.",
    "Comparisons in accuracy: counts drawn at the points of a scrambled Halton sequence, so that a rate is known to about 0.001; "
    "as many independent draws leave 0.004, and the worst of many cells then shows its luck. false_promotion_rate_independent_draws is of "
    f"{INDEPENDENT} of these a cell (0.0018), with four times the rows. "
    "Held comparisons get twice and four times their rows whatever the gate advises, and the worse counts. Rows differing: 5, 10 and 20 %.",
    "Resampled: rouge1-like means, perplexity, macro-F1 of 12 labels, and accuracy of rows in groups of four; independent draws, each in "
    "both directions where the models are alike (standard error about 0.003); held ones get twice their rows.",
    "Stored: predictions of a real run of the demo. As they are: only swapped, all swaps counted; else rows drawn with replacement and "
    "swapped, 400 and 1,000 of them, with top-ups.",
)


def main(arguments: Sequence[str]) -> int:
    """Runs everything, writes the result, prints the bars and returns the exit code."""
    figures: dict[str, float] = {}
    for name, part in (
        ("comparisons in accuracy", figures_of_counts),
        ("stored predictions", lambda: figures_of_stored(stored_folders(arguments))),
        ("resampled comparisons", figures_of_resampled),
    ):
        began = time.perf_counter()
        figures |= dict(part())
        sys.stdout.write(f"{name}: {time.perf_counter() - began:.0f} s\n")
        sys.stdout.flush()
    result = result_of("gates", figures, BARS, peers={}, notes=NOTES)
    sys.stdout.write("\n".join([*as_lines(result), str(write_result(result))]) + "\n")
    return exit_code(result)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
