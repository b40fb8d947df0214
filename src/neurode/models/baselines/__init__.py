"""The models that the paper compares with."""

from neurode.models.baselines.kernel import choose_bandwidth as choose_bandwidth
from neurode.models.baselines.kernel import kernel_intensity as kernel_intensity
from neurode.models.baselines.planar_flow import PlanarFlow as PlanarFlow
from neurode.models.baselines.planar_flow import PlanarLikelihood as PlanarLikelihood
from neurode.models.baselines.planar_flow import PlanarReverseKL as PlanarReverseKL
from neurode.models.baselines.resnet import PixelMLP as PixelMLP
from neurode.models.baselines.resnet import ResNet as ResNet
from neurode.models.baselines.resnet import TabularResNet as TabularResNet
from neurode.models.baselines.rnn import NextValueLoss as NextValueLoss
from neurode.models.baselines.rnn import RecurrentForecaster as RecurrentForecaster
from neurode.models.baselines.rnn import Sequences as Sequences

__all__ = [
    "NextValueLoss",
    "PixelMLP",
    "PlanarFlow",
    "PlanarLikelihood",
    "PlanarReverseKL",
    "RecurrentForecaster",
    "ResNet",
    "Sequences",
    "TabularResNet",
    "choose_bandwidth",
    "kernel_intensity",
]
