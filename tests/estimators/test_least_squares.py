import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.estimators.effort import Effort
from neurode.estimators.inference import describe_problems, invert_information
from neurode.estimators.least_squares import (
    ENOUGH,
    Arrow,
    Residuals,
    minimise,
    normal_equations,
    solve_arrow,
)
from neurode.models import GaussianNoise, SolveOptions

N, T, D, K, Q = 4, 6, 2, 3, 2


def random_residuals(seed, q=Q):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = [(N, T, D), (N, T, D, K), (N, T, D, q)]
    arrays = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    return Residuals(*arrays, jnp.zeros((), jnp.int32))


def dense_jacobian(residuals):
    """One column per shared number, then those of each trajectory in turn."""
    q = residuals.by_local.shape[-1]
    jacobian = np.zeros((N, T * D, K + N * q))
    jacobian[:, :, :K] = np.asarray(residuals.by_shared).reshape(N, T * D, K)
    for i in range(N):
        columns = slice(K + i * q, K + (i + 1) * q)
        jacobian[i, :, columns] = np.asarray(residuals.by_local[i]).reshape(T * D, q)
    return jacobian.reshape(N * T * D, -1)


@pytest.mark.parametrize("q", [0, Q])
def test_the_arrow_is_the_dense_normal_equations(x64, q):
    residuals, weights = random_residuals(0, q), jnp.array([0.5, 3.0])
    matrix, gradient = jax.jit(normal_equations)(residuals, weights)
    shared, local = jax.jit(solve_arrow)(matrix, gradient)
    scale = np.sqrt(np.broadcast_to(np.asarray(weights), (N, T, D))).ravel()
    jacobian = dense_jacobian(residuals) * scale[:, None]
    expected = np.linalg.lstsq(jacobian, np.asarray(residuals.values).ravel() * scale)[0]
    np.testing.assert_allclose(np.append(shared, local), expected, rtol=1e-9)


def test_its_inverse_is_the_dense_one(x64):
    residuals = random_residuals(1)
    matrix, _ = normal_equations(residuals, jnp.ones(D))
    information = invert_information(*(np.asarray(block) for block in matrix))
    jacobian = dense_jacobian(residuals)
    dense = np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(information.covariance, dense[:K, :K], rtol=1e-9)
    variances = np.diagonal(dense)[K:].reshape(N, Q)
    np.testing.assert_allclose(information.local_variances, variances, rtol=1e-9)
    assert not len(information.directions)


def problems(by_shared, by_local, names="abc"):
    residuals = Residuals(jnp.zeros((N, T, D)), by_shared, by_local, jnp.zeros((), jnp.int32))
    matrix, _ = normal_equations(residuals, jnp.ones(D))
    information = invert_information(*(np.asarray(block) for block in matrix))
    return information, describe_problems(information, names, np.ones(K), ["x", "y"])


def test_what_the_data_leave_open_is_named(x64):
    _, by_shared, by_local, _ = random_residuals(2)
    information, [sentence] = problems(by_shared.at[..., 1].set(0), by_local)
    assert sentence.startswith("the data do not determine 'b': no prediction changes with it")
    assert np.isnan(information.covariance[1, 1])
    assert np.isfinite(information.covariance[::2, ::2]).all()
    assert np.isfinite(information.local_variances).all()

    together = by_shared.at[..., 2].set(-2 * by_shared[..., 0])
    information, [sentence] = problems(together, by_local)
    assert "do not tell 'a' and 'c' apart" in sentence
    assert "moving a by +1, c by +0.5" in sentence or "moving c by +1, a by +2" in sentence
    assert np.isfinite(information.covariance[1, 1])

    information, [sentence] = problems(by_shared, by_local.at[2, ..., 0].set(0))
    assert sentence == "the data do not determine the initial value of 'x' in trajectory 2"
    assert np.isnan(information.local_variances).sum() == 1

    # A parameter whose effect the initial states can take back.
    hidden = by_shared.at[..., 0].set(by_local @ jnp.array([1.0, 0.0]))
    information, [sentence] = problems(hidden, by_local)
    assert "do not determine 'a': no prediction changes when the initial states" in sentence
    np.testing.assert_array_equal(np.isnan(information.local_variances), [[True, False]] * N)


def rosenbrock(shared, local, is_wanted=True):
    def values(shared, local):
        return jnp.stack([10 * (local[:, 0] - shared[0] ** 2), 1 - shared[0] + 0 * local[:, 0]], 1)

    by = jax.jacfwd(values, argnums=(0, 1))(shared, local)
    n = len(local)
    by_local = jnp.stack([by[1][i, :, i] for i in range(n)])
    arrays = values(shared, local), by[0], by_local
    return Residuals(*(x[:, None] for x in arrays), jnp.ones((), jnp.int32))


