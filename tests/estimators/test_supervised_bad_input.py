"""What a classifier or regressor cannot use, it refuses in one line that says what to do."""

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import neurode as nd
from neurode import store
from neurode.data import DataError
from neurode.estimators import SettingError
from neurode.estimators.updates import warn_of_skipped
from neurode.training import ConfigMismatch, FitResult, TrainingError

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"hidden": ()}, "hidden must be positive whole numbers"),
        ({"activation": "relu"}, "activation must be one of 'elu'"),
        ({"augment": -1}, "augment must be a whole number of at least 0"),
        ({"tolerance": 0}, "tolerance must be above 0"),
        ({"predict_tolerance": 0.0}, "predict_tolerance must be above 0"),
        ({"solver": nd.Euler()}, "has no error estimate"),
        ({"solver": nd.Tsit5}, "solver must be None or an instance such as"),
        ({"gradient": "adjoint"}, "gradient must be None or an instance such as"),
        ({"early_stopping": "yes"}, "early_stopping must be one of True, False, 'auto'"),
        ({"validation_fraction": 1.0}, "must be between 0 and 1"),
        ({"class_weight": "even"}, 'class_weight must be None, "balanced" or a dict'),
        ({"class_weight": {5: 1.0}}, "class_weight names 5, which is no label of y"),
        ({"class_weight": {0: -1.0}}, "numbers of at least 0"),
        ({"augment": 10**9}, r"training would take about .* GiB .* lower augment=1000000000"),
        ({"shape": (1, 3)}, "too small for convolutions"),
        ({"shape": 3}, "shape must be"),
        ({"class_weight": {0: 0.0}}, "leaves only the class 1 with a weight above 0"),
        ({"hidden": None}, "hidden must be positive whole numbers .*got None"),
        ({"random_state": 1.5}, "random_state must be"),
    ],
)
def test_settings(settings, message):
    with pytest.raises((SettingError, DataError), match=message) as caught:
        nd.ODENetClassifier(**settings).fit(X, Y)
    assert "\n" not in str(caught.value)


HOLES = np.where(X > 2, np.nan, X)
HOLES[3, 1] = np.nan


@pytest.fixture(scope="module")
def small_images():
    images = np.random.default_rng(0).normal(size=(12, 8, 8))
    settings = {"channels": 4, "downsampling": "none", "tolerance": 1.0}
    return nd.ODENetClassifier(**SMALL | settings, steps=1).fit(images, Y)


FRAME = pd.DataFrame({"u": np.arange(12.0), "city": ["Rome", "Oslo"] * 6})


@pytest.mark.parametrize(
    ("x", "y", "how", "message"),
    [
        (HOLES, Y, {}, "X contains NaN in row 3, column 'x1'"),
        (X, np.ones(12), {}, "one class only .*at least 2 classes"),
        (X, np.linspace(0, 1, 12), {}, "Unknown label type"),
        (X, np.array([1, "a"] * 6, object), {}, r"of several types \(int, str\)"),
        (X, Y[:5], {}, "inconsistent numbers of samples"),
        (X, Y, {"sample_weight": -np.ones(12)}, "must not be negative"),
        (X, Y, {"sample_weight": np.zeros(12)}, "at least one non-zero"),
        (X, Y, {"sample_weight": Y}, "one class only"),
        (X[0], Y, {}, "Expected 2D array"),
        (np.zeros((12, 8, 8), complex), Y, {}, "images must be numbers"),
        (np.zeros((12, 8, 8, 1, 1)), Y, {}, r"must have shape \(n, h, w\) or"),
        (np.zeros((12, 3, 16, 16)), Y, {}, r"channels first.*np.moveaxis\(images, 1, -1\)"),
        ([np.zeros((8, 8))] * 11 + [np.zeros((9, 8))], Y, {}, r"\(8, 8\) in row 0, \(9, 8\) in"),
        ([[1, 2]] * 11 + [[1]], Y, {}, r"\(2,\) in row 0, \(1,\) in row 11"),
        (FRAME, Y, {}, "column 'city' holds 'Rome', which is no number.*get_dummies"),
        (FRAME.to_numpy(), Y, {}, "column 1 holds 'Rome'"),
        (X, ["a", None] * 6, {}, "y is missing in row 1 and 5 more"),
        (X, np.where(Y, np.nan, 1.0), {}, "y is missing in row 1"),
        (X, pd.Series(["a", "b"] * 5 + [pd.NA, "a"]), {}, "y is missing in row 10:"),
        (X, np.array(["2020-01-01", "NaT"] * 6, "M8[D]"), {}, "y is missing in row 1"),
    ],
)
def test_examples(x, y, how, message):
    with pytest.raises(ValueError, match=message) as caught:
        nd.ODENetClassifier().fit(x, y, **how)
    assert "\n" not in str(caught.value)


SMALL = {"width": 2, "hidden": (2,), "solver": nd.HeunEuler(), "gradient": nd.Direct()}


@pytest.fixture(scope="module")
def small():
    return nd.ODENetClassifier(**SMALL, steps=1, max_steps=32).fit(X, Y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 12, "y holds text such as 'a'.*ODENetClassifier"),
        ([None] * 12, "y is missing in row 0 and 11 more"),
        (pd.Series([1.0] * 7 + [pd.NA] + [2.0] * 4), "y is missing in row 7:"),
        (np.where(np.arange(24).reshape(12, 2) == 11, np.nan, 1.0), "y is missing in row 5:"),
        (np.arange(12).astype("M8[D]"), "of type date: a regressor needs real numbers"),
        (np.array([{}] * 12), "of type dict: a regressor needs real numbers"),
    ],
)
def test_targets_of_a_regression(y, message):
    with pytest.raises(DataError, match=message):
        nd.ODENetRegressor(**SMALL, steps=1).fit(X, y)


