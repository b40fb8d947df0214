"""The cases by their letters. A case is a module with `TITLE`, `NOTE`, `PLOTS` and `rows(budget)`."""

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
        return importlib.import_module(f"cases.{self.module}")


CASES = {
    "a": Case("mlp"),
    "b": Case("lanes"),
    "c": Case("save_times"),
    "e": Case("conv", threads=(1, 2)),
    "f": Case("memory"),
}