def test_it_finds_the_bottom_of_a_bent_valley(x64):
    noise = GaussianNoise(jnp.full(2, 2.0), jnp.full(2, 1e-7), is_shared=True)
    start = jnp.array([-1.2]), jnp.array([[1.0], [2.0]])

    def walled(shared, local, is_wanted):
        """Not solvable in the corner that the first steps would lead to."""
        found = rosenbrock(shared, local)
        is_out = (jnp.abs(local) > 3).any()
        return found._replace(values=jnp.where(is_out, jnp.nan, found.values))

    for residuals in (rosenbrock, walled):
        found = jax.jit(lambda a, b, f=residuals: minimise(f, noise, a, b, 200))(*start)
        np.testing.assert_allclose(found.shared, [1.0], rtol=1e-5)
        np.testing.assert_allclose(found.local, [[1.0], [1.0]], rtol=1e-5)
        assert found.to_gain < 1e-9
        assert found.evaluations.sum() == found.iterations + 1


def test_a_start_without_residuals_is_reported(x64):
    noise = GaussianNoise(jnp.full(2, 2.0), jnp.full(2, 1e-7), is_shared=True)

    def nowhere(shared, local, is_wanted):
        found = rosenbrock(shared, local)
        return found._replace(values=jnp.full_like(found.values, jnp.nan))

    found = minimise(nowhere, noise, jnp.array([0.5]), jnp.array([[1.0]]), 20)
    assert found.loss == jnp.inf
    assert found.iterations == 0


def test_a_fit_that_is_done_wants_no_more_residuals(x64):
    noise = GaussianNoise(jnp.full(2, 2.0), jnp.full(2, 1e-7), is_shared=True)
    wanted = []

    def counted(shared, local, is_wanted):
        jax.debug.callback(lambda is_wanted: wanted.append(bool(is_wanted)), is_wanted)
        return rosenbrock(shared, local)

    starts = jnp.array([[-1.2], [0.99]]), jnp.array([[[1.0], [2.0]], [[0.98], [0.98]]])
    found = jax.jit(jax.vmap(lambda a, b: minimise(counted, noise, a, b, 200)))(*starts)
    jax.effects_barrier()
    assert found.iterations[0] > found.iterations[1] + 3
    assert sum(wanted) == (found.iterations + 1).sum()
    np.testing.assert_allclose(found.shared, 1.0, rtol=1e-5)


def test_arrow_names_its_blocks():
    assert Arrow._fields == ("shared", "mixed", "local")


def bent_curve(shared, local, is_wanted):
    """Large residuals of one shared number: Gauss-Newton gains less and less, but never nothing."""
    rate = jnp.linspace(1.0, 2.0, N * T * D).reshape(N, T, D)
    curve = jnp.exp(rate * shared[0])
    return Residuals(
        curve - jnp.exp(rate) + 3 * jnp.sin(7 * rate),
        (rate * curve)[..., None],
        jnp.zeros((N, T, D, 0)),
        jnp.zeros((), jnp.int32),
    )


def test_a_search_ends_one_step_after_little_is_left_to_gain(x64):
    likelihood = GaussianNoise(jnp.full(D, N * T), jnp.full(D, 1e-7), True)
    begin = jnp.array([0.0]), jnp.zeros((N, 0))
    run = jax.jit(lambda most, enough: minimise(bent_curve, likelihood, *begin, most, enough))
    to_gain = np.array([run(most, 0.0).to_gain for most in range(40)])
    used = {}
    for enough in (1e-1, 1e-3, ENOUGH):
        used[enough] = int(run(100, enough).iterations)
        assert used[enough] == np.argmax(to_gain < enough) + 1
    assert used[1e-1] < used[ENOUGH] < 40


@pytest.mark.parametrize("rtol", [1e-8, 1e-3])
def test_segments_are_searched_with_less_effort(rtol):
    options = SolveOptions(rtol=rtol, atol=1e-8, max_steps=1000)
    spared = Effort(options, 60).over_segments(4)
    assert spared.options.rtol == max(rtol, 1e-5)
    assert spared.options.atol == 1e-5
    assert 500 / 1000 ** (1 / 4) < spared.options.max_steps <= 500
    assert spared.max_iterations == 30
    assert Effort(options, 20).over_segments(4).max_iterations == 20
    assert Effort(options, 60).over_segments(1).options.max_steps <= options.max_steps
