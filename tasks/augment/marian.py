"""Translation by MarianMT (Junczys-Dowmunt et al., ACL 2018) through transformers, for back-translation.

Lines with the same number of tokens are translated together, so that nothing is padded, and a translation depends on its neighbours only as
far as they change the rounding.
"""

import functools
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pipeline_config.errors import ModelError
from tasks.augment.back_translation import NAME, Translation, line_by_line
from tasks.augment.operators import Missing
from tasks.files import sha256_json
from tasks.models import LoadedTranslator, identify_translator, load_translator

_TOGETHER = 32
"""Lines of one pass."""
_LONGEST = 256
"""Tokens of a line: these models were trained on single sentences, and lose parts of what is longer."""


def open_marian(names: tuple[str, str], workspace: Path) -> tuple["MarianTranslator", "MarianTranslator"] | Missing:
    """Translators into the other language and back, or what they lack. Nothing is loaded yet."""
    opened = []
    for name in names:
        try:
            digest = identify_translator(name, workspace)
        except ModelError as error:
            return Missing(NAME, f"{error.what} ({name})", _command(name, error))
        opened.append(MarianTranslator(digest, functools.partial(load_translator, name, workspace)))
    there, back = opened
    return there, back


def _command(name: str, error: ModelError) -> str:
    repository, _, commit = name.partition("@")
    if error.hint.startswith("pip "):
        return error.hint
    return f"hf download {repository} --revision {commit}" if commit else "name MarianMT models with safetensors in `marian`"


class MarianTranslator:
    """One way. The model's own settings hold (beams, forbidden tokens); nothing is drawn at random.

    Args:
        digest: of the model's files.
        load: loads it, when the first text comes.
    """

    batch = 128

    def __init__(self, digest: str, load: Callable[[], LoadedTranslator]) -> None:
        self._load = functools.cache(load)
        self.version = sha256_json({"marian": digest})

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """See :class:`tasks.augment.back_translation.Translator`."""
        return line_by_line(texts, self._translate)

    def _translate(self, lines: Sequence[str]) -> list[Translation]:
        tokenizer = self._load().tokenizer
        encoded: list[list[int]] = tokenizer(list(lines))["input_ids"]
        made = {number: Translation(None, "too long") for number, ids in enumerate(encoded) if len(ids) > _LONGEST}
        for group in _of_one_length(encoded, leave_out=made):
            made |= zip(group, self._generate([encoded[number] for number in group]), strict=True)
        return [made[number] for number in range(len(lines))]

    def _generate(self, ids: list[list[int]]) -> list[Translation]:
        import torch

        model, tokenizer = self._load().model, self._load().tokenizer
        tokens, limit = torch.tensor(ids, device=model.device), 16 + 2 * len(ids[0])
        with torch.inference_mode():
            # The first token of each is the one that starts the decoder.
            generated = model.generate(
                tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=limit
            )[:, 1:].tolist()  # fmt: skip
        end = tokenizer.eos_token_id
        return [_read(tokenizer.decode(answer, skip_special_tokens=True), end in answer[: limit - 1]) for answer in generated]


def _read(text: str, ended: bool) -> Translation:
    """Models of this kind are made to end at the limit, so that an end there is none."""
    if not ended:
        return Translation(None, "cut off")
    return Translation(text.strip()) if text.strip() else Translation(None, "empty")


def _of_one_length(encoded: Sequence[Sequence[int]], leave_out: Container[int]) -> Iterator[list[int]]:
    """Numbers of lines with the same number of tokens, at most a batch of them."""
    order = sorted((number for number in range(len(encoded)) if number not in leave_out), key=lambda number: len(encoded[number]))
    for _, same in groupby(order, key=lambda number: len(encoded[number])):
        numbers = list(same)
        yield from (numbers[start : start + _TOGETHER] for start in range(0, len(numbers), _TOGETHER))
