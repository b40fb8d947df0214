"""What comes out of the lynx and hare section, as arrays and numbers; no words yet."""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from neurode.data import Table
from neurode.demo.forecasts import measure_errors
from neurode.estimators import NeuralODE
from neurode.report import VectorField


class Model(NamedTuple):
    """A fitted model with all that the page shows of it.

    Attributes:
        name: in legends and tables.
        estimator: the fitted `NeuralODE`.
        curve: values at `Findings.plot_times`, [m, d].
        field: the vector field around the data, per year.
        work: what one solve over all years takes.
    """

    name: str
    estimator: NeuralODE
    curve: np.ndarray
    field: VectorField
    work: dict[str, Any]


class Dial(NamedTuple):
    """What a tolerance buys, for one solver.

    Attributes:
        name: of the solver.
        tolerances: relative, and absolute in thousand pelts, falling, [m].
        errors: the largest relative error over all times, [m].
        evaluations: of the vector field, [m].
    """

    name: str
    tolerances: np.ndarray
    errors: np.ndarray
    evaluations: np.ndarray


class Findings(NamedTuple):
    """All that came out, for the page to show.

    Attributes:
        table: the data.
        seen: how many of its rows the models were fitted to.
        plot_times: of the curves, [m].
        rows: where in `plot_times` the times of the data are.
        models: Lotka-Volterra, then the network.
        spread: standard deviation of the first model's curve, [m, d], from the uncertainty of its
            parameters and initial state.
        cycle: the number of rows after which the fitted years repeat themselves best.
        naive: name -> forecast of the other rows, [k, d].
        dials: tolerance against error.
    """

    table: Table
    seen: int
    plot_times: np.ndarray
    rows: np.ndarray
    models: tuple[Model, Model]
    spread: np.ndarray
    cycle: int
    naive: dict[str, np.ndarray]
    dials: list[Dial]

    @property
    def truth(self) -> np.ndarray:
        """The held-out values, [k, d]."""
        return self.table.values[self.seen :]

    @property
    def years(self) -> tuple[str, str]:
        """The years fitted and the years held out, in words."""
        times = self.table.times.astype(int)
        return f"{times[0]} to {times[self.seen - 1]}", f"{times[self.seen]} to {times[-1]}"

    def model_errors(self) -> dict[str, np.ndarray]:
        """Name -> errors of the forecast [d + 1], see `measure_errors`."""
        held_out = self.rows[self.seen :]
        return {m.name: measure_errors(m.curve[held_out], self.truth) for m in self.models}

    def naive_errors(self) -> dict[str, np.ndarray]:
        """The same of the naive forecasts."""
        return {name: measure_errors(made, self.truth) for name, made in self.naive.items()}

    def fit_errors(self) -> dict[str, np.ndarray]:
        """The same of the models on the years they were fitted to."""
        fitted, values = self.rows[: self.seen], self.table.values[: self.seen]
        return {m.name: measure_errors(m.curve[fitted], values) for m in self.models}

    @property
    def reach(self) -> float:
        """Half the width of a 95% interval, in standard errors of Lotka-Volterra."""
        estimates = self.models[0].estimator.estimates_
        assert estimates is not None
        return float(stats.t.ppf(0.975, estimates.degrees_of_freedom))

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """95% prediction intervals (lower, upper) along Lotka-Volterra's curve, [m, d] each.

        They hold the uncertainty of the curve and the scatter of the data around it.
        """
        equations = self.models[0]
        width = self.reach * np.sqrt(self.spread**2 + equations.estimator.noise_**2)
        return np.maximum(equations.curve - width, 0.0), equations.curve + width

    def count_inside(self) -> int:
        """How many held-out values the prediction intervals contain."""
        low, high = (edge[self.rows[self.seen :]] for edge in self.interval())
        return int(((low <= self.truth) & (self.truth <= high)).sum())

    def numbers(self) -> dict[str, Any]:
        """What a program may want to read, as JSON holds it."""
        equations = self.models[0].estimator
        columns = [*self.table.names, "both"]
        errors = self.model_errors() | self.naive_errors()
        return {
            "learned_from": self.years[0],
            "held_out": self.years[1],
            "forecast_rmse": {
                name: dict(zip(columns, error.tolist(), strict=True))
                for name, error in errors.items()
            },
            "inside_95_percent_interval": [self.count_inside(), self.truth.size],
            "parameters": equations.parameters_,
            "standard_errors": equations.standard_errors_,
            "intervals": {name: list(ends) for name, ends in equations.intervals_.items()},
            "final_loss": {m.name: float(m.estimator.history_["loss"][-1]) for m in self.models},
            "work": {model.name: model.work for model in self.models},
        }
