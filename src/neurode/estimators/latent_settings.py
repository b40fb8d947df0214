"""The settings of `LatentODE`, checked before anything is computed."""

from typing import Any

import equinox as eqx
import numpy as np

from neurode.estimators.estimator import (
    SettingError,
    check_adaptive,
    check_choice,
    check_number,
    check_solving,
)
from neurode.estimators.latent_training import LIKELIHOODS
from neurode.nn.encoders import ENCODERS
from neurode.nn.vector_fields import ACTIVATIONS


def check_latent_settings(estimator: Any) -> None:
    """Refuse a setting that cannot be, by its name.

    Raises:
        SettingError: which one, its value, and what it may be.
    """
    e = estimator
    check_choice("encoder", e.encoder, ENCODERS)
    check_choice("likelihood", e.likelihood, LIKELIHOODS)
    check_choice("activation", e.activation, tuple(ACTIVATIONS))
    check_choice("progress", e.progress, (True, False))
    if e.events is not None and not (isinstance(e.events, str) and e.events):
        raise SettingError(
            "events must be 'times', if every row of a series is an event, or the name of the "
            "variable that counts events, or None; times of events go to fit(…, events=…), got "
            f"{e.events!r}"
        )
    for name in ("latent", "encoder_units", "samples", "steps", "max_steps"):
        check_number(name, getattr(e, name), least=1, whole=True)
    check_number("max_length", e.max_length, least=2, whole=True)
    if e.batch_size is not None:
        check_number("batch_size", e.batch_size, least=1, whole=True)
    for name in ("hidden", "decoder_hidden"):
        widths = getattr(e, name)
        if isinstance(widths, (str, int)) or not all(
            isinstance(width, (int, np.integer)) and width > 0 for width in widths
        ):
            raise SettingError(f"{name} must be a tuple of positive widths, got {widths!r}")
    for name in ("learning_rate", "weight_decay", "consistency", "rtol", "atol"):
        check_number(name, getattr(e, name), least=0)
    if not e.learning_rate > 0:
        raise SettingError("learning_rate must be above 0, got 0")
    if e.rtol == 0 and e.atol == 0:
        raise SettingError("rtol and atol must not both be 0: no step would be accurate enough")
    for name in ("shortest", "kl_warmup", "curriculum"):
        check_number(name, getattr(e, name), least=0)
        if getattr(e, name) > 1:
            raise SettingError(f"{name} is a share, at most 1, got {getattr(e, name)!r}")
    check_solving(e, "nd.Checkpointed()")
    check_adaptive(e.solver)
    if e.field is not None and not isinstance(e.field, eqx.Module):
        raise SettingError(
            "field must be an equinox.Module f(t, z) of the latent state, or None for the default "
            f"network; got {e.field!r}"
        )
    _check_noise(e)


def _check_noise(e: Any) -> None:
    if e.noise is None:
        return
    if e.likelihood != "gaussian":
        raise SettingError(f"noise is of likelihood='gaussian'; '{e.likelihood}' has none")
    try:
        noise = np.asarray(e.noise, float)
    except (TypeError, ValueError):
        noise = np.array(np.nan)
    if noise.ndim > 1 or not noise.size or not (np.isfinite(noise) & (noise > 0)).all():
        raise SettingError(
            f"noise must be a standard deviation above 0, or one for each variable, in the data's "
            f"units, or None to learn it; got {e.noise!r}"
        )
