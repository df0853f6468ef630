"""Every error that tunegate raises on purpose, as one tree.

    TunegateError
    ├── ConfigError          the configuration is wrong; lists every fault at once
    ├── DataError            the rows cannot be used as they are
    ├── ModelError           a base model, tokenizer or adapter cannot be loaded or is not what it claims to be
    ├── TrainingError        the training process ended without a usable result
    ├── EvaluationError      predictions or metrics could not be computed
    ├── RegistryError        the model registry does not answer or contradicts itself
    ├── LedgerError          the production ledger is broken, or somebody else wrote to it first
    ├── PromotionRefused     a rule forbids this version to go to production
    ├── RolloutError         the model server did not serve what it was told to; the switch was undone
    └── ServiceError         a local server could not be started, reached or stopped

Each says what was got, where, what was expected and one thing to try next.
"""

from collections.abc import Sequence


class TunegateError(Exception):
    """Base of all deliberate errors.

    Args:
        what: what is wrong, with the value that was got.
        where: the file, row, key or service it was found in.
        expected: what would have been right.
        hint: one thing to try next.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", hint: str = "") -> None:
        self.what, self.where, self.expected, self.hint = what, where, expected, hint
        super().__init__(what, where, expected, hint)

    def __str__(self) -> str:
        parts = [self.what]
        for label, text in (("where", self.where), ("expected", self.expected), ("hint", self.hint)):
            if text:
                parts.append(f"  {label}: {text}")
        return "\n".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuilds from keywords, so that the error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.where, self.expected, self.hint)


def _rebuild(kind: type[TunegateError], what: str, where: str, expected: str, hint: str) -> TunegateError:
    return kind(what, where=where, expected=expected, hint=hint)


class ConfigError(TunegateError):
    """The configuration is wrong.

    Build it with :meth:`of_faults` when more than one thing is wrong.
    """

    @classmethod
    def of_faults(cls, faults: Sequence[str], *, where: str) -> "ConfigError":
        """One error that names every fault of a configuration, in the order found."""
        noun = "fault" if len(faults) == 1 else "faults"
        listed = "\n".join(f"  - {fault}" for fault in faults)
        return cls(
            f"{len(faults)} {noun} in the configuration:\n{listed}",
            where=where,
            hint="`tunegate config show` prints every key with its value",
        )


class DataError(TunegateError):
    """The rows cannot be used as they are."""


class ModelError(TunegateError):
    """A base model, tokenizer or adapter cannot be loaded or is not what it claims to be."""


class TrainingError(TunegateError):
    """The training process ended without a usable result."""


class EvaluationError(TunegateError):
    """Predictions or metrics could not be computed."""


class RegistryError(TunegateError):
    """The model registry does not answer or contradicts itself."""


class LedgerError(TunegateError):
    """The production ledger is broken, or somebody else wrote to it first."""


class PromotionRefused(TunegateError):
    """A rule forbids this version to go to production."""


class RolloutError(TunegateError):
    """The model server did not serve what it was told to; the switch was undone."""


class ServiceError(TunegateError):
    """A local server could not be started, reached or stopped."""
