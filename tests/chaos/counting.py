"""What was cut off in this session, and at how many points."""

COUNTED: dict[str, int] = {}
