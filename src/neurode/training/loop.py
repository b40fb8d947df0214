"""`fit`: one training loop for any objective, model and batches."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import optax
from jaxtyping import Array, Key, PyTree

from neurode.store import remove_leftovers, saving
from neurode.training.checkpoint import (
    NEWEST,
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    remove_checkpoints,
)
from neurode.training.folder import METRICS, check_config, locked, run_config, write_config
from neurode.training.interrupt import Interrupt
from neurode.training.metrics import MetricsLog
from neurode.training.progress import Progress
from neurode.training.result import FitResult
from neurode.training.session import Callback, Plan, Session
from neurode.training.sharding import check_batches, checked_mesh, replicate
from neurode.training.state import Batches, Objective, Problem, split_model, start_state


def fit(
    objective: Objective,
    model: PyTree,
    batches: Batches,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: Key[Array, ""],
    run: str | Path | None = None,
    config: dict[str, Any] | None = None,
    resume: bool = True,
    trainable: PyTree | Callable[[Any], bool] | None = None,
    steps_per_dispatch: int | None = None,
    checkpoint_seconds: float = 30.0,
    checkpoint_every: int | None = None,
    log_every: int = 1,
    skip_non_finite: int = 0,
    callback: Callback | None = None,
    callback_every: int | None = None,
    stop: Callable[[int], bool] | None = None,
    progress: bool = True,
    mesh: jax.sharding.Mesh | None = None,
) -> FitResult:
    """Trains `model` by `steps` updates, several per dispatch, safe against interruption.

    Update number k (from 0) uses the batch `batches(k)` and the key `fold_in(key, k)`, and
    nothing else that varies: neither the dispatch size nor being interrupted, killed and resumed
    changes a single bit of the result on one machine.

    In the folder `run` it writes config.json, metrics.jsonl (see `training.metrics`) and two
    generations of checkpoints. Called again with the same arguments it goes on from the newest
    whole checkpoint. The first Ctrl-C or SIGTERM makes it save and return with `interrupted`; a
    second one stops it at once.

    Args:
        objective: `(model, batch, key, probe) -> (loss, metrics)`, a real scalar and a dict of
            scalars; "nfe_forward" is shown as such. `probe` is a zero to hand to
            `solve(probe=probe)`: its gradient is recorded as "nfe_backward".
        model: any pytree. It is not altered.
        batches: a pytree, called with the step: see `Batches`.
        optimizer: from optax. It is also told `value`, `grad` and `value_fn`, as line searches
            and `reduce_on_plateau` want.
        steps: updates in all, those before a resume included.
        key: a typed key.
        run: the folder, or None to write nothing.
        config: what else decides the result and is not an array or a field of the model or the
            batches (learning rate, tolerances, ...); JSON. A resume with another one is refused.
        resume: False starts anew, and replaces what a former run left in the folder.
        trainable: which leaves may be trained, as in `equinox.filter` (a function of the leaf, or
            a tree of booleans); of these, the real and complex arrays are. None: all.
        steps_per_dispatch: updates per call of the compiled program, at most 4096. None chooses
            by measured time. Larger: less overhead; smaller: prompter Ctrl-C.
        checkpoint_seconds: a checkpoint at least this often, as far as dispatches allow.
        checkpoint_every: and one whenever so many steps are done.
        log_every: record the metrics of every so many-th step.
        skip_non_finite: how many updates in a row may be left out because something was not
            finite, before it is an error; all of them always are. The weights are left as they
            were either way.
        callback: `(step, model, metrics) -> dict of numbers or None`, called with the metrics of
            the latest step; what it returns is recorded once per step, also across resumes.
        callback_every: call it after every so many steps (None: epochs) and after the last one.
        stop: asked before every dispatch with the updates done; True ends the training there, as
            if they were all. It must answer the same when a resumed run asks again.
        progress: show it on standard error.
        mesh: split the rows of each batch over its "data" axis; all else is copied.

    Returns:
        A `FitResult`; its history is that of the whole run, resumed or not.

    Raises:
        TrainingError: something was not finite; the message says what to try.
        ConfigMismatch: the folder holds a run of another configuration; the differences follow.
        RunLocked: another process is training in the folder.
        SaveError: a file could not be written; the last checkpoint still loads.
        ArchiveError: no checkpoint in the folder can be read.
        ValueError, TypeError: an argument that cannot be; in particular, a batch that does not
            divide by the devices of the mesh.
    """
    _check_types(optimizer, key)
    plan = Plan(
        steps=steps,
        steps_per_dispatch=steps_per_dispatch,
        checkpoint_seconds=checkpoint_seconds,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
        skip_non_finite=skip_non_finite,
        callback=callback,
        callback_every=_callback_every(callback, callback_every, batches),
        stop=stop,
    )
    mesh = None if mesh is None else checked_mesh(mesh)
    check_batches(batches, mesh)
    params, frozen = split_model(model, trainable)
    problem = Problem(*replicate((objective, optimizer, frozen, batches, key), mesh), mesh=mesh)
    start = Checkpoint(start_state(params, optimizer), 0.0)
    with ExitStack() as stack:
        folder = None if run is None else Path(run)
        resume_at = None
        if folder is not None:
            stack.enter_context(locked(folder))
            now = run_config(config, model, batches, key)
            start, resume_at = _open_run(folder, now, start, resume, steps)
        start = start._replace(state=replicate(start.state, mesh))
        log = MetricsLog(None if folder is None else folder / METRICS, resume_at=resume_at)
        stack.callback(log.close)
        bar = stack.enter_context(Progress(steps, start=resume_at or 0, shown=progress))
        if resume_at is not None:
            bar.print(f"{folder}: going on from step {resume_at}")
        interrupt = stack.enter_context(Interrupt())
        session = Session(
            problem, plan, start, folder=folder, log=log, progress=bar, interrupt=interrupt
        )
        return session.train()


def _open_run(
    folder: Path, config: dict[str, Any], fresh: Checkpoint, resume: bool, steps: int
) -> tuple[Checkpoint, int | None]:
    """Where to start, and the step resumed from (None: the run starts anew)."""
    remove_leftovers(folder / NEWEST)  # of a process that was killed while it saved
    if resume and has_checkpoint(folder):
        check_config(folder, config)
        start = load_checkpoint(folder, fresh.state)
        if start is not None:
            done = int(start.state.step)
            if done > steps:
                raise ValueError(
                    f"{folder} already holds {done} steps, more than steps={steps}: ask for at "
                    "least as many, choose another folder, or pass resume=False to start anew"
                )
            return start, done
    # In this order, so that being killed in between leaves no checkpoint of another run behind.
    with saving(folder):
        remove_checkpoints(folder)
    write_config(folder, config)
    return fresh, None


def _check_types(optimizer: Any, key: Any) -> None:
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"optimizer must be an optax.GradientTransformation, such as optax.adam(1e-3); it is "
            f"{optimizer!r}"
        )
    is_key = hasattr(key, "dtype") and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not is_key or key.shape != ():
        raise TypeError(f"key must be one typed key, such as jax.random.key(0); it is {key!r}")


def _callback_every(callback: Any, every: int | None, batches: Any) -> int | None:
    """In steps; an epoch unless told otherwise."""
    if callback is None or every is not None:
        return every
    epoch = getattr(batches, "steps_per_epoch", None)
    if epoch is None:
        raise TypeError("the batches have no steps_per_epoch: say callback_every")
    return int(epoch)
