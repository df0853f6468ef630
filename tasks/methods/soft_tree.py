"""What prompt and prefix tuning share: trees of soft prompts, and the text that they start from."""

from pathlib import Path
from typing import Any

from pipeline_config.errors import ConfigError
from tasks.methods import peft_tree
from tasks.methods.method import TaskText


def save(model: Any, folder: Path, base_name: str) -> None:
    """Writes the soft prompt as PEFT does."""
    peft_tree.save(model.peft, folder, base_name)


def load(tree: Any, name: str, folder: Path) -> Any:
    """Puts a stored soft prompt on a tree, which becomes a SoftPromptModel with the first of them."""
    from tasks.methods.soft import SoftPromptModel

    if isinstance(tree, SoftPromptModel):
        peft_tree.load(tree.peft, name, folder)
        return tree
    return SoftPromptModel(peft_tree.load(tree, name, folder))


def activate(tree: Any, name: str) -> None:
    """Makes the model use the soft prompt of this name."""
    peft_tree.activate(tree.peft, name)


def unload(tree: Any, name: str) -> None:
    """Takes one of several soft prompts off a tree."""
    peft_tree.unload(tree.peft, name)


def start_ids(given: str | None, text: TaskText | None, length: int, where: str) -> list[int]:
    """`length` token ids of a text, from its beginning; a shorter text is repeated.

    Args:
        given: the text that the configuration names; null: the instruction.

    Raises:
        ConfigError: there is no text.
    """
    wanted = given or (text.instruction if text is not None else None)
    ids = text.encode(wanted) if wanted and text is not None else []
    if not ids:
        raise ConfigError(
            "there is no text to start from: the data has no instruction", where=where, expected="a text that says what the task is",
            hint="set it, or start at random",
        )  # fmt: skip
    return (ids * (1 + length // len(ids)))[:length]
