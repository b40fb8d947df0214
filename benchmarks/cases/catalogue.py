"""The cases by their letters.

A case is a module with `TITLE`, `NOTE` (how it is measured), `PLOTS` and `rows(budget)`, which
yields a `Row` as soon as it is measured.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Case:
    """Where a case lives and how it is run.

    Attributes:
        module: below `cases`.
        threads: the case is measured once for each of these numbers of threads.
        weight: its rows get this many times the budget.
    """

    module: str
    threads: tuple[int, ...] = (1,)
    weight: float = 1.0

    def load(self) -> ModuleType:
        """The module; importing it imports JAX."""
        return importlib.import_module(f"benchmarks.cases.{self.module}")


CASES = {
    "a": Case("mlp"),
    "b": Case("lanes"),
    "c": Case("save_times"),
    "d": Case("work_precision", weight=0.1),
    "e": Case("conv", threads=(1, 2)),
    "f": Case("memory"),
    "g": Case("training"),
    "h": Case("compiling"),
    "i": Case("stiff"),
    "j": Case("epoch", threads=(1, 2), weight=20.0),
}
