"""The models that the paper compares with."""

from neurode.models.baselines.kernel import choose_bandwidth as choose_bandwidth
from neurode.models.baselines.kernel import kernel_intensity as kernel_intensity
from neurode.models.baselines.planar_flow import PlanarFlow as PlanarFlow
from neurode.models.baselines.planar_flow import PlanarLikelihood as PlanarLikelihood
from neurode.models.baselines.planar_flow import PlanarReverseKL as PlanarReverseKL
from neurode.models.baselines.rnn import NextValueLoss as NextValueLoss
from neurode.models.baselines.rnn import RecurrentForecaster as RecurrentForecaster
from neurode.models.baselines.rnn import Sequences as Sequences

__all__ = [
    "NextValueLoss",
    "PlanarFlow",
    "PlanarLikelihood",
    "PlanarReverseKL",
    "RecurrentForecaster",
    "Sequences",
    "choose_bandwidth",
    "kernel_intensity",
]
