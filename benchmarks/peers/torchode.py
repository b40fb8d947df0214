"""torchode: independent systems natively, each with its own steps, in PyTorch.

Run eagerly: TorchScript, which its documentation speaks of, fails on it in the versions we pin, and
`torch.compile` takes a minute or more for every program. What it gives then (1,024 van der Pol
lanes, 200 save times: about a quarter of the eager time) does not change the comparison.
"""

import numpy as np
import torch
import torchode

from benchmarks.measure import Contestant


class VanDerPol(torch.nn.Module):
    """x'' = mu (1 - x^2) x' - x, for all lanes."""

    def __init__(self, mu: np.ndarray):
        super().__init__()
        self.mu = torch.nn.Parameter(torch.tensor(mu))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x, v = y[:, 0], y[:, 1]
        return torch.stack([v, self.mu * (1 - x * x) * v - x], 1)


class LotkaVolterra(torch.nn.Module):
    """Prey and predator, for all lanes."""

    def __init__(self, rates: np.ndarray):
        super().__init__()
        self.rates = torch.nn.Parameter(torch.tensor(rates))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        a, b, c, d = self.rates.unbind(1)
        x, z = y[:, 0], y[:, 1]
        return torch.stack([(a - b * z) * x, (c * x - d) * z], 1)


FIELDS = {"van_der_pol": VanDerPol, "lotka_volterra": LotkaVolterra}
"""The fields of `workloads.py`, by the names of their functions."""


def lanes(problem, y0, parameters, ts, tolerance: float, what: str) -> Contestant:
    """All lanes to all save times; for a gradient, of the mean square of the rows."""
    field = FIELDS[problem.f.__name__](np.asarray(parameters))
    term = torchode.ODETerm(field)
    solver = torchode.AutoDiffAdjoint(
        torchode.Dopri5(term=term),
        torchode.IntegralController(atol=tolerance, rtol=tolerance, term=term),
        backprop_through_step_size_control=False,
    )
    y0 = torch.tensor(np.asarray(y0))
    count = len(y0)
    times = torch.tensor(np.asarray(ts)).expand(count, -1)
    # Where only the end is wanted, it is not asked for evaluation points.
    points = {"t_eval": times} if len(ts) > 2 else {}
    first_step = torch.full((count,), problem.first_step)

    def run(y0: torch.Tensor):
        start = torchode.InitialValueProblem(
            y0=y0, t_start=times[:, 0], t_end=times[:, -1], **points
        )
        sol = solver.solve(start, None, first_step)
        return sol.ys[:, 1:] if points else sol.ys, sol.stats["n_f_evals"]

    def forward():
        with torch.no_grad():
            return run(y0)

    def gradient():
        leaf = y0.clone().requires_grad_()
        field.zero_grad()
        rows, evals = run(leaf)
        rows.square().mean().backward()
        return (leaf.grad, next(field.parameters()).grad), evals

    return Contestant("torchode", forward if what == "forward" else gradient)
