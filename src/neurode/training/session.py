"""One sitting of a fit: dispatch, record, call back, save, until done or told to stop."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from neurode.training.checkpoint import NEWEST, Checkpoint, save_checkpoint
from neurode.training.interrupt import Interrupt
from neurode.training.metrics import MetricsLog
from neurode.training.progress import Progress, spell_seconds
from neurode.training.result import FitResult, TrainingError
from neurode.training.sharding import gather
from neurode.training.state import MAX_DISPATCH, Problem, advance

Callback = Callable[[int, PyTree, Mapping[str, float]], Mapping[str, float] | None]

_DISPATCH_SECONDS = 0.4  # aimed at, so that Ctrl-C is heeded and the bar moves within a second
_GROWTH = 8  # from one dispatch to the next, at most


@dataclass(frozen=True)
class Plan:
    """How far to go and what to do on the way; none of it changes the weights' course."""

    steps: int
    steps_per_dispatch: int | None
    checkpoint_seconds: float
    checkpoint_every: int | None
    log_every: int
    skip_non_finite: int
    callback: Callback | None
    callback_every: int | None
    stop: Callable[[int], bool] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value, name = getattr(self, field.name), field.name
            if name in ("callback", "checkpoint_seconds", "stop") or value is None:
                continue
            least = 0 if name == "skip_non_finite" else 1
            is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not is_whole or value < least:
                raise ValueError(f"{name} must be a whole number >= {least}; it is {value!r}")
        if not self.checkpoint_seconds >= 0:
            raise ValueError(f"checkpoint_seconds must be >= 0; it is {self.checkpoint_seconds!r}")

    def steps_to_boundary(self, done: int) -> int:
        """How many steps fit before something has to happen."""
        periods = [every for every in (self.checkpoint_every, self.callback_every) if every]
        return min([self.steps - done, *(every - done % every for every in periods)])


class Pace:
    """Chooses the size of a dispatch from the time that the latest one took."""

    def __init__(self, fixed: int | None):
        self._fixed = fixed
        self._count = 1
        self.is_first = True  # its time is that of the compilation

    def count(self, limit: int) -> int:
        """The size of the next dispatch, `limit` at most."""
        return min(self._fixed or self._count, MAX_DISPATCH, limit)

    def observe(self, count: int, seconds: float) -> None:
        """Takes in how long a dispatch of `count` steps took."""
        if not self.is_first:
            wanted = int(_DISPATCH_SECONDS * count / max(seconds, 1e-9))
            self._count = max(1, min(wanted, _GROWTH * self._count, MAX_DISPATCH))
        self.is_first = False