@pytest.mark.parametrize(
    "labels",
    [[date(2020, 1, 1), date(2021, 1, 1)], [Decimal(1), Decimal(2)]],
    ids=["date", "Decimal"],
)
def test_labels_of_other_types_are_named(labels):
    kind = type(labels[0]).__name__
    with pytest.raises(DataError, match=f"labels of type {kind}, such as.*make them"):
        nd.ODENetClassifier(**SMALL, steps=1).fit(X, np.array(labels * 6, object))


def test_the_dial_checks_targets(small):
    for y, message in (
        (["a"] * 12, "not in training: 'a'.*of type str, not int"),
        (np.where(Y, np.nan, 0.0), "y is missing in row 1 and 5 more"),
        (np.stack([Y, Y], 1), r"one label for each example, got shape \(12, 2\)"),
        (Y[:5], "X has 12 examples and y 5"),
    ):
        with pytest.raises(DataError, match=message):
            small.tune_tolerance(X, y, (1e-2,))
    with pytest.raises(SettingError, match="tolerances must be positive numbers, got 'x'"):
        small.tune_tolerance(X, Y, "x")
    pair = nd.ODENetRegressor(**SMALL, steps=1).fit(X, X[:, :2])
    with pytest.raises(DataError, match="y has 1 columns, but 2 were fitted"):
        pair.tune_tolerance(X, X[:, 0], (1e-2,))


def test_names_that_contradict_each_other():
    with pytest.raises(DataError, match="names are 'p', 'q' but the frame's columns 'u', 'city'"):
        nd.ODENetClassifier(**SMALL).fit(FRAME.assign(city=0.0), Y, names=["p", "q"])
    with pytest.raises(DataError, match="names must differ"):
        nd.ODENetClassifier(**SMALL).fit(X, Y, names=["p", "q", "p"])


def test_one_image_is_told_how_to_be_several(small_images):
    with pytest.raises(DataError, match=r"one image of 8 x 8 .*image\[None\]"):
        small_images.predict(np.zeros((8, 8)))


def test_labels_unseen_in_training(small):
    with pytest.warns(UserWarning, match="not in training: '5'.*count as errors"):
        assert small.score(X[:3], [5, 5, 5]) == 0
    with pytest.raises(DataError, match="not in training: '5'.*leave those examples out"):
        small.tune_tolerance(X[:3], [5, 0, 1])


def test_other_columns_and_bad_tolerances(small):
    with pytest.raises(DataError, match="2 features, but ODENetClassifier is expecting 3"):
        small.predict(X[:, :2])
    with pytest.raises(SettingError, match="tolerances must be positive"):
        small.tune_tolerance(X, Y, tolerances=(0, 1))
    with pytest.raises(SettingError, match="depths must increase"):
        small.features(X, depths=(1, 0))


def test_a_solve_that_fails_names_its_row(small):
    with pytest.raises(nd.SolveError, match=r"row 0 and 11 others could not be solved .*max_steps"):
        small._predict_rows(X, 1e-12)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_training_that_cannot_solve_says_at_which_step(steps):
    """However few the updates: that none was made is an error too."""
    model = nd.ODENetClassifier(**SMALL, steps=steps, max_steps=1, tolerance=1e-9)
    message = rf"at step {min(steps, 21)}: .* within max_steps=1 .*result\.model.*allow more"
    with pytest.raises(TrainingError, match=message) as caught:
        model.fit(X, Y)
    assert "optax" not in str(caught.value)


def test_many_updates_left_out_are_warned_of():
    history = {"loss": np.where(np.arange(20) % 5 == 0, np.nan, 1.0)}
    result = FitResult(None, history, 20, interrupted=False, seconds=0.0)
    with pytest.warns(ConvergenceWarning, match="4 of 20 updates were left out.*max_steps=3"):
        warn_of_skipped(result, 3)


def test_a_run_with_other_settings_is_told_by_their_names(tmp_path):
    fit = lambda **changed: nd.ODENetClassifier(**SMALL | {"steps": 1} | changed).fit(  # noqa: E731
        X, Y, run=tmp_path
    )
    fit()
    fit(progress=False, predict_tolerance=1e-2)  # of no account to a fit
    changed = {"augment": 1, "class_weight": "balanced", "hidden": (3,), "random_state": 7}
    with pytest.raises(ConfigMismatch) as caught:
        fit(**changed)
    for name in changed:
        assert f"  {name}: " in str(caught.value)


def test_files_of_others(small, tmp_path):
    path = small.save(tmp_path / "m.safetensors")
    with pytest.raises(store.ArchiveMismatch, match="needs no field"):
        nd.load(path, field=print)
    metadata = store.read_metadata(path) | {"model_version": 99}
    store.save(tmp_path / "new.safetensors", {}, metadata)
    with pytest.raises(store.ArchiveError, match="format 99.*upgrade neurode"):
        nd.load(tmp_path / "new.safetensors")
    assert json.dumps(metadata["settings"])  # plain JSON, nothing to run
