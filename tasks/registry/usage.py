"""How a version that was laid out in a folder is loaded, as Markdown with code that runs as it stands."""

from collections.abc import Sequence
from typing import Literal

from tasks.manifest import Manifest

BASE, ADAPTER, MODEL = "base", "adapter", "model"
"""Folders of the layout."""
USE = "USE.md"
"""File of the layout that says how to load it."""

Layout = Literal["adapter", "tunegate", "model", "merged"]
"""Base and adapter for PEFT, base and adapter for tunegate, a whole model, or base and adapter merged into one."""

_ASK = """
tokenizer = AutoTokenizer.from_pretrained("{folder}")
inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
given = model.generate(**inputs, generation_config=GenerationConfig.from_pretrained("{folder}"))
print(tokenizer.decode(given[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))"""

_MODEL = """
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

chat = {chat}
model = AutoModelForCausalLM.from_pretrained("model", dtype="auto").eval()"""

_PEFT = """
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, GenerationConfig

chat = {chat}
base = AutoModelForCausalLM.from_pretrained("base", dtype=torch.{dtype}, quantization_config={quantization}){unpacked}
model = PeftModel.from_pretrained(base, "adapter").eval()"""

_TUNEGATE = """
from pathlib import Path

from tasks.registry.opening import NAME, open_version

chat = {chat}
engine = open_version(Path("adapter"), Path("base"))
print(engine.answer([chat], adapter=NAME, max_new_tokens={limit})[0].text)"""

_FOUR_BITS = """BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.{dtype}
)"""

_UNPACKED = """
for module in base.modules():
    if hasattr(module, "support_avx512bf16_for_cpu"):  # else bitsandbytes repacks the weights on some processors, with other scales
        module.support_avx512bf16_for_cpu = False"""


def usage(manifest: Manifest, name: str, verdict: str, layout: Layout, notes: Sequence[str]) -> str:
    """Text of a page for whoever has pulled a version.

    Args:
        notes: sentences that have to be known before.
    """
    return "\n".join(
        [
            f"# How to use {name}",
            "",
            f"Its gates said: {verdict}. Run this in this folder, or put its path before the names of folders.",
            *(f"\n{note}" for note in notes),
            "",
            f"```python\n{_code(manifest, layout).strip()}\n```",
            "",
            "Answers are greedy, as they were judged. `version.json` names every file with its SHA-256.",
            "",
        ]
    )


def _code(manifest: Manifest, layout: Layout) -> str:
    first = [{"role": "system", "content": manifest.instruction}] if manifest.instruction else []
    chat = repr([*first, {"role": "user", "content": "..."}])
    dtype = manifest.base.dtype
    if layout == "tunegate":
        return _TUNEGATE.format(chat=chat, limit=manifest.max_new_tokens)
    if layout in ("model", "merged"):
        return _MODEL.format(chat=chat) + _ASK.format(folder=MODEL)
    in_four_bits = manifest.base.quantization is not None
    quantization, unpacked = (_FOUR_BITS.format(dtype=dtype), _UNPACKED) if in_four_bits else ("None", "")
    return _PEFT.format(chat=chat, dtype=dtype, quantization=quantization, unpacked=unpacked) + _ASK.format(folder=ADAPTER)
