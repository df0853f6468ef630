"""Questions laid out as a tree give every choice the loss that it has alone."""

from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

from tasks.batching import BLOCKS, PACKED, PADDED, Layout
from tasks.evaluate.choices import EncodedQuestion, choice_losses, lay_out
from tasks.methods.soft import SoftPromptModel
from tests.architectures import FAMILIES, VOCABULARY, tiny_model


def questions(shared: int = 7, count: int = 40) -> list[EncodedQuestion]:
    """Prompts that begin alike and are of different lengths; choices of one to four tokens."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)

        def ids(length: int) -> list[int]:
            return torch.randint(2, VOCABULARY, (length,)).tolist()  # type: ignore[no-any-return]

        beginning = ids(shared)
        return [EncodedQuestion(beginning + ids(2 + at % 9), [ids(1 + (at + n) % 4) for n in range(4)]) for at in range(count)]


def one_by_one(model: Any, asked: list[EncodedQuestion]) -> list[list[float]]:
    """Without batches, masks or positions."""
    found = []
    with torch.no_grad():
        for question in asked:
            found.append([])
            for choice in question.choices:
                scores = model(torch.tensor([question.prompt_ids + choice])).logits[0].log_softmax(dim=-1)
                # Counted from the end: with prompt tuning PEFT returns virtual tokens as well.
                before = scores[-len(choice) - 1 : -1]
                found[-1].append(-sum(before[at, token].item() for at, token in enumerate(choice)))
    return found


def measured(model: Any, asked: list[EncodedQuestion], layout: Layout) -> torch.Tensor:
    with torch.no_grad():
        return torch.tensor(choice_losses(model, asked, layout=layout, pad_id=0))


@pytest.mark.parametrize("layout", [BLOCKS, PACKED, PADDED], ids=lambda layout: layout.name)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_choice_has_the_loss_that_it_has_alone(family: str, layout: Layout) -> None:
    model, asked = tiny_model(family), questions()
    wanted = torch.tensor(one_by_one(model, asked))
    assert torch.allclose(measured(model, asked, layout), wanted, atol=1e-3)
    assert (wanted.argmin(dim=1).unique().numel()) > 1, "one choice is always the likeliest: this proves nothing"


@pytest.mark.parametrize("config", [PrefixTuningConfig, PromptTuningConfig], ids=["prefix", "prompt"])
def test_soft_prompts_too(config: Any) -> None:
    peft = get_peft_model(tiny_model("llama"), config(task_type="CAUSAL_LM", num_virtual_tokens=5))
    torch.nn.init.normal_(peft.prompt_encoder["default"].embedding.weight, std=1.0)
    asked = questions()
    wanted = torch.tensor(one_by_one(peft.eval(), asked))
    assert torch.allclose(measured(SoftPromptModel(peft).eval(), asked, PACKED), wanted, atol=1e-3)


def test_other_choices_and_questions_change_nothing() -> None:
    model, asked = tiny_model("llama"), questions(count=3)
    alone = measured(model, asked[:1], PACKED)
    assert torch.allclose(measured(model, asked, PACKED)[:1], alone, atol=1e-4)
    fewer = [EncodedQuestion(asked[0].prompt_ids, asked[0].choices[:1])]
    assert torch.allclose(measured(model, fewer, PACKED), alone[:, :1], atol=1e-4)


def test_a_choice_of_one_token_costs_nothing_beside_its_question() -> None:
    prompt = [5, 6, 7, 8]
    asked = [EncodedQuestion(prompt, [[9], [10], [11]]), EncodedQuestion([*prompt[:2], 12], [[9], [13, 14]])]
    assert lay_out(asked, 0)["input_ids"].tolist() == [[5, 6, 7, 8, 12, 13]]
