"""torchdiffeq, as its examples use it: `odeint` through the solver, or `odeint_adjoint`."""

from typing import Any

import numpy as np
import torch
import torchdiffeq
from torch import nn

NAME = "torchdiffeq"
ODEINT = {"exact": torchdiffeq.odeint, "adjoint": torchdiffeq.odeint_adjoint}


def solve(
    f: nn.Module,
    y0: Any,
    ts: torch.Tensor,
    *,
    rtol: float,
    atol: float,
    first_step: float | None = None,
    gradient: str = "exact",
) -> Any:
    """The states at ts, by Dopri5. The first step is its own (Hairer's) without `first_step`."""
    options = {} if first_step is None else {"first_step": first_step}
    return ODEINT[gradient](f, y0, ts, rtol=rtol, atol=atol, method="dopri5", options=options)


def equal_steps(f: nn.Module, y0: Any, ts: torch.Tensor, step: float) -> Any:
    """The states at ts by the 3/8 rule (its `rk4`) in equal steps."""
    return torchdiffeq.odeint(f, y0, ts, method="rk4", options={"step_size": step})


def tensor(array: Any) -> torch.Tensor:
    """A JAX or NumPy array as a tensor of its own."""
    return torch.tensor(np.asarray(array))


def conv(layer: Any) -> nn.Conv2d:
    """A convolution with the weights of neurode's `Conv`."""
    kernel = np.transpose(np.asarray(layer.kernel), (3, 2, 0, 1))  # [h, w, in, out] -> torch's
    out, into, size = kernel.shape[:3]
    made = nn.Conv2d(into, out, size, stride=layer.stride, padding=layer.padding)
    made.weight.data, made.bias.data = tensor(np.ascontiguousarray(kernel)), tensor(layer.bias)
    return made


def group_norm(layer: Any) -> nn.GroupNorm:
    """A normalisation with the weights of neurode's `GroupNorm`."""
    made = nn.GroupNorm(layer.groups, len(layer.scale), eps=layer.epsilon)
    made.weight.data, made.bias.data = tensor(layer.scale), tensor(layer.shift)
    return made


class ConcatConv(nn.Module):
    """A 3 x 3 convolution of [t, x] with the weights of neurode's `ConcatConv`."""

    def __init__(self, layer: Any):
        super().__init__()
        kernel = np.transpose(np.asarray(layer.kernel), (3, 2, 0, 1))  # [h, w, in, out] -> torch's
        out, into = kernel.shape[:2]
        self.conv = nn.Conv2d(into, out, 3, padding=1)
        self.conv.weight.data = torch.tensor(np.ascontiguousarray(kernel))
        self.conv.bias.data = tensor(layer.bias)

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        time = torch.ones_like(x[:, :1]) * t
        return self.conv(torch.cat([time, x], 1))

    def slopes(self) -> list[np.ndarray]:
        """The gradients in neurode's layout: kernel, bias."""
        kernel = self.conv.weight.grad.numpy()
        return [np.transpose(kernel, (2, 3, 1, 0)), self.conv.bias.grad.numpy()]


class ConvField(nn.Module):
    """The dynamics of neurode's `ConvField`, with its weights; images [n, c, h, w]."""

    def __init__(self, field: Any):
        super().__init__()
        self.norms = nn.ModuleList(map(group_norm, (field.norm1, field.norm2, field.norm3)))
        self.convs = nn.ModuleList([ConcatConv(field.conv1), ConcatConv(field.conv2)])
        self.evals = 0

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        self.evals += 1
        x = self.convs[0](t, torch.relu(self.norms[0](x)))
        x = self.convs[1](t, torch.relu(self.norms[1](x)))
        return self.norms[2](x)

    def slopes(self) -> list[np.ndarray]:
        """The gradients in the order and layout of neurode's `ConvField`."""
        norms = [[norm.weight.grad.numpy(), norm.bias.grad.numpy()] for norm in self.norms]
        convs = [conv.slopes() for conv in self.convs]
        return [*norms[0], *convs[0], *norms[1], *convs[1], *norms[2]]


class ODENet(nn.Module):
    """neurode's `ODENet` with its weights and "conv" downsampling; images [n, h, w]."""

    def __init__(self, net: Any, *, tolerance: float, gradient: str):
        super().__init__()
        layers = [conv(net.stem.first)]
        for norm, strided in zip(net.stem.norms, net.stem.convs, strict=True):
            layers += [group_norm(norm), nn.ReLU(), conv(strided)]
        self.stem, self.field = nn.Sequential(*layers), ConvField(net.block.field)
        head = nn.Linear(*reversed(net.head.weight.shape))
        head.weight.data, head.bias.data = tensor(net.head.weight), tensor(net.head.bias)
        pool = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(group_norm(net.norm), *pool, head)
        self.tolerance, self.gradient = tolerance, gradient

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, int]:
        """The logits, and the evaluations of the field."""
        self.field.evals = 0
        states = solve(
            self.field, self.stem(images[:, None]), torch.tensor([0.0, 1.0]),
            rtol=self.tolerance, atol=self.tolerance, gradient=self.gradient,
        )  # fmt: skip
        return self.head(states[1]), self.field.evals
