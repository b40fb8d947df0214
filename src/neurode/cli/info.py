"""`neurode info`: what is installed and what it runs on, to paste into a report of a bug."""

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

# extra -> what it brings, as imported; what is absent is said together with its pip line
EXTRAS = {
    "report": ("matplotlib",),
    "data": ("pandas", "pyarrow"),
    "bench": ("diffrax", "scipy", "torch", "torchdiffeq", "torchode"),
    "docs": ("material", "mkdocstrings"),
    "dev": (
        *(
            "hypothesis",
            "importlinter",
            "pre_commit",
            "pyright",
            "pytest",
            "xdist",
            "ruff",
            "scipy",
        ),
    ),
}
PACKAGES = ("jax", "jaxlib", "equinox", "optax", "lineax", "numpy")


def info() -> None:
    """Print versions, devices and installed extras.

    \b
    Example:
      neurode info
    """
    import jax
    import jax.numpy as jnp

    import neurode

    lines = {
        "neurode": neurode.__version__,
        "python": f"{platform.python_version()} on {platform.platform(terse=True)}",
        **{name: find_version(name) for name in PACKAGES},
        "devices": describe_devices(jax.devices()),
        "float64": "on"
        if jnp.result_type(float) == "float64"
        else "off (JAX_ENABLE_X64=1 turns it on)",
        **{f"[{extra}]": describe_extra(extra, modules) for extra, modules in EXTRAS.items()},
    }
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:<{width}}  {text}")


def find_version(package: str) -> str:
    """Return the installed version of a package, or "missing"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def describe_devices(devices: list) -> str:
    """Return devices by kind: "2 x cpu", "1 x gpu (NVIDIA H100)"."""
    kinds = [
        d.platform if d.device_kind == d.platform else f"{d.platform} ({d.device_kind})"
        for d in devices
    ]
    return ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))


def describe_extra(extra: str, modules: tuple[str, ...]) -> str:
    """Return "installed", or what is missing and the line that installs it."""
    missing = [name for name in modules if find_spec(name) is None]
    if not missing:
        return "installed"
    return f'{", ".join(missing)} missing: pip install "neurode[{extra}]"'
