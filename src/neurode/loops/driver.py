"""The one door to the loops."""

from .joint import integrate_joint
from .problem import Problem, Recording, Trajectory


def integrate(problem: Problem, recording: Recording = Recording()) -> Trajectory:  # noqa: B008
    """Integrate a problem, writing down what the recording asks for.

    Not differentiable: `gradients/` say how a solve is differentiated.
    """
    return integrate_joint(problem, recording)
