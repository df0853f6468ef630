"""Every fine-tuning method, as data: training, loading and serving all ask this one table."""

from tasks.methods import lora
from tasks.methods.method import Method

METHODS: dict[str, Method] = {"lora": lora.METHOD}
"""By the name that `training.method` uses."""

__all__ = ["METHODS", "Method"]
