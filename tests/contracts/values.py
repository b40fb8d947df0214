"""The laws of a value: what every solver, controller and gradient strategy is."""

import copy
import dataclasses
import pickle

import pytest


def check_value(make):
    """Equal to its like, hashable, picklable, frozen, and readable."""
    one, other = make(), make()
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    again = pickle.loads(pickle.dumps(one))
    assert type(again) is type(one)
    assert again == one
    assert hash(again) == hash(one)
    assert copy.copy(one) == copy.deepcopy(one) == one
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        one.anything = 1
    for field in dataclasses.fields(one):
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            setattr(one, field.name, None)
    assert type(one).__name__ in repr(one)
    assert type(one).__doc__


def check_different(table):
    """No two entries of a table are equal."""
    values = [make() for make in table.values()]
    for i, one in enumerate(values):
        assert all(one != other for other in values[i + 1 :]), one
