"""`tunegate topup`: a held run once more, with more test rows and the artifact that it trained."""

import sys

from deployments.cli.run import run as run_job
from deployments.cli.runs import CONFIG, find, summary_of
from pipeline_config.environment import Machine
from pipeline_config.errors import EvaluationError
from pipeline_config.loading import load_over


def top_up(run: str, rows: int | None, machine: Machine) -> int:
    """Runs the main job with the run's own configuration and a higher `data.max_test_rows`; returns its exit code.

    Training is reused, as its rows are the same, and the job finds out by itself that this is a second look: the number of rows is all that
    is said here.

    Raises:
        EvaluationError: the run was not held, nothing says how many rows it takes, or there are no more rows to take.
    """
    folder = find(run, machine)
    summary, config = summary_of(folder), load_over(folder / CONFIG)
    if summary["verdict"] != "hold":
        raise EvaluationError(
            f"the run's verdict is {summary['verdict']}", where=str(folder), expected="hold", hint="only what is held can be topped up"
        )
    more = rows if rows is not None else max((gate.get("more_rows") or 0 for gate in summary["gates"]), default=0)
    if not more:
        raise EvaluationError(
            "no gate says how many more rows would decide", where=str(folder), expected="a comparison that more rows decide, or --rows",
            hint="the reasons of the gates that hold say what is missing",
        )  # fmt: skip
    if config.data.max_test_rows is None or summary["test_rows"] < config.data.max_test_rows:
        raise EvaluationError(
            f"the run was judged on all {summary['test_rows']} test rows that its data has", where="data.max_test_rows",
            expected=f"about {more} more rows", hint="add them to the data's test files and run again: more test rows train no other model",
        )  # fmt: skip
    wanted = summary["test_rows"] + more
    print(f"topping up {summary['run_id']}: {summary['test_rows']} + {more} test rows", file=sys.stderr, flush=True)
    return run_job("demo", folder / CONFIG, [f"data.max_test_rows={wanted}"], machine)
