"""Events: where they are found, where they are not, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from neurode.core.explanation import explanation

EVENT, SUCCESS = nd.Status.EVENT, nd.Status.SUCCESS
BALL = {"height": 3.0, "speed": 1.0, "g": 9.81, "floor": 0.5, "t0": 0.3}


def fall(t, y, g, floor):
    return jnp.stack([y[1], -g])


def drop(p, **options):
    y0, ts = jnp.stack([p["height"], p["speed"]]), jnp.stack([p["t0"], p["t0"] + 0.2, 9.0])
    event = nd.Event(lambda t, y, g, floor: y[0] - floor, -1)
    options = {"rtol": 1e-10, "atol": 1e-10} | options
    return nd.solve(fall, y0, ts, (p["g"], p["floor"]), event=event, **options)


def landing(p):
    """The time, and the speed then."""
    speed = jnp.sqrt(p["speed"] ** 2 + 2 * p["g"] * (p["height"] - p["floor"]))
    return jnp.stack([p["t0"] + (p["speed"] + speed) / p["g"], -speed])


def test_a_ball_hits_the_floor(x64):
    """Time and state of the event, and all their derivatives, to 1e-8."""
    p = {k: jnp.asarray(v) for k, v in BALL.items()}

    def found(p):
        sol = drop(p, dense=True, max_steps=64)
        return jnp.stack([sol.event_time, sol.event_y[1]]), sol

    jacobian, sol = jit(jax.jacrev(found, has_aux=True))(p)
    assert sol.status == EVENT and sol.event_index == 0  # noqa: PT018
    assert_allclose(jnp.stack([sol.event_time, sol.event_y[1]]), landing(p), rtol=1e-13)
    assert_allclose(sol.event_y[0], p["floor"], rtol=1e-13)
    expected = jax.jacrev(landing)(p)
    for key in p:
        assert_allclose(jacobian[key], expected[key], rtol=1e-8, atol=1e-10, err_msg=key)
    assert np.isfinite(sol.ys[1]).all()
    assert np.isnan(sol.ys[2]).all()
    assert_allclose(sol(sol.event_time), sol.event_y, rtol=1e-12)
    assert np.isnan(sol(sol.event_time + 0.1)).all()


def test_second_derivatives_through_direct(x64):
    p = {k: jnp.asarray(v) for k, v in BALL.items()}
    options = {"solver": nd.Midpoint(), "stepsize": nd.ConstantSteps(8), "gradient": nd.Direct()}
    time = lambda g: drop(p | {"g": g}, **options).event_time  # noqa: E731
    second = jit(jax.jacfwd(jax.grad(time)))(p["g"])
    exact = jax.hessian(lambda g: landing(p | {"g": g})[0])(p["g"])
    assert_allclose(second, exact, rtol=1e-8)


def wave(t, y):
    return jnp.stack([y[1], -y[0]])


@pytest.fixture(scope="module")
def crossings():
    """sin(t) against several levels, each in a lane of its own; and the gradient of what fired."""
    levels = np.array([0.5, 0.0, 0.999, 1.0 + 1e-6, 2.0])

    def solve(level, speed):
        event = nd.Event(lambda t, y: y[0] - level)
        y0 = jnp.stack([0.0 * speed, speed])
        return nd.solve(
            wave, y0, [0.0, 1.0, 6.0], event=event, rtol=1e-9, atol=1e-9, max_steps=512
        )  # fmt: skip

    def total(speed):
        sols = jax.vmap(solve, (0, None))(jnp.asarray(levels), speed)
        return jnp.sum(jnp.where(sols.status == EVENT, sols.event_time, 0.0)), sols

    with jax.enable_x64(True):
        gradient, sols = jit(jax.grad(total, has_aux=True))(1.0)
    return levels, gradient, sols


def test_each_lane_has_its_own_event(crossings):
    levels, _, sols = crossings
    # Zero at t0 is no event there: the next one is. Two in one step are both seen.
    expected = [np.pi / 6, np.pi, np.arcsin(0.999)]
    assert_allclose(sols.event_time[:3], expected, rtol=1e-8)
    assert_allclose(sols.event_y[:3, 0], levels[:3], atol=1e-8)
    assert list(sols.status) == [EVENT] * 3 + [SUCCESS] * 2
    assert list(sols.event_index) == [0, 0, 0, -1, -1]


def test_a_graze_and_an_event_that_never_fires_end_at_t1(crossings):
    _, _, sols = crossings
    assert np.isnan(sols.event_time[3:]).all()
    assert_allclose(sols.ys[3:, -1, 0], np.sin(6.0), rtol=1e-7)
    assert explanation(sols) == "all 5 solves succeeded"


def test_rows_after_an_event_are_missing(crossings):
    _, _, sols = crossings
    assert np.isnan(sols.ys[0, 1:]).all()  # at pi / 6
    assert np.isfinite(sols.ys[1, 1]).all()
    assert np.isnan(sols.ys[1, 2]).all()


def test_a_lane_without_an_event_adds_no_gradient(crossings):
    # sin(t) speed = level: dt/dspeed = -tan(t) / speed.
    _, gradient, sols = crossings
    assert_allclose(gradient, -np.sum(np.tan(sols.event_time[:3])), rtol=1e-6)


def test_two_crossings_in_one_step_and_directions():
    """y = t - t^2 crosses 0.2 twice in the only step; of two events the first one counts."""
    events = (
        nd.Event(lambda t, y, level: y - level, -1),
        nd.Event(lambda t, y, level: 0.9 - t),
        nd.Event(lambda t, y, level: y - level, +1),
    )

    def solve(level, sign):
        return nd.solve(
            lambda t, y, level: sign - 2 * t, 0.0, [0.0, sign], (level,), event=events,
            solver=nd.Bosh3(), stepsize=nd.ConstantSteps(1),
        )  # fmt: skip

    sols = jit(jax.vmap(solve))(jnp.array([0.2, 0.3, 0.2]), jnp.array([1.0, 1.0, -1.0]))
    low = (1 - np.sqrt(0.2)) / 2
    assert_allclose(sols.event_time, [low, 0.9, -low], rtol=2e-6)  # the last goes backwards
    assert list(sols.event_index) == [2, 1, 2]


def test_a_loss_of_a_missing_row_has_no_gradient():
    def last_row(height):
        sol = nd.solve(
            lambda t, y: -jnp.ones_like(y), height, [0.0, 0.5, 2.0], event=nd.Event(lambda t, y: y),
            solver=nd.Euler(), stepsize=nd.ConstantSteps(4),
        )  # fmt: skip
        return sol.ys

    rows, pull = jax.vjp(last_row, 1.0)
    assert_allclose(rows[:2], [1.0, 0.5])
    assert np.isnan(rows[2])
    assert not np.isfinite(pull(jnp.array([0.0, 0.0, 1.0]))[0])
    assert_allclose(pull(jnp.array([1.0, 1.0, 0.0]))[0], 2.0)


def test_an_event_function_that_is_nan_is_a_failure():
    with pytest.raises(nd.SolveError, match="event function is NaN") as caught:
        nd.solve(
            lambda t, y: -y, 1.0, [0.0, 3.0], event=nd.Event(lambda t, y: jnp.log(0.5 - t)),
            solver=nd.Euler(), stepsize=nd.ConstantSteps(4),
        )  # fmt: skip
    assert caught.value.status == nd.Status.NON_FINITE


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        (nd.Event(lambda t, y: y), ValueError, r"event 0 must return one real number.*\[2\]"),
        (nd.Event(lambda t, y: y[0] > 1), TypeError, "returns a truth value"),
        (nd.Event(lambda t, y: 1j * y[0]), ValueError, "one real number, got complex"),
        (nd.Event(lambda t, y: None), TypeError, "what event 0 returns must be a number"),
        (nd.Event(lambda t, y: y["a"]), nd.SolveError, "event 0 raised"),
        (3.0, TypeError, "tuple of them, got 3.0"),
        ((), ValueError, "empty tuple"),
    ],
)
def test_bad_events(event, error, words):
    with pytest.raises(error, match=words):
        nd.solve(wave, jnp.array([0.0, 1.0]), [0.0, 1.0], event=event)


def test_bad_event_arguments():
    with pytest.raises(TypeError, match="takes a function"):
        nd.Event(1.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="rising"):
        nd.Event(lambda t, y: y, direction=2)
