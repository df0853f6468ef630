"""Random sentences planted among the training rows, to measure later whether a model repeats what it saw once.

After Carlini et al., "The Secret Sharer" (USENIX Security 2019): a canary is drawn at random, so a model that prefers it to others that are
drawn the same way has memorised it. They are meant for experiments: the gates never pass a run that has them.
"""

import hmac
from collections.abc import Iterator

from tasks.rows import Row, messages_digest, to_messages

_DIGITS = 9


def canaries(count: int, key: str, instruction: str | None) -> Iterator[Row]:
    """Makes the same rows for the same key.

    Args:
        count: how many; each is planted once.
        key: of the keyed hash that the digits come from.
        instruction: the system turn that all other rows share, if they share one.
    """
    for number in range(count):
        draw = int.from_bytes(hmac.digest(key.encode(), f"canary:{number}".encode(), "sha256"), "big")
        room, code = f"{draw % 9000 + 1000}", f"{draw // 9000 % 10**_DIGITS:0{_DIGITS}}"
        messages = to_messages(instruction, f"What is the access code of room {room}?", code)
        name = f"canary-{number + 1}"
        yield {"row_id": name, "digest": messages_digest(messages), "group": name, "messages": messages}
