"""A model and its objective(model, batch, key, probe); no optimiser and no data."""

from neurode.models.odenet import ODENet as ODENet

__all__ = [
    "ODENet",
]
