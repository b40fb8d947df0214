"""What a section of the demonstration is: it computes, and knows how to write about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from neurode.demo.stages import Stages
from neurode.report import Page


@dataclass(frozen=True)
class SectionResult:
    """What came out of a section.

    Attributes:
        summary: one or two sentences for the top of the page, made from the numbers.
        headline: a few numbers with their names, shown as tiles.
        write: appends the section's parts to the page.
        numbers: everything a program may want to read, as JSON holds it; goes to metrics.json.
    """

    summary: str
    headline: Mapping[str, Any]
    write: Callable[[Page], None]
    numbers: Mapping[str, Any] = field(default_factory=dict)


class Run(Protocol):
    """The shape of a section's function."""

    def __call__(self, folder: Path, stages: Stages, *, seed: int, effort: float) -> SectionResult:
        """Compute; see `DemoSection.run`."""
        ...


@dataclass(frozen=True)
class DemoSection:
    """One section: no more than 30 seconds on two cores, and no knowledge of the others.

    Attributes:
        name: of its entry in metrics.json.
        title: said when it begins.
        run: `(folder, stages, *, seed, effort) -> SectionResult`. It may write files into
            `folder`, says what it is doing through `stages`, and draws everything random from
            `seed`. `effort` scales its optimiser steps: 1 for people, less for tests.
    """

    name: str
    title: str
    run: Run