class Session:
    """The moving parts of a fit between entering and leaving it."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        start: Checkpoint,
        *,
        folder: Path | None,
        log: MetricsLog,
        progress: Progress,
        interrupt: Interrupt,
    ):
        self._problem, self._plan, self._state = problem, plan, start.state
        self._done = int(start.state.step)
        self._saved = self._done if self._done > 0 else None
        self._folder, self._log, self._progress = folder, log, progress
        self._interrupt = interrupt
        self._pace = Pace(plan.steps_per_dispatch)
        self._origin = time.monotonic() - start.seconds
        self._saved_at = time.monotonic()

    def train(self) -> FitResult:
        """Goes on until all steps are done or a signal came.

        Raises:
            TrainingError: something was not finite.
            SaveError: a file could not be written.
        """
        if self._done == self._plan.steps:
            self._progress.print(f"all {self._done} steps were done before")
            return self._result()
        while not (self._is_over() or self._interrupt.requested):
            latest = self._dispatch()
            self._call_back(latest)
            self._save_if_due()
        result = self._result()
        self._progress.finish(self._closing_words(result))
        return result

    def _is_over(self) -> bool:
        stop = self._plan.stop
        return self._done >= self._plan.steps or (stop is not None and stop(self._done))

    def _dispatch(self) -> dict[str, float]:
        """Runs the compiled program once; returns the metrics of its last step."""
        count = self._pace.count(self._plan.steps_to_boundary(self._done))
        began = time.monotonic()
        count, allowed = jnp.int32(count), jnp.int32(self._plan.skip_non_finite)
        self._state, columns, tried = advance((self._problem, count, allowed), self._state)
        # The only wait for the device, and the only transfer from it.
        columns, tried, skipped = jax.device_get((columns, tried, self._state.skipped))
        seconds = time.monotonic() - began
        steps = self._done + 1 + np.arange(tried)
        names = ["loss", *(name for name in columns if name != "loss")]
        records = {"step": steps} | {name: _as_numpy(columns[name][:tried]) for name in names}
        has_failed = skipped > self._plan.skip_non_finite or skipped == self._plan.steps
        is_logged = steps % self._plan.log_every == 0
        is_logged[-1] |= has_failed
        self._log.append_steps({name: values[is_logged] for name, values in records.items()})
        latest = {name: values[-1].item() for name, values in records.items() if name != "step"}
        if has_failed:
            self._rewind(int(steps[-1]) - int(skipped))
            raise self._failure(int(steps[-1]), latest)
        self._done += int(tried)
        self._progress.update(records, seconds, is_first=self._pace.is_first)
        self._pace.observe(int(tried), seconds)
        return latest

    def _call_back(self, latest: Mapping[str, float]) -> None:
        plan = self._plan
        if plan.callback is None or plan.callback_every is None:
            return
        if self._done % plan.callback_every == 0 or self._done == plan.steps:
            # A copy: the next dispatch takes over the buffers of the state.
            params = jax.tree.map(jnp.copy, self._state.params)
            model = gather(self._problem.model(params), self._problem.mesh)
            found = plan.callback(self._done, model, latest)
            if found is not None:
                self._log.append_evaluation(self._done, _as_numbers(found))

    def _save_if_due(self) -> None:
        every, now = self._plan.checkpoint_every, time.monotonic()
        is_due = (
            self._interrupt.requested
            or self._is_over()
            or (every is not None and self._done % every == 0)
            or now - self._saved_at >= self._plan.checkpoint_seconds
        )
        if is_due:
            self._save()

    def _save(self) -> None:
        if self._folder is not None:
            self._log.sync()
            seconds = time.monotonic() - self._origin
            save_checkpoint(self._folder, Checkpoint(self._state, seconds))
            self._saved, self._saved_at = self._done, time.monotonic()

    def _rewind(self, step: int) -> None:
        """Forget the updates since a step that were not made, and keep what was learned by then."""
        state, self._done = self._state, step
        numbers = jnp.full_like(state.step, step), jnp.zeros_like(state.skipped)
        self._state = eqx.tree_at(lambda state: (state.step, state.skipped), state, numbers)
        self._save()

    def _result(self) -> FitResult:
        return FitResult(
            model=gather(self._problem.model(self._state.params), self._problem.mesh),
            history=self._log.history(),
            steps_done=self._done,
            interrupted=self._interrupt.requested and not self._is_over(),
            seconds=time.monotonic() - self._origin,
        )

    def _closing_words(self, result: FitResult) -> str:
        if not result.interrupted:
            return f"done in {spell_seconds(result.seconds)}"
        if self._folder is None:
            return "interrupted"
        return f"interrupted and saved; the same call with run={str(self._folder)!r} goes on"

    def _failure(self, step: int, latest: Mapping[str, float]) -> TrainingError:
        if self._folder is None:
            rescue = "The last good model is in the error's result.model"
        elif self._saved is None:
            rescue = f"No checkpoint was written yet in {self._folder}"
        else:
            rescue = f"The last good checkpoint is that of step {self._saved}: "
            rescue += f"{self._folder / NEWEST}"
        loss, gradient_norm = latest["loss"], latest["gradient_norm"]
        happened = (
            f"training stopped at step {step}: the loss is {loss:.6g}, the gradient's norm "
            f"{gradient_norm:.6g}, and the update would have spoilt the weights, so it was not "
            "made"
        )
        advice = (
            "Try a lower learning rate or clipped gradients (optax.clip_by_global_norm); if a "
            "solve failed, tighter tolerances or more max_steps; if single batches are at fault, "
            "skip_non_finite=1 or more"
        )
        return TrainingError(happened, rescue, advice, step=step, loss=loss, result=self._result())


def _as_numpy(values: np.ndarray) -> np.ndarray:
    """Wide enough for JSON, the same from every device and precision."""
    is_whole = np.issubdtype(values.dtype, np.integer)
    return values.astype(np.int64 if is_whole else np.float64)


def _as_numbers(found: Mapping[str, float]) -> dict[str, float]:
    try:
        numbers = {str(name): np.asarray(value).item() for name, value in found.items()}
    except (AttributeError, ValueError, TypeError):
        raise TypeError(
            f"callback must return a dict of numbers, or None; it returned {found!r}"
        ) from None
    taken = [name for name in numbers if name in ("step", "kind")]
    if taken:
        raise ValueError(f"the callback's metric {taken[0]!r} needs another name")
    return numbers
