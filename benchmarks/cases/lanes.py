"""(b) Many independent systems: `vmap` of a solve, each lane with its own steps."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers, programs
from benchmarks.measure import race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Entry, Row
from benchmarks.workloads import LANE_PROBLEMS, LaneProblem

TITLE = "Lanes"
TOLERANCE = 1e-5
LANES = (1024, 16384)
SAVES = (2, 200)
WHATS = ("forward", "gradient")
COMPARED = 128
TOO_LONG = 16.0
PLOTS = (Ratios("lanes", against="diffrax"),)
NOTE = f"""\
Independent systems from t = 0 to 20, one per lane of `jax.vmap`: van der Pol with mu = 2 in all
lanes (alike) or log-uniform in 1-30 (spread), and Lotka-Volterra with log-normal rates. Initial
states vary. Dopri5, rtol = atol = {TOLERANCE:g}, first step 0.01, float32. The gradient of the mean
square of the saved states is with respect to each lane's initial state and parameters, exact, by
both defaults. NFE is the mean over lanes. `error` is against a solve in float64 to 1e-10 of the
first {COMPARED} lanes. torchode runs eagerly (see `peers/torchode.py`). A peer that may take
longer than {TOO_LONG:.0f} s a call, going by its time for fewer lanes, is not run."""


def rows(budget: float) -> Iterator[Row]:
    """Every family, number of lanes, save times and question."""
    for problem in LANE_PROBLEMS:
        for saves in SAVES:
            references = reference(problem, saves)
            for what in WHATS:
                fewer = None
                for lanes in LANES:
                    fewer = measure(problem, lanes, saves, what, references[what], budget, fewer)
                    yield fewer


def solver(peer, problem: LaneProblem, ts: jax.Array):
    """solve(y0, parameters) of one lane."""

    def solve(y0, parameters):
        return peer.solve(
            problem.f, y0, ts, parameters, tolerance=TOLERANCE, first_step=problem.first_step
        )

    return solve


def question(solve, what: str):
    """(y0, parameters) by lane -> answer by lane, evaluations."""
    if what == "forward":
        return jax.vmap(programs.forward(solve))
    # The mean over lanes as the loss, so that one backward pass serves all; the answer is by lane.
    return programs.gradient(programs.over_lanes(programs.loss(solve)))


def inputs(problem: LaneProblem) -> tuple:
    """y0 and parameters of the most lanes; fewer lanes are the first of them."""
    return problem.draw(jax.random.key(0), max(LANES))


def reference(problem: LaneProblem, saves: int) -> dict[str, np.ndarray]:
    """The answers of the first lanes in float64."""
    y0, parameters = jax.tree.map(lambda x: x[:COMPARED], inputs(problem))
    with jax.enable_x64(True):
        y0, parameters = programs.doubled((y0, parameters))
        ts = jnp.asarray(np.linspace(0.0, problem.t1, saves))
        solve = programs.tight(peers.find(OURS), problem.f, ts, problem.first_step, 1e-10)
        return programs.references(solve, y0, parameters, lanes=True)


def first_lanes(answer, lanes: int, what: str):
    """What is compared: the first lanes of an answer, as if the loss were the mean over them."""
    scale = lanes / COMPARED if what == "gradient" else 1.0
    return jax.tree.map(lambda x: np.asarray(x[:COMPARED]) * scale, answer)


def measure(problem, lanes, saves, what, answer, budget, fewer: Row | None) -> Row:
    """One row; `fewer` is the same with fewer lanes, to foresee how long a call would take."""
    y0, parameters = jax.tree.map(lambda x: x[:lanes], inputs(problem))
    ts = jnp.linspace(0.0, problem.t1, saves)
    contestants, absent = [], []
    for name in (OURS, "diffrax", "torchode"):
        entry = absence(name, lanes, fewer)
        if entry is not None:
            absent.append(entry)
            continue
        peer = peers.find(name)
        if name == "torchode":
            contestant = peer.lanes(problem, y0, parameters, ts, TOLERANCE, what)
        else:
            run = question(solver(peer, problem, ts), what)
            contestant = programs.program(name, run, y0, parameters)
        contestants.append(comparable(contestant, lanes, what))
    labels = {"problem": problem.name, "lanes": lanes, "saves": saves, "what": what}
    row = race(labels, contestants, budget, reference=answer, agree=2e-2, absent=absent)
    ratio = row.ratio_to("diffrax")
    if ratio is not None:
        if lanes == 1024 and "van der Pol" in problem.name:
            row.checks["lanes alike" if "mu = 2" in problem.name else "lanes spread"] = ratio
        if what == "gradient":
            errors = row.entry(OURS).error, row.entry("diffrax").error
            row.checks["gradient error"] = errors[0] / errors[1]
    return row


def comparable(contestant, lanes: int, what: str):
    """The contestant, answering for the first lanes only."""

    def read(result):
        answer, evals = result
        return programs.flat(first_lanes(answer, lanes, what)), float(np.mean(np.asarray(evals)))

    contestant.read = read
    return contestant


def absence(name: str, lanes: int, fewer: Row | None) -> Entry | None:
    """Why a peer does not take part; None when it does."""
    if name == OURS:
        return None
    if peers.find(name) is None:
        return peers.not_installed(name)
    if fewer is None:
        return None
    before = fewer.entry(name)
    if before.seconds is None:
        return Entry(name, note=before.note)
    foreseen = before.seconds * lanes / fewer.labels["lanes"]
    if foreseen <= TOO_LONG:
        return None
    return Entry(name, note=f"not run: up to {foreseen:.0f} s a call")
