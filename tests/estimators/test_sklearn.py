"""A dozen of scikit-learn's own checks; contracts/sklearn_checks.py runs and records them all."""

import pytest
from sklearn.utils import estimator_checks

import neurode as nd

SETTINGS = {
    "width": 2,
    "hidden": (2,),
    "solver": nd.HeunEuler(),
    "gradient": nd.Direct(),
    "max_steps": 32,
    "steps": 2,
}
BOTH = (
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
    "check_estimators_empty_data_messages",
    "check_complex_data",
    "check_n_features_in_after_fitting",
)
CLASSIFIER = (
    "check_classifiers_regression_target",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
)
REGRESSOR = ("check_supervised_y_no_nan",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "check"),
    [
        *((nd.ODENetClassifier, check) for check in (*BOTH, *CLASSIFIER)),
        *((nd.ODENetRegressor, check) for check in REGRESSOR),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_check(kind, check):
    getattr(estimator_checks, check)(kind.__name__, kind(**SETTINGS))
