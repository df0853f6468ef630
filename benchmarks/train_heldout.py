"""One judge for all contenders: `python -m benchmarks.train_heldout ADAPTER ROWS` writes the adapter's loss on rows that nobody trained on.

The base in fp32 and rows in padded batches, so that neither rounding nor anybody's packing takes part.
"""

import json
import sys
from pathlib import Path

from pipeline_config.environment import read_machine
from pipeline_config.model import ModelConfig
from tasks.batching import PADDED, mean_loss
from tasks.chat import encode_row
from tasks.models import load_base
from tasks.rows import read_rows

_ROWS_PER_BATCH = 8


def heldout_loss(adapter: Path, rows: Path) -> float:
    """Mean loss in nats over all tokens of the answers, end-of-turn tokens included."""
    from peft import PeftModel

    base = load_base(ModelConfig(dtype="float32"), read_machine().workspace)
    model = PeftModel.from_pretrained(base.model, str(adapter)).eval()
    encoded = sorted((encode_row(base.tokenizer, row) for row in read_rows(rows)), key=lambda row: len(row["prompt_ids"]))
    return mean_loss(PADDED, model, encoded, rows_per_batch=_ROWS_PER_BATCH, pad_id=base.tokenizer.pad_token_id or 0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(heldout_loss(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
