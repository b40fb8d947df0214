"""scikit-learn's handwritten digits: an ODE-Net against the residual network it stands for."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.datasets import load_digits

from neurode.demo.digits_findings import NETS, Digits, flatten_features
from neurode.demo.digits_page import present
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import ODENetClassifier
from neurode.estimators.supervised_training import Examples, train_net
from neurode.models import CrossEntropy
from neurode.models.baselines import TabularResNet

STEPS = 400
HELD_OUT = 512
BLOCKS = 6
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_TOLERANCES = 10.0 ** np.arange(-5, 0.25, 0.5)


def run_digits(
    folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0
) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
    del folder
    digits: Any = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    x, y = digits.data[order], digits.target[order]
    learned, held_out = (x[HELD_OUT:], y[HELD_OUT:]), (x[:HELD_OUT], y[:HELD_OUT])
    with stages.part("an ODE-Net", has_bar=True):
        model = ODENetClassifier(
            steps=max(2, round(effort * STEPS)),
            early_stopping=False,
            random_state=seed,
            progress=stages.shown,
        ).fit(*learned)
        if model.stats_["interrupted"]:  # training took the Ctrl-C and stopped early
            raise KeyboardInterrupt
    with stages.part("its tolerance, turned"):
        right = {NETS[0]: model.predict(held_out[0]) == held_out[1]}
        dial = model.tune_tolerance(*held_out, tolerances=tuple(_TOLERANCES))
        model.tolerance_ = model.tolerance
        states = model.features(held_out[0], DEPTHS)
    with stages.part(f"the same with {BLOCKS} residual blocks", has_bar=True):
        resnet, history = fit_resnet(model, *learned)
        logits = _apply(resnet, jnp.asarray(model.inputs_.apply(held_out[0]), jnp.float32))
        right[NETS[1]] = np.asarray(logits).argmax(axis=1) == held_out[1]
    parameters = {NETS[0]: model.stats_["parameters"], NETS[1]: count_parameters(resnet)}
    found = Digits(
        images=held_out[0][:10].reshape(-1, 8, 8),
        labels=held_out[1],
        learned=len(learned[1]),
        right=right,
        parameters=parameters,
        blocks=BLOCKS,
        dial=dial,
        trained_at=model.tolerance,
        depths=DEPTHS,
        features=flatten_features(states),
        histories={NETS[0]: model.history_, NETS[1]: history},
        seconds=model.stats_["seconds"],
    )
    return present(found)


DIGITS = DemoSection("digits", "Digits", run_digits)


def fit_resnet(
    model: ODENetClassifier, x: np.ndarray, y: np.ndarray
) -> tuple[TabularResNet, dict[str, np.ndarray]]:
    """Train residual blocks in place of the ODE: same data, optimiser, steps and seed.

    Args:
        model: the fitted ODE-Net, whose settings count.
        x: rows learned from.
        y: their labels.

    Returns:
        The network and the history of its training.
    """
    for_net, for_batches, for_fit = jax.random.split(jax.random.key(model.random_state), 3)
    examples = Examples(model.inputs_.apply(x), np.searchsorted(model.classes_, y), np.ones(len(y)))
    net = TabularResNet(
        x.shape[1],
        len(model.classes_),
        width=model.width or x.shape[1],
        activation=model.activation,
        blocks=BLOCKS,
        key=for_net,
    )
    keys = (for_batches, for_fit)
    result, net, _ = train_net(
        model, CrossEntropy(), net, examples, None, keys=keys, run=None, resume=False
    )
    return net, result.history


def count_parameters(net: eqx.Module) -> int:
    """Numbers that were trained."""
    return sum(x.size for x in jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array)))


@eqx.filter_jit
def _apply(net: TabularResNet, x: Array) -> Array:
    return net(x)[0]
