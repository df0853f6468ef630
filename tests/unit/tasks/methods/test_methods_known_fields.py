"""The committed list of library fields is what the installed versions have."""

from pipeline_config.passing import KNOWN_FIELDS
from tasks.methods.known_fields import as_text, generate


def test_the_list_is_that_of_the_installed_versions() -> None:
    hint = "run `python -m tasks.methods.known_fields`, and decide on each new field in pipeline_config/trainer_names.py and peft_names.py"
    assert KNOWN_FIELDS.read_text() == as_text(generate()), hint
