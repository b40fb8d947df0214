"""The planar vector field of continuous normalizing flows, its weights functions of time."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class PlanarField(eqx.Module):
    """dz/dt = sum_m s_m(t) u_m(t) tanh(w_m(t)·z + v_m(t)·c + b_m(t)), gates s in (0, 1).

    One hidden layer whose M units come and go: a network of time (the hypernetwork) gives u, w, b
    and the gates, one for every unit and dimension. c are context variables, if there are any.
    The divergence has a closed form, sum_m s_m (u_m·w_m) (1 - tanh²).

    Source: Chen et al. (2018), equations 8-10 and section 4. The authors' code has the mean over
    units where the paper has the sum.

    Attributes:
        layers: of the hypernetwork, from [t] to all weights.
        size: dimension d of z.
        width: number M of units.
        context: dimension of c; 0 for none.
        average: the mean over units, a field M times weaker: it takes many times as many updates,
            and larger ones without turning stiff.
    """

    layers: tuple[eqx.nn.Linear, ...]
    size: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    context: int = eqx.field(static=True)
    average: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        width: int = 64,
        *,
        hyper: tuple[int, ...] = (64, 64),
        context: int = 0,
        average: bool = False,
        key: Key[Array, ""],
    ):
        """Draw the hypernetwork's weights.

        Args:
            size: d.
            width: M.
            hyper: widths of the hypernetwork's hidden layers.
            context: number of context variables.
            average: whether the units' mean is taken instead of their sum.
            key: a typed key.

        Raises:
            ValueError: a width is not a positive whole number.
        """
        for name, value in (("size", size), ("width", width), *(("hyper", w) for w in hyper)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be made of positive whole numbers, got {value!r}")
        self.size, self.width, self.context, self.average = size, width, context, average
        widths = (1, *hyper, width * (3 * size + context + 1))
        keys = jax.random.split(key, len(widths) - 1)
        self.layers = tuple(
            eqx.nn.Linear(widths[i], widths[i + 1], key=keys[i]) for i in range(len(keys))
        )

    def weights(
        self, t: Float[Array, ""]
    ) -> tuple[Float[Array, "M d+c"], Float[Array, "M d"], Float[Array, " M"]]:
        """Return (w, v), gated u and b at time t."""
        first, *rest = self.layers
        x = first.weight[:, 0] * t + first.bias  # pyright: ignore[reportOperatorIssue]
        for layer in rest:
            x = layer.weight @ jnp.tanh(x) + layer.bias  # pyright: ignore[reportOperatorIssue]
        m, d = self.width, self.size
        sizes = (m * (d + self.context), m * d, m * d)
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        w, u, gate, b = jnp.split(x, ends)
        u = u * jax.nn.sigmoid(gate)
        return w.reshape(m, d + self.context), u.reshape(m, d), b

    def __call__(
        self, t: Float[Array, ""], z: Float[Array, "*rows d"], *context: Float[Array, "*rows c"]
    ) -> Float[Array, "*rows d"]:
        """dz/dt at time t; leading axes of z are rows with the same t."""
        return self.with_divergence(t, z, *context)[0]

    def with_divergence(
        self, t: Float[Array, ""], z: Float[Array, "*rows d"], *context: Float[Array, "*rows c"]
    ) -> tuple[Float[Array, "*rows d"], Float[Array, " *rows"]]:
        """dz/dt, and its divergence tr(df/dz) in closed form."""
        w, u, b = self.weights(jnp.asarray(t, z.dtype))
        inputs = jnp.concatenate([z, *context], axis=-1) if context else z
        rows = inputs.shape[:-1]
        # Rows last, the long axis contiguous. The barriers keep XLA from folding the transposes
        # into the products, which then take three times as long on a CPU (measured).
        columns = jax.lax.optimization_barrier(inputs.reshape(math.prod(rows), -1).T)
        h = jnp.tanh(w @ columns + b[:, None])
        u = u / self.width if self.average else u
        dz = jax.lax.optimization_barrier(u.T @ h).T
        divergence = jnp.sum(w[:, : self.size] * u, axis=1) @ (1 - h * h)
        return dz.reshape(*rows, self.size), divergence.reshape(rows)
