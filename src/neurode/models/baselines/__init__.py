"""Models that others are compared with."""

from neurode.models.baselines.rnn import NextValueLoss as NextValueLoss
from neurode.models.baselines.rnn import RecurrentForecaster as RecurrentForecaster
from neurode.models.baselines.rnn import Sequences as Sequences

__all__ = ["NextValueLoss", "RecurrentForecaster", "Sequences"]
