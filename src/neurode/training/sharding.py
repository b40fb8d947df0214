"""Batches split over the "data" axis of a device mesh, everything else copied to every device.

The compiled program states where arrays live and XLA inserts the sums over devices. The loss is
therefore that of the whole batch, joint solves with one step size included, and not a mean of
per-device losses.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

DATA_AXIS = "data"


def checked_mesh(mesh: Mesh) -> Mesh:
    """The mesh, with all its axes left to XLA (`AxisType.Auto`).

    Raises:
        ValueError: it has no axis named "data".
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh, not {type(mesh).__name__}")
    if DATA_AXIS not in mesh.axis_names:
        raise ValueError(
            f"the mesh has the axes {mesh.axis_names} and none named {DATA_AXIS!r}: make it with "
            f'jax.make_mesh((n,), ("{DATA_AXIS}",))'
        )
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim)


def check_batches(batches: Any, mesh: Mesh | None) -> None:
    """Traces one batch, so that a mistake in it is found before the long compilation.

    Raises:
        ValueError: the batch does not divide by the number of devices on the "data" axis, or
            its leading axes differ and `batches.batch_size` does not say which is the batch.
    """
    batch = eqx.filter_eval_shape(batches, jax.ShapeDtypeStruct((), np.int32))
    if mesh is None:
        return
    rows, devices = _batch_size(batches, batch), mesh.shape[DATA_AXIS]
    if rows % devices:
        raise ValueError(
            f"a batch of {rows} rows does not divide by the {devices} devices on the mesh axis "
            f"{DATA_AXIS!r}: choose a batch size that is a multiple of {devices}, or fewer devices"
        )


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Every array of `tree` on every device of the mesh; `tree` itself without a mesh."""
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, everywhere), rest)


def replicate_within(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """The same inside a compiled program."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


def shard_batch(batches: Any, batch: PyTree, mesh: Mesh | None) -> PyTree:
    """Inside a compiled program: splits the rows of a batch over the "data" axis."""
    if mesh is None:
        return batch
    rows = _batch_size(batches, batch)
    over_data = NamedSharding(mesh, PartitionSpec(DATA_AXIS))

    def shard(leaf):
        if not eqx.is_array(leaf) or leaf.ndim == 0 or leaf.shape[0] != rows:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, over_data)

    return jax.tree.map(shard, batch)


def gather(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Arrays replicated over the mesh, back on the default device and free to move again."""
    if mesh is None:
        return tree

    def move(leaf):
        return jnp.array(np.asarray(leaf), dtype=leaf.dtype) if eqx.is_array(leaf) else leaf

    return jax.tree.map(move, tree)


def _batch_size(batches: Any, batch: PyTree) -> int:
    stated = getattr(batches, "batch_size", None)
    if stated is not None:
        return int(stated)
    leaves = [leaf for leaf in jax.tree.leaves(batch) if getattr(leaf, "ndim", 0) > 0]
    sizes = sorted({leaf.shape[0] for leaf in leaves})
    if len(sizes) != 1:
        raise ValueError(
            f"with a mesh, the arrays of a batch must agree on their leading axis; it is {sizes}. "
            "Give the batches an attribute batch_size, and arrays of another length are not split"
        )
    return sizes[0]
