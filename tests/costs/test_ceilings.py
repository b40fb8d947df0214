"""What a solve costs must not grow unnoticed. Nothing is timed: CI's clocks cannot be trusted.

The ceilings are what was measured when they were last recorded. After a change that is meant to
cost more, or that costs less, record them again and commit the file with the change:

    RECORD_COSTS=1 .venv/bin/python -m pytest tests/costs
"""

import json
import os
import re
from pathlib import Path

import jax
import pytest

import neurode as nd
from costs.programs import PROGRAMS, cost, equations, outermost_loops

CEILINGS = Path(__file__).parent / "ceilings.json"
# Counts are exact. The compiler's estimates may move a little from one processor to another, and a
# solve may take a step more where rounding differs.
SLACK = {"flops": 1.05, "bytes": 1.05, "evaluations": 1.1, "backward_evaluations": 1.1}


def recorded() -> dict:
    """The file: the version of JAX, and program -> name -> ceiling."""
    return json.loads(CEILINGS.read_text(encoding="utf-8"))


def record(name: str, found: dict) -> None:
    """Put one program's costs into the file."""
    data = recorded() if CEILINGS.exists() else {}
    programs = data.get("programs", {}) if data.get("jax") == jax.__version__ else {}
    programs[name] = found
    data = {"jax": jax.__version__, "programs": {n: programs[n] for n in PROGRAMS if n in programs}}
    CEILINGS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_solve_costs_no_more_than_recorded(name):
    found = cost(name).as_json()
    if os.environ.get("RECORD_COSTS"):
        record(name, found)
        return
    ceilings = recorded()
    if jax.__version__ != ceilings["jax"]:
        pytest.skip(f"recorded with JAX {ceilings['jax']}, this is {jax.__version__}")
    above = {
        what: f"{value:g}, the ceiling is {ceiling:g}"
        for what, ceiling in ceilings["programs"][name].items()
        if (value := found[what]) > ceiling * SLACK.get(what, 1.0)
    }
    assert not above, f"{name} costs more than it did: {above}. See the top of {__file__}"


def test_every_program_has_its_ceilings():
    assert list(recorded()["programs"]) == list(PROGRAMS)


def test_the_counts_see_inside_loops_and_calls():
    def body(x):
        return jax.lax.while_loop(lambda x: x < 3, lambda x: x * 2 + 1, x)

    nested = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda x: x < 9, body, jax.jit(body)(x)))
    jaxpr = nested(1).jaxpr
    assert len(list(outermost_loops(jaxpr))) == 2
    # Each loop: itself, its condition, two for its body; around them a call, and a loop with its
    # condition.
    assert equations(jaxpr) == 4 + 4 + 1 + 2


def test_the_way_back_copies_no_tape():
    """XLA copies an array of a loop's carry, whole and at every step, where its old value lives on.

    The cost analysis does not say so: the bytes of one state's copy would pass for its step.
    """
    rows, y0 = 128, jax.numpy.ones((128, 4))

    def loss(y0):
        ts = jax.numpy.array([0.0, 1.0])
        return nd.solve(lambda t, y: -y, y0, ts, rtol=1e-3, atol=1e-3).ys[-1].sum()

    compiled = jax.jit(jax.grad(loss)).lower(y0).compile().as_text()
    inside_loops = compiled.split("ENTRY")[0]
    assert re.search(rf"f32\[\d+,{rows},4\]", inside_loops), "the program holds no tape"
    copies = re.findall(rf"= f32\[\d+,{rows},4\]\S* copy\(.*", inside_loops)
    assert not copies
