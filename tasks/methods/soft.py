"""The forward pass of soft prompts: virtual tokens before each row, as embeddings (prompt tuning) or as keys and values (prefix tuning).

PEFT holds the parameters, so an artifact is plain PEFT. Its forward pass is gone round: under packing it is wrong without a word, because
it drops position ids, builds a cache of its own and knows neither masks of four dimensions nor `tasks.attention.Blocks`.

Every row sees the virtual tokens, at positions 0 to n - 1; its own positions start at n. So to a packed sequence they are one more shared
prefix, computed once.
"""

from typing import Any

import torch
from peft import PeftModel, PeftType
from torch.nn.functional import pad
from transformers import DynamicCache

from pipeline_config.errors import ModelError
from tasks.attention import widen_blocks
from tasks.attention_masks import padding_masks, with_virtual_tokens


class SoftPromptModel(torch.nn.Module):
    """Takes what a Hugging Face causal language model takes, and the layouts of `tasks.batching`; its caller sees no virtual token.

    Attributes:
        peft: the model of PEFT that holds base and soft prompts. Which of several soft prompts is used is its active adapter.
    """

    def __init__(self, peft: PeftModel) -> None:
        super().__init__()
        self.peft = peft

    @property
    def config(self) -> Any:
        """The base model's configuration."""
        return self.peft.get_base_model().config

    @property
    def device(self) -> torch.device:
        """Where the base model is."""
        return self.peft.get_base_model().device  # type: ignore[no-any-return]

    def forward(
        self, input_ids: torch.Tensor, *, position_ids: torch.Tensor | None = None, attention_mask: Any = None, blocks: Any = None,
        logits_to_keep: int | torch.Tensor = 0, past_key_values: Any = None, use_cache: bool | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """One forward pass of the base with the active soft prompt.

        Args:
            input_ids: shape (rows, tokens).
            position_ids: positions as if there were no virtual tokens, shape (rows, tokens).
            attention_mask: of the tokens alone, see `tasks.attention_masks.Mask`.
            blocks: in place of a mask, see `tasks.attention.Blocks`.
            logits_to_keep: numbers of the tokens whose logits are wanted, or how many of the last (0: all).
            past_key_values: a cache; one with tokens in it has the virtual ones too, from the call that filled it.

        Raises:
            ModelError: a packed mask came without position ids.
        """
        virtual = self._virtual_tokens
        kept = blocks is not None and "slots" in blocks  # they have the virtual tokens, and all that came before
        first = not kept and (past_key_values is None or past_key_values.get_seq_length() == 0)
        call: dict[str, Any] = {**options, "use_cache": use_cache, "past_key_values": past_key_values, "logits_to_keep": logits_to_keep}
        call["input_ids"], call["position_ids"] = input_ids, None if position_ids is None else position_ids + virtual
        if first and self._is_prefix:
            call["past_key_values"] = self._prefix_cache(len(input_ids))
        elif first:
            call |= self._prepended(input_ids, call["position_ids"], logits_to_keep)
            call["past_key_values"] = DynamicCache() if use_cache else None
        if blocks is not None:
            call |= {"blocks": widen_blocks(blocks, virtual), "attention_mask": attention_mask}
        else:
            queries = input_ids.shape[1] + (virtual if first and not self._is_prefix else 0)
            call["attention_mask"] = self._widened(attention_mask, call["position_ids"], queries)
        return self.peft.get_base_model()(**call)

    @property
    def _virtual_tokens(self) -> int:
        return int(self.peft.active_peft_config.num_virtual_tokens)

    @property
    def _is_prefix(self) -> bool:
        return bool(self.peft.active_peft_config.peft_type == PeftType.PREFIX_TUNING)

    def _prefix_cache(self, rows: int) -> DynamicCache:
        """The virtual keys and values of each layer. One set serves all rows; gradients of all add up in it.

        PEFT's own cache drops virtual tokens of layers whose sliding window is shorter; here the masks see to the window.
        """
        config, encoder = self.peft.active_peft_config, self.peft.prompt_encoder[self.peft.active_adapter]
        weights = encoder.embedding.weight
        if not config.inference_mode:
            weights = encoder(torch.arange(config.num_virtual_tokens, device=weights.device))
        shape = (config.num_virtual_tokens, config.num_layers, 2, config.num_attention_heads, -1)
        cache = DynamicCache()
        for number, layer in enumerate(weights.to(self.peft.base_model_torch_dtype).view(shape).permute(1, 2, 3, 0, 4)):
            key, value = (half.expand(rows, -1, -1, -1) for half in layer)
            cache.update(key, value, number)
        return cache

    def _prepended(self, input_ids: torch.Tensor, position_ids: torch.Tensor | None, keep: int | torch.Tensor) -> dict[str, Any]:
        """Virtual embeddings before those of each row."""
        own, virtual = self.peft.get_base_model().get_input_embeddings()(input_ids), self._virtual_tokens
        prompts = self.peft.get_prompt(batch_size=1).to(own.dtype).expand(len(own), -1, -1)
        if position_ids is not None:
            before = torch.arange(virtual, device=position_ids.device).expand(len(position_ids), -1)
            position_ids = torch.cat([before, position_ids], dim=1)
        kept = torch.where(keep < 0, keep, keep + virtual) if isinstance(keep, torch.Tensor) else keep or input_ids.shape[1]
        embeddings = torch.cat([prompts, own], dim=1)
        return {"input_ids": None, "inputs_embeds": embeddings, "position_ids": position_ids, "logits_to_keep": kept}

    def _widened(self, mask: Any, position_ids: torch.Tensor | None, queries: int) -> Any:
        """The mask with the virtual tokens in it."""
        if mask is None:
            return None
        if isinstance(mask, torch.Tensor) and mask.dim() == 2:
            return padding_masks(self.config, pad(mask, (self._virtual_tokens, 0), value=1), queries)
        if position_ids is None:
            raise ModelError(
                "a mask of four dimensions came without position ids", where="soft prompts", expected="both, as packed rows have"
            )
        return with_virtual_tokens(self.config, mask, position_ids[0], self._virtual_tokens)
