"""Predictions, scores and the manners of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

import neurode as nd
from estimators.odes import logistic_solution
from neurode.data import DataError, SeriesBatch
from neurode.estimators import Estimator, NeuralODE


def test_predictions_are_the_fitted_solution_at_any_time(grown):
    ts, _, model = grown
    r, capacity = model.parameters_["r"], model.parameters_["K"]
    start = model.initial_[0, 0]
    times = np.array([1890.0, 1899.5, 1900.0, 1900.25, 1905.0, 1905.0, 1930.0])
    found = model.predict(times)
    assert found.shape == (7, 1)
    exact = logistic_solution(times - 1900, r, capacity, start)
    np.testing.assert_allclose(found[:, 0], exact, rtol=1e-6, atol=1e-7)
    for time in (1880.0, 1900.0, 1950.0):
        exact = logistic_solution(time - 1900, r, capacity, start)
        np.testing.assert_allclose(model.predict([time]), [[exact]], rtol=1e-6, atol=1e-7)


def test_other_initial_states_start_at_the_first_time(grown):
    *_, model = grown
    r, capacity = model.parameters_["r"], model.parameters_["K"]
    times = np.array([10.0, 11.0, 12.5])
    one = model.predict(times, y0=[5.0])
    np.testing.assert_allclose(one[:, 0], logistic_solution(times - 10, r, capacity, 5), rtol=1e-6)
    assert one[0, 0] == 5.0
    many = model.predict(times, y0=[[5.0], [7.0]])
    assert many.shape == (2, 3, 1)
    np.testing.assert_allclose(many[0], one, rtol=1e-14)
    ragged = model.predict([times, times[:2] + 1], y0=[[5.0], [7.0]])
    np.testing.assert_allclose(ragged[1], many[1, :2], rtol=1e-6)


def test_the_forms_of_several_trajectories(spirals, learned):
    times = np.linspace(2000, 2090, 7)
    shared = learned.predict(times)
    assert shared.shape == (3, 7, 2)
    each = learned.predict(np.stack([times] * 3))
    np.testing.assert_array_equal(each, shared)
    as_list = learned.predict([times, times[:3], times[2:]])
    assert [part.shape for part in as_list] == [(7, 2), (3, 2), (5, 2)]
    np.testing.assert_allclose(as_list[2], shared[2, 2:], rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(
        learned.initial_[1], learned.predict([learned.start_times_[1]])[1, 0]
    )


def test_score_is_that_of_scikit_learn_and_ignores_gaps(grown, spirals, learned):
    ts, ys, model = grown
    assert model.score(ts, ys) == pytest.approx(r2_score(ys, model.predict(ts)))
    gaps = ys.copy()
    gaps[::3] = np.nan
    seen = ~np.isnan(gaps)
    assert model.score(ts, gaps) == pytest.approx(r2_score(ys[seen], model.predict(ts)[seen]))
    shifted = model.score(ts + 50, ys, y0=[2.0])
    assert shifted == pytest.approx(r2_score(ys, model.predict(ts + 50, y0=[2.0])))
    times, values = spirals[1][0]
    truth = np.concatenate([y for _, y in spirals[1]])
    guess = np.concatenate(learned.predict([t for t, _ in spirals[1]]))
    assert learned.score(spirals[1]) == pytest.approx(r2_score(truth, guess))
    with pytest.raises(DataError, match="1 trajectories to score but 3 initial states"):
        learned.score(times, values)


def test_frames_lists_and_batches_are_the_same_data(grown):
    ts, ys, model = grown
    frame = pd.DataFrame({"year": ts, "animals": ys})
    series = SeriesBatch.from_frame(frame, "year")
    for data in (
        (frame["year"], frame[["animals"]]),
        (frame["year"], frame["animals"]),
        ([ts], [ys]),
        ([(ts, ys)],),
        (series,),
    ):
        again = clone(model).fit(*data)
        assert again.parameters_["r"] == pytest.approx(model.parameters_["r"], rel=1e-5)
        named = isinstance(data[-1], (SeriesBatch, pd.DataFrame, pd.Series))
        assert again.names_ == (("animals",) if named else ("y0",))


def test_scikit_learn_may_clone_and_set_it(grown):
    *_, model = grown
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict([1900.0])
    assert copy.set_params(transform="log").transform == "log"
    assert "NeuralODE(" in repr(copy)
    assert isinstance(copy, Estimator)
    solver = nd.Dopri5()
    assert clone(NeuralODE(solver=solver)).solver == solver


@pytest.mark.parametrize(
    "use", [lambda m: m.predict([0.0]), lambda m: m.score([0, 1], [0, 1]), NeuralODE.summary]
)
def test_before_fit_there_is_nothing(use):
    with pytest.raises(NotFittedError, match="NeuralODE instance is not fitted yet"):
        use(NeuralODE())


def test_summary_is_a_table(grown, learned, capsys):
    *_, model = grown
    model.summary()
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.strip().startswith("r "))
    low, high = model.intervals_["r"]
    for number in (model.parameters_["r"], low, high):
        assert f"{number:.5g}" in row
    assert f"{model.standard_errors_['r']:.2g}" in row
    for word in ("animals at start", "95% interval", "21 observations, 3 unknowns, 18 degrees"):
        assert word in text
    assert "a network fitted to 3 trajectories of x, y" in learned.summary_text()


def test_a_field_that_cannot_be_followed_says_how_far_it_can(grown):
    *_, model = grown
    with pytest.raises(nd.SolveError, match=r"trajectory 0 cannot be followed from t=0 to t=500"):
        model.predict([0.0, 500.0], y0=[-5.0])
