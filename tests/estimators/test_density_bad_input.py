"""What a user may get wrong with a density is refused in one line, before anything is compiled."""

import jax.numpy as jnp
import numpy as np
import pytest

from estimators.flows import QUICK, two_lumps
from neurode.data import DataError
from neurode.estimators import ContinuousFlow, DensitySampler, DensityWarning, SettingError
from neurode.training import TrainingError

X = two_lumps(30)


def changed(row, column, value):
    x = X.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:1], "one row has no density: 1 sample given, at least 2 are needed"),
        (np.zeros((0, 2)), r"a table of rows is needed, of shape \(n, d\)"),
        (np.zeros((3, 2, 2)), r"a table of rows is needed"),
        ([["a", "b"], ["c", "d"]], "must hold real numbers only"),
        (changed(4, 1, np.nan), "X, row 4, column 'x1': nan is not a finite number"),
        (changed(7, 0, np.inf), "X, row 7, column 'x0': inf is not a finite number"),
        (np.c_[X, np.full(30, 3.5)], "column 'x2' is 3.5 in every row"),
        (np.c_[X, 1.8 * X[:, 0] + 32], "columns 'x0' and 'x2' are the same up to their unit"),
    ],
)
def test_tables(x, message):
    with pytest.raises(DataError, match=message):
        ContinuousFlow().fit(x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"field": "spline"}, "field must be one of 'planar', 'concatsquash', 'mlp'"),
        ({"field": np.sin}, "field must be one of 'planar', 'concatsquash', 'mlp' or an equinox"),
        ({"hidden": (8, 8)}, "a planar field has one layer"),
        ({"hidden": 0}, "hidden must be positive whole numbers, got 0"),
        ({"base": "cauchy"}, "base must be one of 'normal', 'student'"),
        ({"trace": "some"}, "trace must be one of 'auto', 'exact', 'rademacher', 'gaussian'"),
        ({"discrete": "x0"}, r"discrete must be a list of names: \['x0'\]"),
        ({"discrete": ["z"]}, "discrete names 'z', which is no column; there are x0, x1"),
        ({"bounds": {"z": (0, 1)}}, "bounds names 'z', which is no column"),
        ({"bounds": {"x0": (1, 0)}}, "must be lower < upper"),
        ({"bounds": {"x0": 3}}, r"must be \(lower, upper\), got 3"),
        ({"smoothing": -1}, "smoothing must be a number of at least 0"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"rtol": 0, "atol": 0}, "rtol and atol must not both be 0"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(SettingError, match=message):
        ContinuousFlow(**settings).fit(X)


def test_values_against_what_was_said_of_them():
    with pytest.raises(DataError, match="row 0, column 'x0': .* is not between its bounds 0 and 1"):
        ContinuousFlow(bounds={"x0": (0, 1)}).fit(X)
    with pytest.raises(DataError, match="row 0, column 'x1': .* is no whole number"):
        ContinuousFlow(discrete=["x1"]).fit(X)
    with pytest.raises(DataError, match="context has 29 rows for 30 rows"):
        ContinuousFlow().fit(X, context=X[:29])
    with pytest.raises(SettingError, match="'mlp' takes no context"):
        ContinuousFlow(field="mlp").fit(X, context=X[:, :1])


def test_few_rows_and_heavy_tails_are_warned_of():
    settings = QUICK | {"steps": 1}
    with pytest.warns(DensityWarning, match="2 rows of 2 columns: fewer samples than"):
        ContinuousFlow(**settings).fit(X[:2] + np.array([[0.0, 0.0], [1.0, 5.0]]))
    heavy = np.random.default_rng(0).standard_cauchy(300)
    with pytest.warns(DensityWarning, match="has heavy tails .*base='student' can"):
        ContinuousFlow(**settings).fit(heavy)
    flow = ContinuousFlow(base="student", **settings).fit(heavy)
    assert np.isfinite(flow.score_samples([[1e5], [1e20]])).all()


def test_a_field_that_turns_stiff_is_reported(monkeypatch):
    """Every iteration outruns its budget: a clear stop, not a NaN."""
    settings = QUICK | {"max_steps": 1, "rtol": 1e-7, "atol": 1e-7}
    with pytest.raises(TrainingError, match="could not be solved within max_steps=1 steps"):
        ContinuousFlow(**settings).fit(X)


def normal(x):
    return -0.5 * jnp.sum(x**2)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"log_unnormalised": None}, SettingError, "must be a function of one point"),
        ({"log_unnormalised": lambda x: x}, SettingError, "must return one number"),
        ({"log_unnormalised": lambda x: x @ jnp.ones(3)}, SettingError, "failed on one point"),
        ({"log_unnormalised": lambda x: jnp.log(x[0])}, DataError, "is nan at x = "),
        (
            {"log_unnormalised": lambda x: jnp.where(x[0] > 0, 0.0, -jnp.inf)},
            DataError,
            "is -inf at x = .*use a steep wall",
        ),
        ({"log_unnormalised": normal, "dim": 0}, SettingError, "dim must be a whole number"),
        ({"log_unnormalised": normal, "scale": -1}, SettingError, "scale positive"),
        ({"log_unnormalised": normal, "location": [1, 2, 3]}, SettingError, "dim=2 entries"),
    ],
)
def test_energies(settings, error, message):
    with pytest.raises(error, match=message):
        DensitySampler(**settings).fit()
