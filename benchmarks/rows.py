"""What a benchmark measures, as data: a case yields rows, a row has one entry per contestant.

Everything that is written or drawn is made from these, so that a table or a plot can be made again
from `results.json` without measuring anything.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "neurode"


@dataclass
class Entry:
    """One contestant's part of a row; None where it does not apply.

    Attributes:
        by: who: `neurode`, `diffrax`, `floor`, or with the method, `scipy RK45`.
        seconds: median wall time of one call.
        ratio: our time / this one, pair by pair: lower quartile, median, upper quartile.
        error: of the answer: |answer - reference| / |reference| in the 2-norm.
        evals: evaluations of f in the forward solve (the mean over lanes).
        compile_seconds: trace, compile and first run.
        bytes: temporary memory of the compiled program.
        note: why there is no number here.
    """

    by: str
    seconds: float | None = None
    ratio: tuple[float, float, float] | None = None
    error: float | None = None
    evals: float | None = None
    compile_seconds: float | None = None
    bytes: int | None = None
    note: str = ""


@dataclass
class Row:
    """One problem under one set of conditions, with everybody who solved it.

    Attributes:
        labels: what tells the row from its neighbours: column -> value.
        entries: neurode first.
        checks: goal -> the value that is held against it.
        pairs: the rounds in which everyone ran.
        share: CPU time / wall time while timing: below 1 somebody else was running.
        problem: why this row has no times. The numbers of such a row count for nothing.
    """

    labels: dict[str, Any]
    entries: list[Entry] = field(default_factory=list)
    checks: dict[str, float] = field(default_factory=dict)
    pairs: int = 0
    share: float | None = None
    problem: str = ""

    def entry(self, by: str) -> Entry | None:
        """The entry of one contestant."""
        return next((entry for entry in self.entries if entry.by == by), None)

    def ratio_to(self, by: str) -> float | None:
        """Our time / theirs: the median; None where that was not measured."""
        entry = self.entry(by)
        return None if entry is None or entry.ratio is None else entry.ratio[1]

    def as_json(self) -> dict:
        """For `results.json`."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict) -> "Row":
        """A row read back."""
        return Row(**{**data, "entries": [Entry(**entry) for entry in data["entries"]]})
