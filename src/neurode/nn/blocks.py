"""Blocks that networks are built of: normalisation, residual blocks, and an ODE as a layer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.core.solution import Stats
from neurode.gradients import Checkpointed
from neurode.gradients.gradient import GradientStrategy
from neurode.ivp import solve
from neurode.nn.conv import Conv
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver
from neurode.stepping import PIController
from neurode.stepping.controller import StepController


class GroupNorm(eqx.Module):
    """Normalisation of each image over its positions and a group of channels, then scaled.

    Source: Y. Wu and K. He, "Group Normalization", ECCV 2018.

    Attributes:
        scale: [c].
        shift: [c].
        groups: number of groups; each has c / groups channels.
        epsilon: added to the variance.
    """

    scale: Float[Array, " c"]
    shift: Float[Array, " c"]
    groups: int = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    def __init__(self, channels: int, groups: int | None = None, *, epsilon: float = 1e-5):
        """Start as plain normalisation: scale one, shift zero.

        Args:
            channels: c.
            groups: a divisor of c; None is the largest up to 32.
            epsilon: added to the variance.

        Raises:
            ValueError: the groups do not divide the channels.
        """
        if groups is None:
            groups = max(g for g in range(1, min(32, channels) + 1) if channels % g == 0)
        if groups < 1 or channels % groups:
            raise ValueError(f"{channels} channels do not divide into {groups} groups")
        self.scale, self.shift = jnp.ones(channels), jnp.zeros(channels)
        self.groups, self.epsilon = groups, epsilon

    def __call__(self, x: Float[Array, "h w n c"]) -> Float[Array, "h w n c"]:
        """Normalise a batch of images."""
        h, w, n, c = x.shape
        size = c // self.groups

        def mean(values):  # [h, w, n, c] -> [n, c], equal within a group
            by_channel = values.sum((0, 1))
            by_group = by_channel.reshape(n, self.groups, size).sum(2) / (h * w * size)
            return jnp.repeat(by_group, size, axis=1)

        centred = x - mean(x)
        variance = mean(jnp.square(centred))
        return centred * (jax.lax.rsqrt(variance + self.epsilon) * self.scale) + self.shift


class ResidualBlock(eqx.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), with pre-activation.

    Where the shape changes, x is replaced by a 1 x 1 convolution of relu(norm(x)).

    Source: K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.

    Attributes:
        norm1: before the first convolution.
        conv1: 3 x 3, with the stride.
        norm2: before the second convolution.
        conv2: 3 x 3.
        shortcut: 1 x 1 with the stride, or None.
    """

    norm1: GroupNorm
    conv1: Conv
    norm2: GroupNorm
    conv2: Conv
    shortcut: Conv | None

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, key: Key[Array, ""]
    ):
        """Draw the weights. The convolutions have no bias.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            stride: of the first convolution and the shortcut.
            key: a typed key.
        """
        key1, key2, key3 = jax.random.split(key, 3)
        self.norm1, self.norm2 = GroupNorm(in_channels), GroupNorm(out_channels)
        options: dict[str, Any] = {"padding": 1, "use_bias": False}
        self.conv1 = Conv(in_channels, out_channels, 3, stride=stride, key=key1, **options)
        self.conv2 = Conv(out_channels, out_channels, 3, key=key2, **options)
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = Conv(
                in_channels, out_channels, 1, stride=stride, use_bias=False, key=key3
            )

    def __call__(self, x: Float[Array, "h w n c"]) -> Float[Array, "h2 w2 n d"]:
        """Apply the block to a batch of images."""
        active = jax.nn.relu(self.norm1(x))
        skipped = x if self.shortcut is None else self.shortcut(active)
        active = jax.nn.relu(self.norm2(self.conv1(active)))
        return skipped + self.conv2(active)


