"""How fast this machine multiplies bf16 matrices of the base's shapes: `python -m benchmarks.train_gemm BASE`."""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

TOKENS = (256, 512, 1024, 2048)
"""Rows of the left matrix: the tokens of one forward pass. The best of these counts."""
_REPEATS, _SECONDS = 5, 0.2


class Rate(TypedDict):
    """The best rate in FLOP/s, and the product of it: (tokens, in) x (in, out). `weights` are the base's, without its embeddings."""

    flops: float
    shape: tuple[int, int, int]
    weights: int


def shapes_of(config: Any) -> list[tuple[int, int]]:
    """Width in and out of each kind of projection in a layer."""
    size, inner = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or size // config.num_attention_heads
    heads, kinds = head * config.num_attention_heads, head * config.num_key_value_heads
    return [(size, heads), (size, kinds), (heads, size), (size, inner), (inner, size)]


def weights_of(config: Any) -> int:
    """Weights of all projections: keys as values, gate as up. Norms, less than a thousandth of all weights, are left out."""
    query, key, output, up, down = (wide * high for wide, high in shapes_of(config))
    return int(config.num_hidden_layers * (query + 2 * key + output + 2 * up + down))


def measure(tokens: int, wide: int, high: int) -> float:
    """FLOP/s of a product, the median of a few spells."""
    import torch

    left, right = torch.randn(tokens, wide, dtype=torch.bfloat16), torch.randn(high, wide, dtype=torch.bfloat16)
    torch.nn.functional.linear(left, right)
    rates = []
    for _ in range(_REPEATS):
        began, products = time.perf_counter(), 0
        while (taken := time.perf_counter() - began) < _SECONDS:
            torch.nn.functional.linear(left, right)
            products += 1
        rates.append(2 * tokens * wide * high * products / taken)
    return median(rates)


def best_rate(base: Path) -> Rate:
    """The rate of the shape and size that this machine likes best, so that utilisation is not flattered."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, local_files_only=True)
    rates = {(tokens, *shape): measure(tokens, *shape) for tokens in TOKENS for shape in shapes_of(config)}
    best = max(rates, key=lambda shape: rates[shape])
    return {"flops": rates[best], "shape": best, "weights": weights_of(config)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(best_rate(Path(sys.argv[1]))) + "\n")
