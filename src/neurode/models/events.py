"""An inhomogeneous Poisson process whose intensity is read off a latent trajectory."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key

from neurode.ivp import solve
from neurode.models.dynamics import SolveOptions
from neurode.models.rates import CountedField, EventRate, event_log_likelihood
from neurode.nn import MLPField


class EventWindows(NamedTuple):
    """Events of w windows on the model's clock, padded to K of them.

    Attributes:
        times: [w, K]; anything inside the window as padding.
        mask: what is an event, [w, K].
        windows: start and end of each, [w, 2].
    """

    times: Float[Array, "w K"]
    mask: Bool[Array, "w K"]
    windows: Float[Array, "w 2"]


class Intensities(NamedTuple):
    """An intensity at some times.

    Attributes:
        log_rates: log lambda, [T].
        integrals: the integral of lambda from the model's start, [T].
        status: how the solve ended.
        num_f_evals: evaluations of the vector field.
    """

    log_rates: Float[Array, " T"]
    integrals: Float[Array, " T"]
    status: Int[Array, ""]
    num_f_evals: Int[Array, ""]


class LatentIntensity(eqx.Module):
    """lambda(t) = rate(z(t)) with dz/dt = field(t, z).

    Attributes:
        field: the latent dynamics.
        rate: lambda of a latent state.
        initial: the latent state at the start, [d].
    """

    field: MLPField
    rate: EventRate
    initial: Float[Array, " d"]

    @classmethod
    def new(
        cls,
        size: int,
        hidden: tuple[int, ...],
        readout: tuple[int, ...],
        scale: float,
        key: Key[Array, ""],
    ) -> "LatentIntensity":
        """Draw the weights.

        Args:
            size: of the latent state, d.
            hidden: widths of the hidden layers of the dynamics.
            readout: widths of those of the readout.
            scale: the mean rate.
            key: a typed key.
        """
        keys = jax.random.split(key, 3)
        return cls(
            MLPField(size, hidden, time_dependent=True, output_scale=1.0, key=keys[0]),
            EventRate.new(size, readout, scale, keys[1]),
            jax.random.normal(keys[2], (size,)),
        )

    def weights(self) -> Any:
        """What is trained, and what the prior is about: everything but the rate's scale."""
        return self.field, self.rate.readout, self.initial


def follow_intensity(
    model: LatentIntensity,
    ts: Float[Array, " T"],
    options: SolveOptions,
    probe: Any = None,
) -> Intensities:
    """The intensity and its integral at sorted times, the first of which is the model's start.

    One solve carries both; the integral has a say in the step size, for the likelihood is made of
    it.
    """
    field = CountedField(model.field, model.rate)
    solution = solve(
        field,
        field.start(model.initial),
        ts,
        solver=options.solver,
        rtol=options.rtol,
        atol=options.atol,
        stepsize=options.stepsize,
        max_steps=options.max_steps,
        gradient=options.gradient,
        probe=probe,
    )
    return Intensities(*field.read(solution.ys), solution.status, solution.stats.num_f_evals)


def differentiate_log_rates(
    model: LatentIntensity, ts: Float[Array, " m"]
) -> tuple[Float[Array, " m"], Float[Array, "m p"]]:
    """log lambda on a grid, and its derivatives by the p weights.

    The grid, from the model's start on, has to be so fine that one classical Runge-Kutta step
    leads from each time to the next: all m gradients are then one short scan.
    """
    arrays, rest = eqx.partition(model.weights(), eqx.is_inexact_array)
    flat, unravel = ravel_pytree(arrays)

    def log_rates(flat):
        field, readout, initial = eqx.combine(unravel(flat), rest)

        def step(z, interval):
            t, h = interval
            k1 = field(t, z)
            k2 = field(t + h / 2, z + h / 2 * k1)
            k3 = field(t + h / 2, z + h / 2 * k2)
            k4 = field(t + h, z + h * k3)
            z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return z, z

        _, z = jax.lax.scan(step, initial, (ts[:-1], jnp.diff(ts)))
        z = jnp.concatenate([initial[None], z])
        logs = jnp.log(model.rate.scale) + readout(z)[..., 0]
        return logs, logs

    jacobian, logs = jax.jacrev(log_rates, has_aux=True)(flat)
    return logs, jacobian


def log_likelihoods(
    model: LatentIntensity,
    batch: EventWindows,
    start: Float[Array, ""] | float,
    options: SolveOptions,
    probe: Any = None,
) -> tuple[Float[Array, " w"], Intensities]:
    """log p of each window's events: sum of log lambda(t_i) minus the integral of lambda.

    Args:
        model: the process.
        batch: the windows; all lie on the same clock, so one trajectory serves them all.
        start: of the model.
        options: how the trajectory is solved.
        probe: see `solve`.
    """
    shape = batch.times.shape
    # Padding sits at the window's start, where it costs no step of its own.
    times = jnp.where(batch.mask, batch.times, batch.windows[:, :1])
    flat = jnp.concatenate([times.ravel(), batch.windows.ravel()])
    order = jnp.argsort(flat)
    ts = jnp.concatenate([jnp.full((1,), start, flat.dtype), flat[order]])
    found = follow_intensity(model, ts, options, probe)
    back = jnp.zeros_like(order).at[order].set(jnp.arange(order.size)) + 1
    at_events, at_ends = back[: times.size].reshape(shape), back[times.size :].reshape(-1, 2)
    integral = found.integrals[at_ends]
    counts = batch.mask.astype(flat.dtype)
    logs = event_log_likelihood(found.log_rates[at_events], counts, integral[:, 1] - integral[:, 0])
    return logs, found


class EventLikelihood(eqx.Module):
    """The objective: the negative log posterior per event, in nats.

    With a normal prior of variance 1 / precision on every weight, its minimum is the most
    probable model; the prior is what keeps a few events from being explained one by one.

    Attributes:
        options: how trajectories are solved.
        start: of the model, on its clock.
        num_windows: of which a batch is a part.
        num_events: in all of them.
        precision: of the prior.
    """

    options: SolveOptions
    start: Float[Array, ""]
    num_windows: Float[Array, ""]
    num_events: Float[Array, ""]
    precision: Float[Array, ""]

    def __call__(
        self,
        model: LatentIntensity,
        batch: EventWindows,
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss; and the negative log likelihood per event without the prior."""
        del key
        logs, found = log_likelihoods(model, batch, self.start, self.options, probe)
        likelihood = logs.sum() * self.num_windows / len(batch.windows) / self.num_events
        prior = 0.5 * self.precision * sum_of_squares(model) / self.num_events
        metrics = {"nfe_forward": found.num_f_evals, "nll": -likelihood}
        return prior - likelihood, metrics


def sum_of_squares(model: LatentIntensity) -> Float[Array, ""]:
    """Of all weights: what the prior is about."""
    weights = jax.tree.leaves(eqx.filter(model.weights(), eqx.is_inexact_array))
    return jnp.sum(jnp.stack([jnp.sum(x**2) for x in weights]))
