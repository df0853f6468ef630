"""Small real things for tests: a random base model on disk, rows, prepared data, records."""

from pathlib import Path

from pipeline_config.model import ModelConfig

_PAD, _START, _END = "<|pad|>", "<|start|>", "<|end|>"
_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
_TEXTS = [
    "system user assistant Route this ticket to a queue. Choose one of these labels:",
    "the vpn drops every hour and the printer says paper jam, password reset for the new laptop please",
    "access network hardware email billing software positive negative neutral",
]


def tiny_base(folder: Path) -> ModelConfig:
    """Saves a random two-layer Llama (hidden size 32, fp32) with a byte-level tokenizer; the same bytes on every call.

    Returns:
        A configuration that names the folder.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, initializer_range=0.2, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelConfig(name_or_path=str(folder), dtype="float32", max_length=256)


def _tiny_tokenizer():  # noqa: ANN202 - transformers has no types
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[_PAD, _START, _END], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=_PAD, eos_token=_END, additional_special_tokens=[_START])
    fast.chat_template = _TEMPLATE
    return fast
