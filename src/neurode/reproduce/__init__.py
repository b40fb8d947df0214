"""One page per table or figure of the paper, each a config and a run; prints "paper | ours"."""

from neurode.reproduce.experiment import ExperimentError as ExperimentError
from neurode.reproduce.experiment import Outcome as Outcome
from neurode.reproduce.registry import EXPERIMENTS as EXPERIMENTS
from neurode.reproduce.registry import Experiment as Experiment
from neurode.reproduce.registry import check_experiment as check_experiment
from neurode.reproduce.registry import run_experiment as run_experiment
from neurode.reproduce.results import Row as Row

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "ExperimentError",
    "Outcome",
    "Row",
    "check_experiment",
    "run_experiment",
]
