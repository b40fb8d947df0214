"""A model and its objective(model, batch, key, probe); no optimiser and no data."""

from neurode.models.dynamics import Dynamics as Dynamics
from neurode.models.dynamics import Observations as Observations
from neurode.models.dynamics import SolveOptions as SolveOptions
from neurode.models.dynamics import Trajectories as Trajectories
from neurode.models.dynamics import TrajectoryLoss as TrajectoryLoss
from neurode.models.dynamics import solve_trajectories as solve_trajectories
from neurode.models.emissions import BernoulliEmission as BernoulliEmission
from neurode.models.emissions import Emission as Emission
from neurode.models.emissions import GaussianEmission as GaussianEmission
from neurode.models.emissions import PoissonEmission as PoissonEmission
from neurode.models.events import EventLikelihood as EventLikelihood
from neurode.models.events import EventWindows as EventWindows
from neurode.models.events import LatentIntensity as LatentIntensity
from neurode.models.events import differentiate_log_rates as differentiate_log_rates
from neurode.models.events import follow_intensity as follow_intensity
from neurode.models.events import log_likelihoods as log_likelihoods
from neurode.models.flow import Flow as Flow
from neurode.models.flow import FlowLikelihood as FlowLikelihood
from neurode.models.flow import Normal as Normal
from neurode.models.flow import ReverseKL as ReverseKL
from neurode.models.flow import StudentT as StudentT
from neurode.models.flow import Transported as Transported
from neurode.models.flow import log_density as log_density
from neurode.models.flow import transport as transport
from neurode.models.latent import Crops as Crops
from neurode.models.latent import HappenedEvents as HappenedEvents
from neurode.models.latent import LatentLoss as LatentLoss
from neurode.models.latent import LatentModel as LatentModel
from neurode.models.latent import new_latent_model as new_latent_model
from neurode.models.latent import solve_paths as solve_paths
from neurode.models.latent import weigh_evidence as weigh_evidence
from neurode.models.likelihoods import GaussianNoise as GaussianNoise
from neurode.models.likelihoods import mean_square as mean_square
from neurode.models.odenet import ODENet as ODENet
from neurode.models.parameters import Parameters as Parameters
from neurode.models.parameters import ParameterSpace as ParameterSpace
from neurode.models.parameters import UnknownParameter as UnknownParameter
from neurode.models.rates import CountedField as CountedField
from neurode.models.rates import EventRate as EventRate
from neurode.models.sensitivities import ParametricODE as ParametricODE
from neurode.models.sensitivities import Sensitivities as Sensitivities
from neurode.models.supervised import CrossEntropy as CrossEntropy
from neurode.models.supervised import SquaredError as SquaredError
from neurode.models.tabular import TabularODENet as TabularODENet

__all__ = [
    "BernoulliEmission",
    "CountedField",
    "Crops",
    "CrossEntropy",
    "Dynamics",
    "Emission",
    "EventLikelihood",
    "EventRate",
    "EventWindows",
    "Flow",
    "FlowLikelihood",
    "GaussianEmission",
    "GaussianNoise",
    "HappenedEvents",
    "LatentIntensity",
    "LatentLoss",
    "LatentModel",
    "Normal",
    "ODENet",
    "Observations",
    "ParameterSpace",
    "Parameters",
    "ParametricODE",
    "PoissonEmission",
    "ReverseKL",
    "Sensitivities",
    "SolveOptions",
    "SquaredError",
    "StudentT",
    "TabularODENet",
    "Trajectories",
    "TrajectoryLoss",
    "Transported",
    "UnknownParameter",
    "differentiate_log_rates",
    "follow_intensity",
    "log_density",
    "log_likelihoods",
    "mean_square",
    "new_latent_model",
    "solve_paths",
    "solve_trajectories",
    "transport",
    "weigh_evidence",
]
