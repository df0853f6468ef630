"""Augmentation as a pure function: prepared rows in, the same rows and reworded ones out."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_config.augmentation import AugmentationConfig, OperatorName
from pipeline_config.data import DataConfig
from pipeline_config.errors import ConfigError, DataError
from tasks.artifacts import Ablation, Augmentation, OperatorCounts, PreparedData
from tasks.augment.accept import Acceptance, Fits, Proposal, count_reasons
from tasks.augment.budget import ROUNDS, Budget, Slot
from tasks.augment.candidates import Candidates, ask
from tasks.augment.children import OUTCOMES, child_id, write_augmented
from tasks.augment.neighbours import Embedder, HeldOut, References
from tasks.augment.operators import Candidate, Missing, Operator, Request
from tasks.augment.requests import compared_text, requests_of, reworded
from tasks.augment.sentences import sentence_of_missing, warnings_of
from tasks.augment.training import TrainingRows, benchmark_texts, held_out_texts
from tasks.files import sha256_json
from tasks.rows import Row, messages_digest, rows_in
from tasks.stages import SCRATCH

NOTHING = "no text to reword"
_SHARD = 1024
"""Children that are asked for and judged at a time."""


def augment_data(
    config: AugmentationConfig,
    data: DataConfig,
    prepared: PreparedData,
    operators: Sequence[Operator],
    *,
    folder: Path,
    cache: Path,
    embedder: Embedder,
    seed: int,
    fits: Fits | None = None,
    missing: Sequence[Missing] = (),
    ablation: Ablation | None = None,
) -> PreparedData:
    """Rewords training rows, judges what comes, and writes all rows to a folder of their own.

    The same rows, configuration, operators and seed give the same files. A call that was killed goes on where it was: shards that were
    judged lie in the folder's scratch, and candidates in the cache.

    Args:
        config: operators that an ablation dropped are off in it.
        operators: those that are there, of those that are on; others are left out.
        folder: gets the files of `tasks.artifacts.PreparedData`, `children.parquet` and `rejected.parquet` (`tasks.augment.children`).
        cache: file of the candidates that were made before (`tasks.augment.candidates`).
        fits: whether a chat fits into the model's context; null: all do.
        missing: what is on and not there.
        ablation: what each operator was found to be worth.

    Raises:
        ConfigError: answers are to be reworded, and they are labels.
        DataError: a child is equal or near to a row that is held out, which is a fault of this program; or the cache is damaged.
    """
    _require_free_text(config, prepared)
    folder.mkdir(parents=True, exist_ok=True)
    on = config.operators()
    there = {name: operator for name in on for operator in operators if operator.name == name}
    rows = TrainingRows(prepared)
    held_out = HeldOut(held_out_texts(prepared.folder), data.split.near_jaccard, embedder, benchmark_texts(prepared.folder))
    references = References(*rows.references(seed), embedder) if prepared.labels is not None and config.accept.neighbours else None
    acceptance = Acceptance(config.accept, held_out, references, rows.keys, fits or _always, embedder)
    # What is not there leaves its share of what balances labels to the others.
    budget = Budget(config.without(frozenset(on) - there.keys()), rows.row_ids, rows.labels, seed)
    made_by = [config.model_dump(mode="json"), prepared.digest, data.split.near_jaccard, embedder.name, seed]
    scratch = folder / SCRATCH / sha256_json(made_by)[:16]
    with Candidates.open(cache) as known:
        work = _Work(config, rows, acceptance, budget, known, scratch, seed)
        for number in range(ROUNDS):
            for name, operator in there.items():
                work.round(number, name, operator)
    outcomes = work.outcomes()
    _require_no_leak(held_out, outcomes)
    augmented = write_augmented(prepared, rows, outcomes, folder)
    record = Augmentation(
        rows=int(outcomes["reason"].is_null().sum()), operators=tuple(_counts(work, there, missing, ablation)), ablation=ablation
    )  # fmt: skip
    warnings = (*prepared.warnings, *warnings_of(config, record, budget.lacking))
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    return augmented.model_copy(update={"augmentation": record, "warnings": warnings})


def _require_free_text(config: AugmentationConfig, prepared: PreparedData) -> None:
    for name, operator in config.operators().items():
        if "answer" in operator.parts and prepared.labels is not None:
            raise ConfigError(
                f"answers of these rows are {len(prepared.labels)} labels",
                where=f"augmentation.{name}.parts",
                expected="`answer` only where answers are free text",
                hint="a label in other words is another label: leave `answer` out",
            )


class _Work:
    """Shards, one after another, and what came of them."""

    def __init__(
        self, config: AugmentationConfig, rows: TrainingRows, acceptance: Acceptance, budget: Budget, known: Candidates, scratch: Path,
        seed: int,
    ) -> None:  # fmt: skip
        self._config, self._rows, self._acceptance, self._budget = config, rows, acceptance, budget
        self._known, self._scratch, self._seed = known, scratch, seed
        self._shards = [pl.DataFrame(schema=OUTCOMES)]
        self._paid = set[str]()
        self.seconds: dict[str, float] = {}

    def round(self, number: int, name: OperatorName, operator: Operator) -> None:
        """Asks an operator for all that it still lacks."""
        slots, started = self._budget.slots(name), time.monotonic()
        for start in range(0, len(slots), _SHARD):
            part = slots[start : start + _SHARD]
            path = self._scratch / f"{number}-{name}-{operator.version[:16]}-{start // _SHARD}.parquet"
            shard = self._judged_before(path, part)
            if shard is None:
                shard = self._judge(name, operator, part)
                _write(path, shard)
            self._shards.append(shard)
            for slot, accepted in zip(part, shard["reason"].is_null(), strict=True):
                self._budget.settle(name, slot, accepted=accepted)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def outcomes(self) -> pl.DataFrame:
        """Of every slot so far."""
        return pl.concat(self._shards)

    def _judged_before(self, path: Path, slots: Sequence[Slot]) -> pl.DataFrame | None:
        """What a call that was killed has left of this shard."""
        if not path.is_file():
            return None
        shard = pl.read_parquet(path)
        if shard.select("place", "number").rows() != [(slot.place, slot.number) for slot in slots]:
            return None
        for child in rows_in(shard.filter(pl.col("reason").is_null())):
            self._acceptance.remember(child["messages"])
        return shard

    def _judge(self, name: OperatorName, operator: Operator, slots: Sequence[Slot]) -> pl.DataFrame:
        parents, parts = self._rows.read([slot.place for slot in slots]), self._config.operators()[name].parts
        asked = [requests_of(row, parts, slot.number, self._seed) for row, slot in zip(parents, slots, strict=True)]
        candidates = ask(operator, (request for requests in asked for request in requests.values()), self._known)
        told = [{place: candidates[request.key] for place, request in requests.items()} for requests in asked]
        proposals = [
            _proposal(row, self._rows.labels[slot.place], requests, each)
            for row, slot, requests, each in zip(parents, slots, asked, told, strict=True)
        ]
        judged = self._acceptance.judge(proposals)
        costs = [sum(self._cost(candidate) for candidate in each.values()) for each in told]
        lines = [
            {
                **_child(proposal, child_id(proposal.parent["row_id"], name, slot.number)),
                "operator": name, "version": operator.version, "seed": next((request.seed for request in requests.values()), None),
                "place": slot.place, "number": slot.number, "cost": cost, "unanswered": not all(found.final for found in each.values()),
            }
            for proposal, slot, requests, each, cost in zip(judged, slots, asked, told, costs, strict=True)
        ]  # fmt: skip
        return pl.DataFrame(lines, schema=OUTCOMES)

    def _cost(self, candidate: Candidate) -> float:
        """What it cost, the first time that it is used; rows share the wordings of an instruction."""
        if candidate.key in self._paid:
            return 0.0
        self._paid.add(candidate.key)
        return candidate.cost


def _proposal(row: Row, label: str, requests: Mapping[int, Request], told: Mapping[int, Candidate]) -> Proposal:
    """A child with every text that the operator had something for; it is none if there is no such text, or one was not answered at all."""
    texts = {place: candidate.text for place, candidate in told.items() if candidate.text is not None}
    reasons = [candidate.reason for candidate in told.values() if candidate.text is None and not (candidate.final and texts)]
    pairs = tuple((requests[place].text, text) for place, text in texts.items())
    reason = (reasons[0] if reasons else None) if told else NOTHING
    return Proposal(row, label, reworded(row["messages"], texts), pairs, reason)


def _child(proposal: Proposal, row_id: str) -> dict[str, object]:
    """Columns of what a row is; a refused one leaves no text."""
    parent, accepted = proposal.parent, proposal.reason is None
    return {
        "row_id": row_id,
        "digest": messages_digest(proposal.messages) if accepted else None,
        "group": parent["group"],
        "messages": proposal.messages if accepted else None,
        "parent": parent["row_id"],
        "similarity": proposal.similarity,
        "reason": proposal.reason,
    }


def _always(_: object) -> bool:
    return True


def _write(path: Path, shard: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    shard.write_parquet(draft)
    draft.replace(path)


def _counts(
    work: _Work, there: Mapping[OperatorName, Operator], missing: Sequence[Missing], ablation: Ablation | None
) -> Iterator[OperatorCounts]:
    """A record for each operator: those that worked, those that are not there, and those that an ablation dropped."""
    outcomes = work.outcomes()
    for name, operator in there.items():
        own = outcomes.filter(pl.col("operator") == name)
        accepted = own.filter(pl.col("reason").is_null())
        similarity = accepted["similarity"].mean()
        cost = own["cost"].sum()
        yield OperatorCounts(
            name=name, version=operator.version, asked=own.height, accepted=accepted.height, rejected=count_reasons(own["reason"]),
            unanswered=int((own["unanswered"] & own["reason"].is_not_null()).sum()),
            similarity=round(float(similarity), 4) if isinstance(similarity, float) else None,
            seconds=round(work.seconds.get(name, 0.0), 3), cost=float(cost) if cost else None,
        )  # fmt: skip
    nothing: dict[str, Any] = {"version": None, "asked": 0, "accepted": 0, "rejected": {}, "similarity": None, "seconds": 0.0}
    for lacking in missing:
        yield OperatorCounts(name=lacking.name, **nothing, missing=sentence_of_missing(lacking))
    for arm in ablation.arms if ablation is not None else ():
        if not arm.kept:
            yield OperatorCounts(name=arm.name, **nothing, dropped=f"lift {arm.lift:+.3f} [{arm.interval[0]:+.3f}, {arm.interval[1]:+.3f}]")


def _require_no_leak(held_out: HeldOut, outcomes: pl.DataFrame) -> None:
    """Looks at all children once more, together."""
    children = rows_in(outcomes.filter(pl.col("reason").is_null()))
    near = held_out.near([compared_text(child["messages"]) for child in children])
    leaked = [child["row_id"] for child, is_near in zip(children, near, strict=True) if is_near]
    if leaked:
        raise DataError(
            f"{len(leaked)} reworded rows are equal or near to a row that is held out",
            where=", ".join(leaked[:5]),
            expected="none: each was looked at before it was accepted",
            hint="this is a fault of tunegate, not of the data: please report it",
        )
