"""One program for many lanes: how loops stay cheap under `jax.vmap`.

When a while loop's condition differs between lanes, `jax.vmap` copies every array of the loop's
carry in every iteration, buffers included. The loops here therefore run while ANY lane needs it,
and freeze the others themselves: small values by a select, buffers by writing to a spare row.
"""

from collections.abc import Callable
from typing import Any

import jax
from equinox.internal import unvmap_any


def any_lane(condition: jax.Array) -> jax.Array:
    """Whether the condition holds in any lane of the surrounding vmaps; the same for all lanes."""
    return unvmap_any(condition)


def while_any(condition: Callable[[Any], jax.Array], body: Callable, carry: Any) -> Any:
    """`lax.while_loop` that goes on while any lane's condition holds.

    The body must leave a lane as it is where its own condition does not hold.
    """
    return jax.lax.while_loop(lambda carry: any_lane(condition(carry)), body, carry)
