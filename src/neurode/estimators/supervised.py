"""What the classifier and the regressor share: an ODE as a layer, its training and its dial."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurode.estimators.estimator import Estimator, SettingError
from neurode.estimators.samples import Standardiser, read_examples
from neurode.estimators.supervised_files import write_net
from neurode.estimators.supervised_prediction import Predicted, follow_rows, predict_rows
from neurode.estimators.supervised_settings import check_memory, make_net
from neurode.estimators.supervised_training import Examples, split_examples, train_net
from neurode.estimators.tolerance_dial import ToleranceDial, turn_dial
from neurode.estimators.updates import count_skipped
from neurode.gradients.gradient import GradientStrategy
from neurode.solvers.solver import Solver


class SupervisedODENet(Estimator):
    """What the classifier and the regressor share; use one of those.

    A row of a table goes through a linear layer to a state, which dz/dt = f(t, z) carries from
    depth 0 to 1, and through a linear head (Chen et al. 2018, section 3). Images go through the
    paper's convolutional network instead. Columns (or channels) are standardised inside.

    A minibatch is one joint solve in training. In prediction every row is solved by itself with
    steps of its own, so that what comes out for a row depends on no other row.

    Args:
        shape: (height, width) or (height, width, channels) of images that come as rows of pixels;
            images [n, h, w] and [n, h, w, c] need none.
        width: dimension of the state of a table's rows, augmentation not counted; None: there is
            no first layer, and the state begins as the row itself.
        hidden: widths of the hidden layers of the field, for tables.
        activation: of the field, for tables.
        channels: of all convolutions, for images.
        downsampling: "res" or "conv", by about four as in the paper, or "none" for small images.
        augment: zeros appended to the state (ANODE, Dupont et al. 2019): more room, fewer steps.
        depth_degree: degree of the field's weights as polynomials in depth; 0: the same weights
            at all depths, with depth as an input.
        tolerance: relative and absolute, of the solves in training.
        predict_tolerance: of those in prediction; None is the same. See `tune_tolerance`.
        solver: the method; None is `nd.Tsit5()`.
        gradient: how training solves are differentiated; None is `nd.Checkpointed()`, exact.
        max_steps: the budget of a solve; an update that needs more is left out.
        steps: updates, at most.
        learning_rate: of AdamW, falling along a cosine.
        weight_decay: of AdamW.
        batch_size: examples per update.
        early_stopping: whether to hold out a validation split, stop when it says so and keep the
            best weights; "auto" does from 200 examples on.
        validation_fraction: of the examples (of each class).
        patience: judgements (50 over all steps) without a better one after which to stop.
        random_state: seed or typed key of everything random; None draws one.
        progress: whether to show the training.

    Attributes:
        net_: the fitted network.
        tolerance_: of predictions.
        names_: the columns of a table; none, of images.
        shape_: of an example, (d,) or (h, w, c).
        n_features_in_: numbers in an example.
        inputs_: how columns or channels are standardised.
        history_: per step: "loss", "nfe_forward", "nfe_backward", …; per judgement
            "evaluation/step", "evaluation/loss", ….
        stats_: seconds, steps, the step of the weights kept, updates skipped, parameters.
    """

    inputs_: Standardiser
    shape_: tuple[int, ...]

    def __init__(
        self,
        *,
        shape: Sequence[int] | None = None,
        width: int | None = 32,
        hidden: int | Sequence[int] = (64,),
        activation: str = "softplus",
        channels: int = 32,
        downsampling: str = "res",
        augment: int = 0,
        depth_degree: int = 0,
        tolerance: float = 1e-3,
        predict_tolerance: float | None = None,
        solver: Solver | None = None,
        gradient: GradientStrategy | None = None,
        max_steps: int = 1024,
        steps: int = 600,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-4,
        batch_size: int = 128,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 10,
        random_state: Any = 0,
        progress: bool = False,
    ):
        self.shape = shape
        self.width = width
        self.hidden = hidden
        self.activation = activation
        self.channels = channels
        self.downsampling = downsampling
        self.augment = augment
        self.depth_degree = depth_degree
        self.tolerance = tolerance
        self.predict_tolerance = predict_tolerance
        self.solver = solver
        self.gradient = gradient
        self.max_steps = max_steps
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.progress = progress

    def features(self, X: Any, depths: Sequence[float] = (0.0, 0.5, 1.0)) -> np.ndarray:
        """The states of the ODE at some depths: what the head sees is that at depth 1.

        Args:
            X: examples.
            depths: from 0 on, increasing, at most 1.

        Returns:
            [m, n, state] of a table, [m, n, h, w, c] of images.
        """
        self._check_fitted()
        try:
            at = np.asarray(depths, float)
        except (TypeError, ValueError):
            at = np.zeros(0)
        is_fine = at.ndim == 1 and len(at) and at[0] >= 0 and at[-1] <= 1
        if not is_fine or not (np.diff(at) >= 0).all():
            raise SettingError(f"depths must increase from 0 to 1, got {depths!r}")
        asked = at if at[0] == 0 else np.append(0.0, at)
        x = self.inputs_.apply(read_examples(self, X))
        states = follow_rows(self.net_, x, asked, self.tolerance_, self.dtype_)
        return states[-len(at) :]

    def tune_tolerance(
        self,
        X: Any,
        y: Any,
        tolerances: Sequence[float] | None = None,
        *,
        drop: float | None = None,
    ) -> ToleranceDial:
        """Find the loosest tolerance of predictions that costs no accuracy, and use it from now on.

        The dial of Chen et al. (2018), section 3.2: a trained ODE-Net trades accuracy for time
        when it is used, without being trained anew.

        Args:
            X: examples not learned from.
            y: their targets.
            tolerances: to try; None tries 1e-6 to 1, two in a decade, but none too tight for
                `max_steps`.
            drop: how much of the score at the tightest of them may be given up; None: nothing of
                an accuracy, 0.001 of an R².

        Returns:
            A `ToleranceDial`; `dial.draw()` is the picture.
        """
        self._check_fitted()
        dial = turn_dial(self, X, y, tolerances, drop)
        self.tolerance_ = dial.chosen
        return dial

    def _write(self, path: str | Path) -> Path:
        return write_net(path, self)

    def summary_text(self) -> str:
        """What came out, in a few lines."""
        self._check_fitted()
        s = self.stats_
        kept = f", weights of step {s['kept']}" if s["kept"] != s["steps"] else ""
        return (
            f"an ODE-Net of {s['parameters']:,} parameters fitted to {s['rows']} examples in "
            f"{s['steps']} steps ({s['seconds']:.1f} s){kept}\n"
            f"evaluations of the field per update: {self._last('nfe_forward'):.0f} forwards, "
            f"{self._last('nfe_backward'):.0f} backwards; updates skipped: {s['skipped']}"
        )

    def _last(self, name: str) -> float:
        values = self.history_[name]
        return float(np.mean(values[-max(1, len(values) // 20) :]))

    def _train(
        self,
        objective: Any,
        examples: Examples,
        outputs: int,
        labels: np.ndarray | None,
        run: str | Path | None,
        resume: bool,
        began: float,
    ) -> None:
        """Train, and note what came out."""
        check_memory(self, self.shape_, outputs)
        for_net, for_split, for_batches, for_fit = jax.random.split(self._key(), 4)
        net = make_net(self, self.shape_, outputs, for_net)
        learned, judged = split_examples(self, examples, for_split, labels)
        keys = (for_batches, for_fit)
        result, self.net_, kept = train_net(
            self, objective, net, learned, judged, keys=keys, run=run, resume=resume
        )
        self.dtype_ = np.dtype(jnp.result_type(float)).name
        given = self.tolerance if self.predict_tolerance is None else self.predict_tolerance
        self.tolerance_ = float(given)
        self.history_ = result.history
        self.stats_ = {
            "seconds": time.monotonic() - began,
            "steps": result.steps_done,
            "kept": kept,
            "skipped": count_skipped(result.history),
            "rows": len(examples.x),
            "judged": 0 if judged is None else len(judged.x),
            "parameters": sum(
                x.size for x in jax.tree.leaves(self.net_) if isinstance(x, jax.Array)
            ),
            "interrupted": result.interrupted,
        }

    def _predict_rows(self, X: Any, tolerance: float | None = None) -> Predicted:
        self._check_fitted()
        x = self.inputs_.apply(read_examples(self, X))
        at = self.tolerance_ if tolerance is None else tolerance
        return predict_rows(self.net_, x, at, self.dtype_)
