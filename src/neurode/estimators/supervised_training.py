"""The training of classifiers and regressors, watched on a validation split."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurode import store
from neurode.data import ArrayBatches, FullBatch
from neurode.estimators.flow_training import Schedule, make_optimizer
from neurode.estimators.supervised_settings import choose_solver
from neurode.estimators.updates import fit_patiently
from neurode.training import FitResult

_JUDGED = 50  # times that the validation split is looked at, over all the steps
_ENOUGH = 200  # examples, from which on a validation split is worth its rows
_BEST = "best.safetensors"
_AFTERWARDS = ("predict_tolerance", "progress")  # settings that decide nothing of a fit


class Examples(NamedTuple):
    """What a network sees.

    Attributes:
        x: standardised, [n, d] or [n, h, w, c].
        y: numbers of classes [n], or standardised targets [n, k].
        weights: [n], of mean 1.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    def select(self, rows: np.ndarray) -> "Examples":
        """Some of the examples, their weights again of mean 1."""
        weights = self.weights[rows]
        return Examples(self.x[rows], self.y[rows], weights / weights.mean())

    def as_arrays(self) -> tuple[Array, Array, Array]:
        """On the device, in its precision."""
        dtype = jnp.result_type(float)
        y = jnp.asarray(self.y, jnp.int32 if self.y.dtype.kind in "iu" else dtype)
        return jnp.asarray(self.x, dtype), y, jnp.asarray(self.weights, dtype)


def split_examples(
    e: Any, examples: Examples, key: Any, labels: np.ndarray | None
) -> tuple[Examples, Examples | None]:
    """What is learned from, and what is judged by if training may stop early.

    Args:
        e: the estimator.
        examples: all of them.
        key: of the draw.
        labels: of the classes, each of which keeps its share and at least one example to learn
            from; None draws from all alike.
    """
    n = len(examples.x)
    if e.early_stopping is False or (e.early_stopping == "auto" and n < _ENOUGH):
        return examples, None
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    groups = [np.arange(n)]
    if labels is not None:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    judged = np.zeros(n, bool)
    for rows in groups:
        count = min(int(np.ceil(e.validation_fraction * len(rows))), len(rows) - 1)
        judged[rng.permutation(rows)[:count]] = True
    if not judged.any():
        return examples, None
    return examples.select(~judged), examples.select(judged)


class Watch:
    """Judges a network on the validation split, keeps the best, and says when to stop.

    What it decides depends on the best step so far alone, which a run folder holds, so that a
    resumed run decides alike.
    """

    def __init__(
        self,
        objective: Any,
        examples: Examples,
        every: int,
        patience: int,
        like: Any,
        folder: Path | None,
        config: dict[str, Any],
    ):
        """Begin, or go on with the best that the folder holds.

        Args:
            objective: as `fit` takes it.
            examples: the validation split.
            every: steps between judgements.
            patience: judgements without a better one after which to stop.
            like: a network of the right shapes.
            folder: of the run, or None.
            config: of the run; the best of another one does not count.
        """
        self._objective, self._batch = objective, examples.as_arrays()
        self.every, self._patience = every, patience
        self._file, self._config = None if folder is None else folder / _BEST, config
        self.best, self.best_step, self.best_loss = like, 0, np.inf
        if self._file is not None and self._file.exists():
            self._recall(like)

    def __call__(self, step: int, model: Any, metrics: Any) -> dict[str, float]:
        """Judge; called by `fit`."""
        del metrics
        loss, found = jax.device_get(_judge(self._objective, model, self._batch))
        if loss < self.best_loss:
            self.best, self.best_step, self.best_loss = model, step, float(loss)
            if self._file is not None:
                facts = {"step": step, "loss": self.best_loss, "config": self._config}
                store.save(self._file, model, facts)
        return {"loss": float(loss)} | {
            name: float(value) for name, value in found.items() if name == "accuracy"
        }

    def has_seen_enough(self, step: int) -> bool:
        """Whether the last judgements brought nothing better; asked by `fit`."""
        return step - self.best_step >= self._patience * self.every and self.best_step > 0

    def _recall(self, like: Any) -> None:
        try:
            best, facts = store.load(self._file, like)  # pyright: ignore[reportArgumentType]
        except store.ArchiveError:
            return  # of another network, or damaged: found anew
        if facts.get("config") == self._config:
            self.best, self.best_step = best, int(facts["step"])
            self.best_loss = float(facts["loss"])


def train_net(
    e: Any,
    objective: Any,
    net: Any,
    learned: Examples,
    judged: Examples | None,
    *,
    keys: tuple[Any, Any],
    run: str | Path | None,
    resume: bool,
) -> tuple[FitResult, Any, int]:
    """Train a network.

    Args:
        e: the estimator.
        objective: `CrossEntropy` or `SquaredError`.
        net: the network to start from.
        learned: what is learned from.
        judged: what is judged by, or None.
        keys: of the order of the batches, and of `fit`.
        run: the folder for checkpoints, or None.
        resume: whether to go on with a run that the folder holds.

    Returns:
        The result, the best network (the last one, where nothing is judged), and its step.

    Raises:
        TrainingError: training met what is not finite, again and again.
    """
    config = _describe(e)
    folder = None if run is None else Path(run)
    if folder is not None and not resume:
        with store.saving(folder):
            (folder / _BEST).unlink(missing_ok=True)
    watch = None
    if judged is not None:
        every = max(1, int(e.steps) // _JUDGED)
        watch = Watch(objective, judged, every, int(e.patience), net, folder, config)
    arrays = learned.as_arrays()
    is_whole = e.batch_size >= len(learned.x)
    result = fit_patiently(
        objective,
        net,
        FullBatch(arrays) if is_whole else ArrayBatches(arrays, int(e.batch_size), key=keys[0]),
        max_steps=int(e.max_steps),
        evaluations=choose_solver(e).evaluations.step,
        optimizer=make_optimizer(
            Schedule(int(e.steps), float(e.learning_rate), float(e.weight_decay))
        ),
        steps=int(e.steps),
        key=keys[1],
        run=run,
        config=config,
        resume=resume,
        callback=watch,
        callback_every=None if watch is None else watch.every,
        stop=None if watch is None else watch.has_seen_enough,
        progress=bool(e.progress),
    )
    if watch is None or watch.best_step == 0:
        return result, result.model, result.steps_done
    return result, watch.best, watch.best_step


def _describe(e: Any) -> dict[str, Any]:
    """What decides a fit beside its data and its weights, for a run's folder."""
    settings = {name: value for name, value in e.get_params().items() if name not in _AFTERWARDS}
    return {"estimator": type(e).__name__} | {k: _as_json(v) for k, v in settings.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


@eqx.filter_jit
def _judge(objective: Any, model: Any, batch: Any) -> tuple[Array, dict[str, Array]]:
    return objective(model, batch, jax.random.key(0), jnp.zeros(()))
