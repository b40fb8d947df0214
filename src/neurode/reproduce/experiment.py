"""What every experiment has in common: how it is configured, and what it hands back."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neurode.reproduce.results import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ExperimentError(ValueError):
    """An experiment cannot be run as asked; the message is one line that says what to do."""


class Value(NamedTuple):
    """A number that an experiment found.

    Attributes:
        ours: the number; the mean, where there are several runs.
        n: how many runs.
        sd: standard deviation over the runs, None for one.
        note: what a reader must know about it.
    """

    ours: float
    n: int = 1
    sd: float | None = None
    note: str = ""


class Findings(NamedTuple):
    """What an experiment's `run` returns.

    Attributes:
        values: (row, metric) -> value, for what was run.
        figures: file name without suffix -> figure; beginning with "figure".
        complete: whether every row ran to its stated configuration.
        interrupted: whether a signal stopped it before the end; nothing is then written.
        seeds: the seeds that were run.
        seconds: of the runs, those before a resume included.
        notes: lines below the table.
        files: further results: file name -> where it lies in the run folder, such as weights.
        is_trial: not the experiment as it is stated: the results stay in the run folder.
    """

    values: Mapping[tuple[str, str], Value]
    figures: "Mapping[str, Figure]"
    complete: bool
    interrupted: bool
    seeds: tuple[int, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    files: Mapping[str, Path] = {}
    is_trial: bool = False


class Checked(NamedTuple):
    """A number that was found anew from weights that lie with the results.

    Attributes:
        row: the model.
        metric: what is measured.
        recorded: when it was trained.
        now: found again.
    """

    row: str
    metric: str
    recorded: float
    now: float

    @property
    def agrees(self) -> bool:
        """Whether the two differ by no more than 1%."""
        return abs(self.now - self.recorded) <= 0.01 * abs(self.recorded)


class Outcome(NamedTuple):
    """What the user gets.

    Attributes:
        table: "paper | ours | target", ready to print.
        rows: its rows.
        folder: the run folder.
        results: the folder with metrics.json, or None if interrupted.
        complete: whether every row ran to its stated configuration.
        interrupted: stopped by a signal and saved; the same call goes on.
    """

    table: str
    rows: list[Row]
    folder: Path
    results: Path | None
    complete: bool
    interrupted: bool


def make_config(kind: type, changes: Mapping[str, Any]) -> Any:
    """Return `kind(**changes)`, leaving out what is None.

    Args:
        kind: a dataclass.
        changes: field -> value, or None for "not given".

    Raises:
        ExperimentError: there is no such field.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            raise ExperimentError(f"there is no option {name!r} here; there are {', '.join(known)}")
    return kind(**given)


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise an `ExperimentError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ExperimentError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise an `ExperimentError` unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ExperimentError(f"{name} must be a whole number of at least {least}, got {value!r}")
