"""Hands the rows of an epoch to Trainer in one of the orders of `tasks.train.order`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch.utils.data import Sampler
from transformers import TrainingArguments

from tasks.artifacts import LayoutName
from tasks.chat import EncodedRow
from tasks.train.order import length_order, steady_order

EpochOrder = Callable[[int], list[int]]
"""From the number of an epoch to the numbers of all rows."""


class OrderedSampler(Sampler[int]):
    """The rows of whatever epoch has come when it is asked.

    The epoch follows from the optimizer steps that are done, which a checkpoint keeps; being told it would depend on every wrapper that a
    data loader gets when a run is resumed.
    """

    def __init__(self, order: EpochOrder, rows: int, epoch: Callable[[], int]) -> None:
        self._order, self._rows, self._epoch = order, rows, epoch

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._order(self._epoch()))


def order_for(
    layout: LayoutName, arguments: TrainingArguments, rows: Sequence[EncodedRow], strategy: str | None = None
) -> EpochOrder | None:
    """The order that suits a layout: rows of like length together where they are padded, else steps of the same number of tokens.

    Args:
        strategy: `train_sampling_strategy`, if somebody gave it: `group_by_length` is rows of like length, whatever the layout.

    Returns:
        Null for the other strategies, which Trainer has itself.
    """
    if strategy not in (None, "group_by_length"):
        return None
    lengths = [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows]
    batch, seed = arguments.per_device_train_batch_size, arguments.seed if arguments.data_seed is None else arguments.data_seed
    if layout == "padded" or strategy is not None:
        return partial(length_order, lengths, batch, seed, accumulation=arguments.gradient_accumulation_steps)
    return partial(steady_order, lengths, batch, seed)