class ResidualDownsampling(eqx.Module):
    """A 3 x 3 convolution without padding and two residual blocks of stride 2: 28 -> 26 -> 13 -> 7.

    What the paper describes (Chen et al. 2018, section 3), "res" in torchdiffeq's script.

    Attributes:
        first: the convolution.
        blocks: the two blocks.
    """

    first: Conv
    blocks: tuple[ResidualBlock, ...]

    def __init__(self, in_channels: int, out_channels: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            in_channels: channels of the images.
            out_channels: channels of the result, and in between.
            key: a typed key.
        """
        key1, key2, key3 = jax.random.split(key, 3)
        c = out_channels
        self.first = Conv(in_channels, c, 3, key=key1)
        self.blocks = (
            ResidualBlock(c, c, stride=2, key=key2),
            ResidualBlock(c, c, stride=2, key=key3),
        )

    def __call__(self, x: Float[Array, "h w n c"]) -> Float[Array, "h2 w2 n d"]:
        """Shrink a batch of images to about a quarter of their height and width."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


class ConvDownsampling(eqx.Module):
    """A 3 x 3 convolution and two of 4 x 4 with stride 2, normalised: 28 -> 26 -> 13 -> 6.

    "conv" in torchdiffeq's script, where it is the default.

    Attributes:
        first: the convolution without padding or stride.
        norms: before each of the following.
        convs: the two with stride 2.
    """

    first: Conv
    norms: tuple[GroupNorm, GroupNorm]
    convs: tuple[Conv, Conv]

    def __init__(self, in_channels: int, out_channels: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            in_channels: channels of the images.
            out_channels: channels of the result, and in between.
            key: a typed key.
        """
        key1, key2, key3 = jax.random.split(key, 3)
        c = out_channels
        self.first = Conv(in_channels, c, 3, key=key1)
        self.norms = (GroupNorm(c), GroupNorm(c))
        self.convs = (
            Conv(c, c, 4, stride=2, padding=1, key=key2),
            Conv(c, c, 4, stride=2, padding=1, key=key3),
        )

    def __call__(self, x: Float[Array, "h w n c"]) -> Float[Array, "h2 w2 n d"]:
        """Shrink a batch of images to about a quarter of their height and width."""
        x = self.first(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = conv(jax.nn.relu(norm(x)))
        return x


class ODEBlock(eqx.Module):
    """A layer y(0) -> y(1) with dy/dt = field(t, y), in place of a stack of residual blocks.

    A batch is one joint system with one step size, as in the paper (Chen et al. 2018, section 6);
    under `jax.vmap` every example takes its own steps. To use another tolerance after training,
    `dataclasses.replace(block, rtol=1e-5, atol=1e-5)`.

    Attributes:
        field: any callable (t, y) -> dy/dt; a module's arrays are trained.
        rtol: relative tolerance.
        atol: absolute tolerance.
        solver: the method.
        stepsize: the step size controller.
        gradient: how the solve is differentiated.
        max_steps: budget of attempted steps.
    """

    field: Any
    rtol: float = eqx.field(static=True, default=1e-3)
    atol: float = eqx.field(static=True, default=1e-3)
    solver: Solver = eqx.field(static=True, default=Tsit5())
    stepsize: StepController = eqx.field(default=PIController())
    gradient: GradientStrategy = eqx.field(default=Checkpointed())
    max_steps: int = eqx.field(static=True, default=4096)

    def __call__(
        self,
        y: Any,
        *,
        probe: Float[Array, ""] | None = None,
        tolerance: Float[Array, ""] | None = None,
    ) -> tuple[Any, Stats]:
        """Return y(1) and the statistics of the solve.

        Args:
            y: the state at time 0, any pytree the field takes.
            probe: a zero whose gradient is the number of evaluations in the backward pass.
            tolerance: relative and absolute, in place of the block's own; one compiled program
                serves all.
        """
        rows, stats = self.follow(y, jnp.array([0.0, 1.0]), probe=probe, tolerance=tolerance)
        return jax.tree.map(lambda row: row[-1], rows), stats

    def follow(
        self,
        y: Any,
        ts: Float[Array, " m"],
        *,
        probe: Float[Array, ""] | None = None,
        tolerance: Float[Array, ""] | None = None,
    ) -> tuple[Any, Stats]:
        """Return y at the depths `ts`, along a new first axis, and the statistics of the solve.

        Args:
            y: the state at ts[0].
            ts: depths between 0 and 1, in order.
            probe: as in a call.
            tolerance: as in a call.
        """
        solution = solve(
            self.field,
            y,
            ts,
            solver=self.solver,
            rtol=self.rtol if tolerance is None else tolerance,
            atol=self.atol if tolerance is None else tolerance,
            stepsize=self.stepsize,
            gradient=self.gradient,
            probe=probe,
            max_steps=self.max_steps,
        )
        return solution.ys, solution.stats
