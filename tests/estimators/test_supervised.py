"""Classifiers and regressors: what they learn, rows as lanes, weights, stopping, saving."""

import numpy as np
import pandas as pd
import pytest

import neurode as nd
from neurode.data import DataError
from neurode.training import ConfigMismatch

QUICK = {
    "width": 6,
    "hidden": (8,),
    "solver": nd.HeunEuler(),
    "gradient": nd.Direct(),
    "max_steps": 256,
    "tolerance": 1e-2,
    "steps": 60,
    "learning_rate": 0.05,
    "early_stopping": False,
}


def make_blobs(n=64, seed=0):
    """Three lumps in the plane, in large units, with labels that are text."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, n)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    return 1000 + 50 * (centres[codes] + rng.normal(size=(n, 2))), np.array(["b", "a", "c"])[codes]


@pytest.fixture(scope="module")
def fitted():
    X, y = make_blobs()
    return X, y, nd.ODENetClassifier(**QUICK).fit(X, y)


def test_it_learns_labels_that_are_text(fitted):
    _, _, model = fitted
    X, y = make_blobs(64, seed=1)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.score(X, y) > 0.9
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(X)).all()
    assert model.stats_["parameters"] == 18 + (7 * 8 + 8) + (8 * 6 + 6) + 21


def test_a_row_depends_on_no_other(fitted):
    X, _, model = fitted
    all_at_once = model.predict_log_proba(X)
    np.testing.assert_allclose(model.predict_log_proba(X[:1]), all_at_once[:1], rtol=1e-5)
    strange = np.concatenate([X[:8], X[:8] + 1e6])
    np.testing.assert_allclose(model.predict_log_proba(strange)[:8], all_at_once[:8], rtol=1e-5)


def test_features_begin_at_the_first_layer_and_end_at_the_head(fitted):
    X, _, model = fitted
    states = model.features(X[:16], depths=(0, 0.5, 1))
    assert states.shape == (3, 16, 6)
    z = model.inputs_.apply(X[:16])
    np.testing.assert_allclose(states[0], model.net_.lift(z.astype(np.float32)), rtol=1e-5)
    logits = model.net_.read_out(states[-1])
    np.testing.assert_array_equal(np.argmax(logits, axis=1), model.predict_proba(X[:16]).argmax(1))


def test_rows_of_weight_zero_are_as_if_left_out(fitted):
    X, y, model = fitted
    strangers = np.concatenate([X, [[5e3, 5e3]]]), np.append(y, "a")
    again = nd.ODENetClassifier(**QUICK).fit(*strangers, sample_weight=np.append(np.ones(64), 0))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_a_heavy_class_is_predicted_more_often(fitted):
    X, y, model = fitted
    heavy = nd.ODENetClassifier(**QUICK, class_weight={"a": 100, "b": 1, "c": 1}).fit(X, y)
    middle = np.array([[1100.0, 1000.0]] * 16)  # between the lumps of a and b
    a = model.classes_.tolist().index("a")
    assert heavy.predict_proba(middle)[0, a] > model.predict_proba(middle)[0, a] + 0.05


def test_the_dial(fitted):
    _, _, model = fitted
    X, y = make_blobs(16, seed=2)
    dial = model.tune_tolerance(X, y, tolerances=(1e-1, 1e-2, 1e-3))
    assert dial.tolerances.tolist() == [1e-3, 1e-2, 1e-1]
    assert (np.diff(dial.nfe) < 0).all()
    assert dial.errors[0] == 0
    assert dial.errors[1] < dial.errors[2]
    assert dial.scores[dial.tolerances <= dial.chosen].min() >= dial.scores[0]
    assert model.tolerance_ == dial.chosen
    assert len(dial.draw().axes) == 4
    assert "<- chosen" in str(dial)
    model.tolerance_ = 1e-2


def test_saved_and_loaded_is_the_same(fitted, tmp_path):
    X, y, model = fitted
    path = model.save(tmp_path / "run")
    loaded = nd.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.get_params() == model.get_params()
    assert loaded.score(X, y) == model.score(X, y)
    assert path.name == "model.safetensors"


@pytest.mark.parametrize(
    "labels", [np.array([True, False]), np.array([3, 7]), np.array(["x", "y"], object)], ids=str
)
def test_labels_keep_their_type(labels, tmp_path):
    X, y = make_blobs()
    model = nd.ODENetClassifier(**QUICK | {"steps": 1}, class_weight={labels[0]: 2})
    model.fit(X, labels[(y == "a").astype(int)])
    loaded = nd.load(model.save(tmp_path / "m.safetensors"))
    assert loaded.classes_.dtype == model.classes_.dtype == labels.dtype
    assert loaded.class_weight == {labels.tolist()[0]: 2.0}
    assert set(loaded.predict(X).tolist()) <= set(labels.tolist())


@pytest.mark.filterwarnings("error:y holds labels")
@pytest.mark.parametrize("unit", ["ns", "D"])
def test_labels_may_be_dates(tmp_path, unit):
    X, y = make_blobs()
    dates = np.array(["2020-01-01", "2021-06-01"], f"datetime64[{unit}]")
    y = dates[(y == "a").astype(int)]
    model = nd.ODENetClassifier(**QUICK | {"steps": 1}).fit(X, y)
    assert 0 <= model.score(X, y) <= 1
    loaded = nd.load(model.save(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(loaded.classes_, dates)
    assert loaded.classes_.dtype == dates.dtype
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_training_stops_when_nothing_gets_better_and_goes_no_further_when_asked_again(tmp_path):
    X, y = make_blobs(66)
    y = np.random.default_rng(0).permutation(y)  # nothing to learn
    settings = QUICK | {"early_stopping": True, "patience": 5, "steps": 100}
    model = nd.ODENetClassifier(**settings).fit(X, y, run=tmp_path)
    assert model.stats_["kept"] + 10 == model.stats_["steps"] < 100
    assert model.stats_["judged"] > 10
    judged = model.history_["evaluation/loss"]
    assert model.history_["evaluation/step"][judged.argmin()] == model.stats_["kept"]
    again = nd.ODENetClassifier(**settings).fit(X, y, run=tmp_path)
    assert again.stats_["steps"] == model.stats_["steps"]
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ConfigMismatch, match=r"learning_rate: 0.05 -> 0.1"):
        nd.ODENetClassifier(**settings | {"learning_rate": 0.1}).fit(X, y, run=tmp_path)


def test_regression_in_any_units_and_of_several_targets(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (64, 1))
    Y = np.concatenate([np.sin(2 * X), X**2], axis=1) * 1e4 + 7e5
    model = nd.ODENetRegressor(**QUICK | {"steps": 300}).fit(X, Y)
    assert model.score(X, Y) > 0.95
    assert model.predict(X).shape == (64, 2)
    loaded = nd.load(model.save(tmp_path))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    dial = model.tune_tolerance(X, Y, tolerances=(1e-3, 1e-2))
    assert dial.score_name == "R²"
    assert dial.scores[0] == pytest.approx(model.score(X, Y), abs=0.01)


@pytest.fixture(scope="module")
def pictures():
    """Images whose upper or lower half is brighter, as bytes, and a network for them."""
    rng = np.random.default_rng(0)
    y = np.arange(16) % 2
    X = rng.integers(0, 100, (16, 8, 8))
    X[y == 0, :4] += 100
    X[y == 1, 4:] += 100
    model = nd.ODENetClassifier(channels=4, downsampling="none", **QUICK | {"steps": 25})
    return X.astype(np.uint8), y, model.fit(X.astype(np.uint8), y)


def test_images_in_all_their_shapes(pictures):
    X, y, model = pictures
    assert model.score(X, y) > 0.9
    probabilities = model.predict_proba(X)
    for same in (X[..., None], X.reshape(16, 64), X.astype(float)):
        np.testing.assert_array_equal(model.predict_proba(same), probabilities)
    np.testing.assert_allclose(model.predict_proba(X[:1]), probabilities[:1], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :7], r"shape \(7, 8\) where 8 x 8 is needed"),
        (lambda X: X / 255, "floats from .* fitted to whole numbers from .*scale the images"),
        (lambda X: np.where(X > 150, np.nan, X), r"image \d+ contains NaN at pixel"),
        (lambda X: X.astype(str), "must be numbers, of dtype uint8 or float"),
    ],
)
def test_images_that_are_refused(pictures, change, message):
    X, _, model = pictures
    with pytest.raises(ValueError, match=message):
        model.predict(change(X))


@pytest.mark.parametrize("labels", [[3, 7], [False, True]], ids=str)
def test_labels_that_are_objects_but_all_numbers_are_numbers(labels):
    X, y = make_blobs()
    y = np.array(labels, object)[(y == "a").astype(int)]
    model = nd.ODENetClassifier(**QUICK | {"steps": 1}).fit(X, y)
    assert model.classes_.dtype == np.array(labels).dtype
    assert 0 <= model.score(X, y) <= 1


def test_a_generator_of_numpy_gives_its_next_number():
    X, y = make_blobs()
    fit = lambda state: nd.ODENetClassifier(  # noqa: E731
        **QUICK | {"steps": 1}, random_state=state
    ).fit(X, y)
    for make in (np.random.RandomState, np.random.default_rng):
        state = make(0)
        first, second, again = (fit(s).predict_proba(X) for s in (state, state, make(0)))
        np.testing.assert_array_equal(first, again)
        assert (first != second).any()


def test_a_frame_is_read_by_the_names_that_an_array_was_fitted_with(tmp_path):
    X, y = make_blobs()
    model = nd.ODENetClassifier(**QUICK | {"steps": 1}).fit(X, y, names=["u", "v"])
    frame = pd.DataFrame({"w": 0.0, "v": X[:, 1], "u": X[:, 0]})
    expected = model.predict_proba(X)
    for each in (model, nd.load(model.save(tmp_path / "m.safetensors"))):
        np.testing.assert_array_equal(each.predict_proba(frame), expected)
        with pytest.raises(
            DataError, match="X has no column 'u'; the model was fitted to 'u', 'v'"
        ):
            each.predict(frame[["w", "v"]])


def test_weights_of_classes_that_are_dates_are_kept(tmp_path):
    X, y = make_blobs()
    dates = np.array(["2020-01-01", "2021-06-01"], "M8[ns]")
    settings = QUICK | {"steps": 1, "class_weight": {dates[0]: 3.0}}
    model = nd.ODENetClassifier(**settings).fit(X, dates[(y == "a").astype(int)])
    assert nd.load(model.save(tmp_path / "m.safetensors")).class_weight == {dates[0]: 3.0}


def test_the_dial_of_a_regression_does_not_stop_at_rounding():
    X, _ = make_blobs()
    model = nd.ODENetRegressor(**QUICK | {"max_steps": 12}).fit(X, X.sum(axis=1))
    dial = model.tune_tolerance(X, X.sum(axis=1))
    assert dial.tolerances[0] > 1e-6  # those that the budget of steps cannot reach are left out
    holds = dial.scores >= dial.scores[0] - 1e-3
    assert dial.chosen == dial.tolerances[np.flatnonzero(np.minimum.accumulate(holds))[-1]]


def test_labels_of_another_type_count_as_errors(fitted):
    X, _, model = fitted
    with pytest.warns(UserWarning, match="of type int, not str.*count as errors"):
        assert model.score(X, np.arange(len(X))) == 0
