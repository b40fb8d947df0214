"""The settings of `PoissonProcess`, checked before anything is computed."""

from typing import Any

from neurode.estimators.estimator import SettingError, check_number, check_solving


def check_process_settings(estimator: Any) -> None:
    """Refuse a setting that cannot be, by its name.

    Raises:
        SettingError: which one, its value, and what it may be.
    """
    for name in ("latent", "steps", "max_steps", "batch_size"):
        check_number(name, getattr(estimator, name), least=1, whole=True)
    for name in ("rtol", "atol", "learning_rate", "prior_precision"):
        check_number(name, getattr(estimator, name), least=1e-12)
    for name in ("hidden", "readout"):
        widths = getattr(estimator, name)
        if isinstance(widths, (int, str)):
            raise SettingError(f"{name} must be a list of widths such as (32,), got {widths!r}")
        for width in widths:
            check_number(name, width, least=1, whole=True)
    check_solving(estimator, "nd.Checkpointed()")
