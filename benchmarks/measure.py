"""Measuring: everyone in turn, medians of paired ratios, answers compared before any time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.rows import Entry, Row

MOST_ROUNDS = 500
BLOCK = 5e-3  # seconds


@dataclass
class Contestant:
    """One way to compute the answer of a row.

    Attributes:
        by: who.
        call: computes once, waits for the result and returns it. The first call may compile.
        read: the answer as a flat vector, and the evaluations of f, from what `call` returned.
            None for what has no answer of its own, such as a floor.
        evals: what `read` said, once the race has begun.
    """

    by: str
    call: Callable[[], Any]
    read: Callable[[Any], tuple[np.ndarray, float | None]] | None = None
    evals: float | None = None


@dataclass
class Times:
    """Wall seconds, [rounds, contestants], NaN for who had left; and the share of CPU time."""

    seconds: np.ndarray
    share: float

    @property
    def pairs(self) -> int:
        """The rounds in which everybody ran."""
        return int(np.isfinite(self.seconds).all(1).sum())

    def ratios(self, ours: int, theirs: int) -> tuple[float, float, float]:
        """Quartiles of the paired ratios."""
        return quartiles(self.seconds[:, ours] / self.seconds[:, theirs])


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = (float(q) for q in np.nanpercentile(values, [25, 50, 75]))
    return low, middle, high


def seconds(call: Callable[[], Any]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(
    calls: Sequence[Callable[[], Any]],
    budget: float,
    *,
    once: Sequence[float] | None = None,
    in_step: bool = False,
) -> Times:
    """Time everyone in turn, in about `budget` seconds.

    Whoever takes less than `BLOCK` is called several times in a row, after one call that is not
    timed: as in the loop that such a call lives in, with its code and data in the caches. Every
    other round runs backwards, so that a drift of the machine favours nobody. Everyone has the
    same share of the budget, so that the slow leave after fewer rounds: five at least, three if one
    takes longer than 0.3 s, one if longer than 3 s.

    Args:
        calls: one of each contestant.
        budget: seconds.
        once: roughly what each takes, where that is known.
        in_step: whether everyone must be called equally often, because each call goes on from the
            one before.
    """
    once = np.array([seconds(call) for call in calls] if once is None else once)
    repeats = np.clip(np.ceil(BLOCK / once), 1, 1000).astype(int)
    if in_step:
        repeats[:] = min(repeats.max(), max(1, int(budget / 5 / once.max())))
    each = once * (repeats + (repeats > 1))
    fewest = np.where(each < 0.3, 5, np.where(each < 3, 3, 1))
    turns = np.clip(budget / len(calls) / each, fewest, MOST_ROUNDS).astype(int)
    if in_step:
        turns[:] = turns.min()
    times = np.full((turns.max(), len(calls)), np.nan)
    cpu, wall = time.process_time(), time.perf_counter()
    for i in range(len(times)):
        for j in range(len(calls)) if i % 2 == 0 else reversed(range(len(calls))):
            if i < turns[j]:
                times[i, j] = block(calls[j], repeats[j])
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return Times(times, share)


def block(call: Callable[[], Any], repeats: int) -> float:
    """Seconds per call, of so many in a row."""
    if repeats == 1:
        return seconds(call)
    call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| / |b| in the 2-norm; infinite where anything is not finite."""
    if a.shape != b.shape:
        raise ValueError(f"answers have different shapes: {a.shape} and {b.shape}")
    value = float(np.linalg.norm(a - b) / np.linalg.norm(b))
    return value if np.isfinite(value) else float("inf")


def race(
    labels: dict[str, Any],
    contestants: Sequence[Contestant],
    budget: float,
    *,
    reference: np.ndarray | None = None,
    agree: float = 1e-3,
    in_step: bool = False,
    absent: Sequence[Entry] = (),
) -> Row:
    """A row: compile, compare the answers, and only then time everyone in turn.

    Args:
        labels: of the row.
        contestants: neurode first.
        budget: seconds of timing.
        reference: the answer to a much tighter tolerance; without it errors are not shown.
        agree: the answers may differ by this much, relative to their size.
        in_step: whether everyone must be called equally often.
        absent: entries of peers that do not take part, with their notes.
    """
    row = Row(labels)
    answers, once = [], []
    for contestant in contestants:
        entry = Entry(contestant.by)
        try:
            entry.compile_seconds = seconds(contestant.call)
            start = time.perf_counter()
            result = contestant.call()
        except Exception as error:  # whatever a library raises: the other rows can do without it
            what = next(iter(str(error).splitlines()), "")
            row.problem = f"{contestant.by}: {type(error).__name__}: {what}"
            return row
        once.append(time.perf_counter() - start)
        if contestant.read is not None:
            answer, contestant.evals = contestant.read(result)
            entry.evals = contestant.evals
            answers.append((contestant.by, answer))
            if reference is not None:
                entry.error = difference(answer, reference)
        row.entries.append(entry)
    row.entries += absent
    row.problem = disagreement(answers, agree)
    if row.problem:
        return row
    calls = [contestant.call for contestant in contestants]
    times = in_turn(calls, budget, once=once, in_step=in_step)
    row.pairs, row.share = times.pairs, times.share
    for i in range(len(contestants)):
        row.entries[i].seconds = float(np.nanmedian(times.seconds[:, i]))
        if i:
            row.entries[i].ratio = times.ratios(0, i)
    return row


def disagreement(answers: Sequence[tuple[str, np.ndarray]], agree: float) -> str:
    """What is wrong with the answers; empty when all agree with the first."""
    for by, answer in answers:
        if not np.isfinite(answer).all():
            return f"{by}: the answer is not finite"
    for by, answer in answers[1:]:
        apart = difference(answers[0][1], answer)
        if apart > agree:
            return f"{answers[0][0]} and {by} differ by {apart:.1e}, more than {agree:.0e}"
    return ""
