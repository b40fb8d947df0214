"""Old Faithful and two moons: densities learned as flows, against the usual estimators."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from neurode.data import old_faithful, two_moons
from neurode.demo.density_findings import FLOW, KERNEL, MIXTURE, Films, Sample
from neurode.demo.density_page import present
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import ContinuousFlow
from neurode.models import SolveOptions, transport

STEPS = 700
MOONS = 2000
TIMES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_HELD_OUT = 0.25
_PIXELS = 70
_FOLDS = 5


def run_density(
    folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0
) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
    del folder
    steps = max(2, round(effort * STEPS))
    geyser = old_faithful()
    arcs = two_moons()
    key = jax.random.key(seed)
    moons = np.asarray(arcs.sample(key, MOONS), np.float64)
    with stages.part("two flows by maximum likelihood", has_bar=True):
        samples = [
            _fit("Old Faithful", geyser.names, geyser.values, steps, seed, stages.shown),
            _fit("two moons", ("x", "y"), moons, steps, seed, stages.shown, arcs.entropy()),
        ]
    with stages.part("filming a flow"):
        films = film(samples[0].estimator, seed)
    return present(samples, films)


DENSITY = DemoSection("density", "Densities", run_density)


def _fit(
    name: str,
    names: tuple[str, ...],
    x: np.ndarray,
    steps: int,
    seed: int,
    shown: bool,
    entropy: float | None = None,
) -> Sample:
    order = np.random.default_rng(seed).permutation(len(x))
    count = round(_HELD_OUT * len(x))
    held_out, learned = x[order[:count]], x[order[count:]]
    estimator = ContinuousFlow(steps=steps, random_state=seed, progress=shown)
    estimator.fit(learned, names=names)
    if estimator.stats_["interrupted"]:  # training took the Ctrl-C and stopped early
        raise KeyboardInterrupt
    scores = {FLOW: estimator.score_samples(held_out)}
    others, settings = fit_usual(learned, held_out, seed)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.12 * (high - low)
    first, second = (
        np.linspace(a, b, _PIXELS) for a, b in zip(low - margin, high + margin, strict=True)
    )
    grid = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    density = np.exp(estimator.score_samples(grid)).reshape(_PIXELS, _PIXELS)
    return Sample(
        name,
        names,
        learned,
        held_out,
        estimator,
        scores | others,
        settings,
        entropy,
        (first, second),
        density,
        estimator.sample(len(learned)),
    )


def fit_usual(
    learned: np.ndarray, held_out: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Fit scikit-learn's estimators on standardised rows, their settings by cross-validation.

    Args:
        learned: [n, d].
        held_out: [m, d].
        seed: of the mixture's starts.

    Returns:
        Name -> log-density of the held-out rows; name -> what was chosen, in words.
    """
    scaler = StandardScaler().fit(learned)
    z, held = scaler.transform(learned), scaler.transform(held_out)
    offset = np.log(scaler.scale_).sum()  # pyright: ignore[reportArgumentType, reportCallIssue]
    searches: dict[str, tuple[Any, dict[str, Any]]] = {
        KERNEL: (KernelDensity(), {"bandwidth": np.geomspace(0.03, 1.0, 16)}),
        MIXTURE: (
            GaussianMixture(random_state=seed, reg_covar=1e-4),
            {"n_components": [1, 2, 3, 4, 6, 8, 12, 16]},
        ),
    }
    scores, settings = {}, {}
    for name, (estimator, grid) in searches.items():
        found = GridSearchCV(estimator, grid, cv=_FOLDS).fit(z)
        scores[name] = found.best_estimator_.score_samples(held) - offset
        settings[name] = ", ".join(f"{k} {v:.3g}" for k, v in found.best_params_.items())
    return scores, settings


def film(estimator: ContinuousFlow, seed: int, count: int = 400) -> Films:
    """Look at a flow in two dimensions at six times.

    Args:
        estimator: the fitted flow.
        seed: of the samples.
        count: samples.
    """
    side = np.linspace(-3, 3, _PIXELS)
    grid = jnp.asarray(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), jnp.float32)
    flow, options = estimator.flow_, SolveOptions(rtol=1e-5, atol=1e-5)

    @eqx.filter_jit
    def at(time):
        back = transport(flow.field, grid, (time, 0.0), options)
        return jnp.exp(flow.base.log_prob(back.z) + back.change)

    densities = [np.asarray(at(jnp.float32(t))).reshape(_PIXELS, _PIXELS) for t in TIMES]
    z = flow.base.sample(jax.random.key(seed), (count, 2), jnp.float32)
    clouds = transport(flow.field, z, TIMES, options).z
    return Films(TIMES, side, np.stack(densities), np.asarray(clouds))
