"""Random two-layer models of the families that people tune, and rows that are longer than their sliding windows."""

from collections.abc import Callable
from typing import Any

from tasks.chat import EncodedRow

WINDOW = 8
"""Sliding window of every model here that has one; all rows are longer."""
VOCABULARY = 120

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": 1,
    "pad_token_id": 0, "attention_dropout": 0.0,
}  # fmt: skip


def _llama(**shape: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**shape))


def _qwen2(**shape: Any) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**shape))


def _qwen2_sliding(**shape: Any) -> Any:
    return _qwen2(**shape, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)


def _qwen3(**shape: Any) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=16, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1))


def _mistral(**shape: Any) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**({"sliding_window": WINDOW} | shape)))


def _phi3(**shape: Any) -> Any:
    from transformers import Phi3Config, Phi3ForCausalLM

    return Phi3ForCausalLM(Phi3Config(**shape, sliding_window=WINDOW))


def _gemma2(**shape: Any) -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    softcaps = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 10.0}
    return Gemma2ForCausalLM(Gemma2Config(**shape, **softcaps, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW))


def _gemma3(**shape: Any) -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    layers = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**shape, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW, layer_types=layers))


FAMILIES: dict[str, Callable[..., Any]] = {
    "llama": _llama, "qwen2": _qwen2, "qwen2-sliding": _qwen2_sliding, "qwen3": _qwen3, "mistral": _mistral, "phi3": _phi3,
    "gemma2": _gemma2, "gemma3": _gemma3,
}  # fmt: skip


def tiny_model(family: str, **changes: Any) -> Any:
    """A random model of a family, fp32, in evaluation mode, with row attention where it takes it; the same weights on every call."""
    import torch

    from tasks.attention import use_row_attention

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FAMILIES[family](**(_SHAPE | changes)).eval()
    use_row_attention(model)
    return model


def random_rows(shared: int, lengths: list[int], answer: int = 4) -> list[EncodedRow]:
    """Rows of random tokens that start with the same `shared` ones and end with an answer; `lengths` are those of whole rows."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        prefix = torch.randint(2, VOCABULARY, (shared,)).tolist()
        own = [torch.randint(2, VOCABULARY, (length - shared,)).tolist() for length in lengths]
    return [
        {
            "row_id": str(number), "prompt_ids": prefix + ids[:-answer], "completion_ids": ids[-answer:],
            "supervised": [True] * answer,
        }
        for number, ids in enumerate(own)
    ]  # fmt: skip
