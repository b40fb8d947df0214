"""The rows of Table 1: which network each is, and how its ODE is solved and differentiated."""

from typing import Any, NamedTuple

from jaxtyping import Array

from neurode.gradients import Backsolve, Checkpointed, Direct
from neurode.gradients.gradient import GradientStrategy
from neurode.models import ODENet
from neurode.models.baselines import PixelMLP, ResNet
from neurode.solvers import RK4, Adams, Dopri5
from neurode.solvers.solver import Solver
from neurode.stepping import ConstantSteps, IController
from neurode.stepping.controller import StepController

PIXELS = 28
RK4_STEPS = 4  # 16 evaluations, about what dopri5 begins with at tolerance 1e-3


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        name: as in the table.
        blocks: residual blocks; 0 for an ODE, -1 for a multilayer perceptron.
        solver: of the ODE; None is the configuration's.
        stepsize: likewise.
        gradient: how the solve is differentiated.
        deskewed: whether the images are deskewed first.
    """

    name: str
    blocks: int = 0
    solver: Solver | None = None
    stepsize: StepController | None = None
    gradient: GradientStrategy = Backsolve()
    deskewed: bool = False


MODELS: dict[str, Row] = {
    "mlp": Row("MLP", blocks=-1),
    "mlp-deskewed": Row("MLP deskewed", blocks=-1, deskewed=True),
    "resnet": Row("ResNet", blocks=6),
    "resnet-1": Row("ResNet-1", blocks=1),
    "rk-net": Row("RK-Net", gradient=Direct()),
    "rk4": Row(
        "RK4 fixed", solver=RK4(), stepsize=ConstantSteps(RK4_STEPS), gradient=Checkpointed()
    ),
    "odenet": Row("ODE-Net"),  # the paper's adjoint
    "odenet-exact": Row("ODE-Net exact", gradient=Checkpointed()),
    "odenet-adams": Row("ODE-Net Adams", solver=Adams()),  # the paper's solver
}


def make_model(config: Any, model: str, key: Array, *, pixels: int = PIXELS) -> Any:
    """An untrained network of a row.

    The step size is torchdiffeq's rule, `IController`: at these loose tolerances PI control takes
    a fifth more evaluations (26 against 32 of dopri5, untrained).

    Args:
        config: channels, downsampling, tolerance and budget.
        model: a key of `MODELS`.
        key: of the weights.
        pixels: height and width of the images.
    """
    row = MODELS[model]
    if row.blocks < 0:
        return PixelMLP(pixels * pixels, key=key)
    common = {"channels": config.channels, "downsampling": config.downsampling, "key": key}
    if row.blocks:
        return ResNet(blocks=row.blocks, **common)
    return ODENet(
        solver=Dopri5() if row.solver is None else row.solver,
        stepsize=IController() if row.stepsize is None else row.stepsize,
        rtol=config.tolerance,
        atol=config.tolerance,
        gradient=row.gradient,
        max_steps=config.max_steps,
        **common,
    )
