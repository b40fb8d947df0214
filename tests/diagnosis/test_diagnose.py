"""What `diagnose` names, one problem per kind, and what it leaves alone."""

import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd


def pendulum(t, y):
    return jnp.stack([y[1], -jnp.sin(y[0])])


SWING = np.float32([1.0, 0.0])
# kind: (f, y0, ts, options)
ALARMS = {
    "stiffness": (lambda t, y: -1000 * (y - jnp.cos(t)), 0.0, [0.0, 10.0], {}),
    "discontinuity": (
        lambda t, y: jnp.stack([y[1], jnp.where(y[0] > 0, -1.0, -3.0)]), SWING, [0.0, 5.0], {},
    ),
    "tolerance below precision": (pendulum, SWING, [0.0, 10.0], {"rtol": 1e-8, "atol": 1e-10}),
    "blow-up": (lambda t, y: y**2, 1.0, [0.0, 2.0], {}),
    "wasted budget": (
        pendulum, SWING, [0.0, 10.0], {"solver": nd.RK4(), "stepsize": nd.ConstantSteps(10_000)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALARMS)
def test_it_names(kind):
    f, y0, ts, options = ALARMS[kind]
    found = nd.diagnose(f, np.float32(y0), ts, gradients=(), **options)
    assert kind in found.kinds, str(found)
    assert kind in str(found)


def forgets(t, y):
    return jnp.stack([-30 * (y[0] - jnp.cos(t)), y[0] * jnp.sin(y[1])])


def test_it_names_an_unstable_backward_solve():
    names = ("Checkpointed", "Backsolve")
    found = nd.diagnose(forgets, np.float32([0.5, 0.3]), [0.0, 1.0], gradients=names)
    assert found.kinds == ["unstable backward solve"], str(found)
    assert "nd.Checkpointed()" in found.recommendation


def test_it_leaves_a_harmless_problem_alone(tmp_path):
    names = ("Checkpointed", "Backsolve")

    def swing(t, y, rate):
        return jnp.stack([y[1], -rate * jnp.sin(y[0])])

    found = nd.diagnose(swing, SWING, np.linspace(0, 10, 5), (1.3,), gradients=names)
    assert found.findings == [], str(found)
    assert "Nothing stands out" in found.recommendation
    table = found.to_dataframe()
    assert set(table["what"]) == {"solver", "gradient"}
    assert (table["error"] < 10).all()
    assert (table["problem"].dropna() == "").all()
    page = found.write_report(tmp_path).read_text(encoding="utf-8")
    assert "Nothing stands out" in page
    assert "Backsolve" in page


def test_what_it_refuses():
    with pytest.raises(ValueError, match="no gradient strategy 'Adjoint'"):
        nd.diagnose(pendulum, SWING, [0.0, 1.0], gradients=("Adjoint",))
    with pytest.raises(ValueError, match="must span an interval"):
        nd.diagnose(pendulum, SWING, [1.0, 1.0])
    with pytest.raises(TypeError, match=r"write args=\(p,\)"):
        nd.diagnose(pendulum, SWING, [0.0, 1.0], args=2.0)
    with pytest.raises(TypeError, match="one number as rtol"):
        nd.diagnose(pendulum, SWING, [0.0, 1.0], rtol={"a": 1e-3})
