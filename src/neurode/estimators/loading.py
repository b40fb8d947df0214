"""`nd.load`: any fitted model by the folder or file it was saved to."""

import os
from typing import Any

from neurode.estimators.archives import find_model, read_header
from neurode.estimators.classifier import ODENetClassifier
from neurode.estimators.density import ContinuousFlow
from neurode.estimators.dynamics import NeuralODE
from neurode.estimators.flow_files import read_flow
from neurode.estimators.latent import LatentODE
from neurode.estimators.latent_saving import read_latent
from neurode.estimators.poisson import PoissonProcess
from neurode.estimators.poisson_files import read_process
from neurode.estimators.regressor import ODENetRegressor
from neurode.estimators.sampler import DensitySampler
from neurode.estimators.saving import read_model
from neurode.estimators.supervised_files import read_net
from neurode.store import ArchiveError

_ESTIMATORS = {
    "NeuralODE": (NeuralODE, read_model),
    "ContinuousFlow": (ContinuousFlow, read_flow),
    "DensitySampler": (DensitySampler, read_flow),
    "LatentODE": (LatentODE, read_latent),
    "ODENetClassifier": (ODENetClassifier, read_net),
    "ODENetRegressor": (ODENetRegressor, read_net),
    "PoissonProcess": (PoissonProcess, read_process),
}


def load(path: str | os.PathLike[str], field: Any = None) -> Any:
    """Read a model that an estimator's `save` wrote. Nothing in the file is ever run.

    Args:
        path: the folder of a run, or the *.safetensors file itself.
        field: the field or ODE of your own that it was fitted with, if it was; another one that
            computes something else is refused.

    Returns:
        The fitted estimator.

    Raises:
        ArchiveError: the file is missing, damaged, truncated, foreign or newer, or its field is
            missing or another one; the message is one line.
        OSError: it could not be read.
    """
    file = find_model(path)
    metadata = read_header(file)
    found = _ESTIMATORS.get(metadata.get("estimator", ""))
    if found is None:
        raise ArchiveError(
            f"{file} holds a {metadata.get('estimator')!r}, which this neurode does not know: "
            "upgrade neurode"
        )
    estimator, read = found
    return read(file, metadata, estimator, field)
