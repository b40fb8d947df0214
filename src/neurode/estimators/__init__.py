"""Models with scikit-learn's manners: fit, predict, score, save; and `load`."""

from neurode.estimators.classifier import ODENetClassifier as ODENetClassifier
from neurode.estimators.columns import DensityWarning as DensityWarning
from neurode.estimators.density import ContinuousFlow as ContinuousFlow
from neurode.estimators.dynamics import NeuralODE as NeuralODE
from neurode.estimators.estimator import Estimator as Estimator
from neurode.estimators.estimator import IdentifiabilityWarning as IdentifiabilityWarning
from neurode.estimators.estimator import SettingError as SettingError
from neurode.estimators.inference import Estimates as Estimates
from neurode.estimators.intensities import Intensity as Intensity
from neurode.estimators.latent import LatentODE as LatentODE
from neurode.estimators.loading import load as load
from neurode.estimators.poisson import PoissonProcess as PoissonProcess
from neurode.estimators.predictive import Forecast as Forecast
from neurode.estimators.regressor import ODENetRegressor as ODENetRegressor
from neurode.estimators.sampler import DensitySampler as DensitySampler
from neurode.estimators.supervised import SupervisedODENet as SupervisedODENet
from neurode.estimators.tolerance_dial import ToleranceDial as ToleranceDial

__all__ = [
    "ContinuousFlow",
    "DensitySampler",
    "DensityWarning",
    "Estimates",
    "Estimator",
    "Forecast",
    "IdentifiabilityWarning",
    "Intensity",
    "LatentODE",
    "NeuralODE",
    "ODENetClassifier",
    "ODENetRegressor",
    "PoissonProcess",
    "SettingError",
    "SupervisedODENet",
    "ToleranceDial",
    "load",
]
