"""What checks say of the rows: the records that the report, the summary and the tracking server show.

Texts in examples are masked where they hold personal data or secrets, and cut.
"""

from typing import Literal

from tasks.artifacts import Record, RowCounts

Level = Literal["info", "warning", "removed"]
"""`removed`: the rows are in quarantine; `warning`: they are kept and somebody should look; `info`: a figure without a judgement."""


class Example(Record):
    """One row that shows what is meant: where it is, and a masked excerpt."""

    file: str
    line: int
    text: str


class Finding(Record):
    """One kind of fault or figure: `count` of the `looked_at` rows (or groups of rows) show it."""

    code: str
    level: Level
    count: int
    looked_at: int
    message: str
    hint: str = ""
    examples: tuple[Example, ...] = ()


class Bin(Record):
    """One bar of a histogram: values from `low` up to, not including, `high`."""

    low: float
    high: float
    count: int


class Profile(Record):
    """What the rows look like as a whole; two profiles are compared to see whether data has drifted. Shares add up to 1.

    `characters` and `answer_characters` count over all rows kept, `tokens` over a sample of `tokens_looked_at`. `labels` is empty where
    answers are free text. `centroid` is the mean of the unit vectors of a sample's texts (`tasks.embeddings`), and `spread` the mean
    cosine distance from it; null and empty without embeddings.
    """

    rows: int
    characters: tuple[Bin, ...]
    answer_characters: tuple[Bin, ...]
    tokens: tuple[Bin, ...]
    tokens_looked_at: int
    labels: dict[str, int]
    languages: dict[str, float]
    languages_looked_at: int
    centroid: tuple[float, ...]
    spread: float | None
    embedded: int


class Diversity(Record):
    """Shares of distinct word n-grams among all of a sample's, and how many different instructions there are.

    `instruction_entropy` is Shannon's, over the largest possible one: 1 if all instructions are equally frequent, 0 if there is one only.
    `templated` is the share of a sample's texts that differ from many others in rare words and numbers only.
    """

    looked_at: int
    distinct_1: float
    distinct_2: float
    templated: float
    instructions: int
    instruction_entropy: float


class Drift(Record):
    """How far the rows have moved from the previous run's. Null: not comparable.

    `length_psi` is the population stability index of the lengths of texts or, if that is larger, of free-text answers; `label_distance`
    and `language_distance` are Jensen-Shannon distances in base 2, 0 to 1; `embedding_distance` is the cosine distance of the centroids.
    `limits` has the value of each above which there is a warning.
    """

    previous_rows: int
    length_psi: float | None
    label_distance: float | None
    language_distance: float | None
    embedding_distance: float | None
    limits: dict[str, float]
    warnings: tuple[str, ...]


class DataReport(Record):
    """All that preparation found, as `report.json` holds it."""

    digest: str
    source: str
    format: str
    format_reason: str
    counts: RowCounts
    findings: tuple[Finding, ...]
    profile: Profile
    diversity: Diversity
    near_jaccard: float | None
    near_clusters: dict[int, int]
    """Number of clusters of nearly equal rows, by their size from 2 on."""
    held_by_earlier_runs: int
    """Rows whose side was read from the split file."""
