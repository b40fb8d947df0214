"""`explain` says how many lanes failed, which, and why."""

import functools

import jax
import jax.numpy as jnp
import pytest

import neurode as nd
from compiling import jit


@functools.cache
def solves():
    one = functools.partial(
        nd.solve, lambda t, y: y**2, ts=jnp.array([0.0, 2.0]), solver=nd.HeunEuler(), max_steps=400
    )
    return jit(jax.vmap(lambda y0: one(y0)))


def said(capsys, y0):
    nd.explain(solves()(jnp.asarray(y0)))
    return capsys.readouterr().out


def test_lanes_that_failed(capsys):
    text = said(capsys, [0.1, 1.0, jnp.nan, -1.0])
    assert "2 of 4 solves failed" in text
    assert "INVALID_INPUT (1)" in text
    assert "lane 2 stopped at t=0 after 0 steps" in text
    assert "lane 1 stopped at t=" in text
    assert "lane 0 " not in text


def test_all_failed(capsys):
    text = said(capsys, [jnp.nan] * 7)
    assert "7 of 7 solves failed" in text
    assert "and 2 more" in text


def test_none_failed(capsys):
    assert said(capsys, [0.1, 0.2]) == "all 2 solves succeeded\n"


@pytest.mark.parametrize(("y0", "word"), [(1.0, "MAX_STEPS"), (0.1, "the solve succeeded")])
def test_a_single_solve(capsys, y0, word):
    sol = nd.solve(
        lambda t, y: y**2, y0, [0.0, 2.0], solver=nd.HeunEuler(), max_steps=400, throw=False
    )
    nd.explain(sol)
    assert word in capsys.readouterr().out
