"""The models that the paper compares with."""

from neurode.models.baselines.planar_flow import PlanarFlow as PlanarFlow
from neurode.models.baselines.planar_flow import PlanarLikelihood as PlanarLikelihood
from neurode.models.baselines.planar_flow import PlanarReverseKL as PlanarReverseKL

__all__ = ["PlanarFlow", "PlanarLikelihood", "PlanarReverseKL"]
