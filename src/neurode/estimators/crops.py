"""Batches of series cropped at random: what the encoder sees, and what has to be explained."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from neurode.data import ArrayBatches, FullBatch
from neurode.models import Crops, HappenedEvents

_FIRST_SHARE = 0.15  # of a row, at the first step


class SeriesRows(NamedTuple):
    """n series in a model's units, padded to T times.

    Attributes:
        ts: times [n, T], the last one repeated as padding.
        ys: values [n, T, d]; anything where not observed.
        mask: what was observed, [n, T, d].
        events: what happened at each time, or None if no events are modelled.
    """

    ts: Float[Array, "n T"]
    ys: Float[Array, "n T d"]
    mask: Bool[Array, "n T d"]
    events: HappenedEvents | None = None

    def within(self, inside: Bool[Array, "n T"]) -> "SeriesRows":
        """The same times, with nothing observed outside."""
        events = self.events
        if events is not None:
            events = HappenedEvents(jnp.where(inside, events.counts, 0), events.seen & inside)
        return SeriesRows(self.ts, self.ys, self.mask & inside[..., None], events)


class Stretches(eqx.Module):
    """Batches of stretches of at most T rows, cut out of series of any length at random.

    Attributes:
        rows: all series, padded to the longest.
        lengths: rows of each before the padding, [n].
        owners: batches of numbers of series; a long one has as many entries as stretches.
        key: of where stretches begin.
        width: T.
    """

    rows: SeriesRows
    lengths: Int[Array, " n"]
    owners: FullBatch | ArrayBatches
    key: Key[Array, ""]
    width: int = eqx.field(static=True)

    @classmethod
    def cut(
        cls,
        rows: SeriesRows,
        lengths: np.ndarray,
        width: int,
        batch_size: int | None,
        key: Key[Array, ""],
    ) -> "Stretches":
        """Cut series into batches.

        Args:
            rows: all series.
            lengths: rows of each before the padding.
            width: rows of a stretch at most.
            batch_size: stretches in a batch; None, or more than there are, takes one of each.
            key: of the order and of where stretches begin.
        """
        for_order, for_begin = jax.random.split(key)
        owners = np.repeat(np.arange(len(lengths)), -(-lengths // width))
        whole = batch_size is None or batch_size >= len(owners)
        batches = FullBatch(owners) if whole else ArrayBatches(owners, batch_size, key=for_order)  # pyright: ignore[reportArgumentType]
        width = min(width, rows.ts.shape[1])
        return cls(rows, jnp.asarray(lengths, jnp.int32), batches, for_begin, width)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until about every observation was used once."""
        return self.owners.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> SeriesRows:
        """The stretches of a step; times are counted from the beginning of each."""
        owners = self.owners(step)
        lengths = self.lengths[owners]
        room = jnp.maximum(lengths - self.width, 0)
        key = jax.random.fold_in(self.key, step)
        begin = jax.random.randint(key, room.shape, 0, room + 1)
        places = begin[:, None] + jnp.arange(self.width)
        inside = places < lengths[:, None]
        places = jnp.minimum(places, lengths[:, None] - 1)
        rows = jax.tree.map(lambda x: x[owners[:, None], places], self.rows)
        return rows._replace(ts=rows.ts - rows.ts[:, :1]).within(inside)


class Growing(eqx.Module):
    """Batches whose rows end early at first, then ever later, then not at all.

    An oscillation seen whole from the start is first taken for its mean, and stays so.

    Attributes:
        batches: of `SeriesRows`.
        steps: rows are complete from this step on.
    """

    batches: Stretches
    steps: int = eqx.field(static=True)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until about every observation was used once."""
        return self.batches.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> SeriesRows:
        """The rows of a step; times behind the end become repeats of it."""
        rows = self.batches(step)
        ts = rows.ts
        share = jnp.minimum(1, _FIRST_SHARE + (1 - _FIRST_SHARE) * step / self.steps)
        first, last = ts[:, :1], ts[:, -1:]
        end = jnp.where(share < 1, first + share.astype(ts.dtype) * (last - first), last)
        return rows._replace(ts=jnp.minimum(ts, end)).within(ts <= end)


class CroppedSeries(eqx.Module):
    """Batches in which a series may begin late, and the encoder's view of it may end early.

    The dynamics do not know when a series began: each of its stretches is one more series to
    learn from. And where the encoder's view ends early, the rest has to be forecast, which is
    what the model is for. Half of the rows begin with the series, the others at a random time;
    half are seen to their end, the others to a random time.

    Attributes:
        batches: of `SeriesRows`.
        key: of the crops.
        shortest: the encoder sees at least this share of a series; 1 for all of it, always.
        warmup: steps during which the weight of the divergence grows from 0.
        kl_weight: what it grows to; 1 for the evidence lower bound.
    """

    batches: Stretches | Growing | ArrayBatches
    key: Key[Array, ""]
    shortest: float = eqx.field(static=True)
    warmup: int = eqx.field(static=True)
    kl_weight: float = eqx.field(static=True, default=1.0)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every series was used once."""
        return self.batches.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> Crops:
        """The batch of a step."""
        rows = self.batches(step)
        ts = rows.ts
        begin, end = ts[:, 0], ts[:, -1]
        if self.shortest < 1:
            begin, end = self._cut(begin, end, jax.random.fold_in(self.key, step))
        later = rows.within(ts >= begin[:, None])
        seen = later.within(ts <= end[:, None])
        shown = seen.mask.any(axis=-1)
        events = None
        if later.events is not None and seen.events is not None:
            events = HappenedEvents(later.events.counts, seen.events.seen)
            shown = shown | events.seen
        weight = self.kl_weight * jnp.minimum(1.0, (step + 1) / max(self.warmup, 1))
        first = jnp.argmax(shown, axis=1)
        return Crops(ts, rows.ys, seen.mask, later.mask, first, weight.astype(ts.dtype), events)

    def _cut(self, first: Array, last: Array, key: Key[Array, ""]) -> tuple[Array, Array]:
        """Where each row begins, and where the encoder's view of it ends."""
        n = len(first)
        coins, for_start, for_end = jax.random.split(key, 3)
        is_cut = jax.random.bernoulli(coins, 0.5, (2, n))
        room = (1 - self.shortest) * (last - first)
        begin = first + jnp.where(is_cut[0], room * jax.random.uniform(for_start, (n,)), 0)
        least = begin + self.shortest * (last - first)
        end = least + (last - least) * jax.random.uniform(for_end, (n,))
        return begin, jnp.where(is_cut[1], end, last)
