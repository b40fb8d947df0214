"""ODEs with closed forms, and data made from them, for the tests of this folder."""

import numpy as np


def decay(t, y, p):
    return -p.k * y


def logistic(t, y, p):
    return p.r * y * (1 - y / p.K)


def logistic_solution(t, r, K, y0):
    return K / (1 + (K / y0 - 1) * np.exp(-r * t))


def chain(t, y, p):
    return [-p.a * y[0], p.a * y[0] - p.b * y[1]]


def chain_solution(t, a, b, x0, y0):
    x = x0 * np.exp(-a * t)
    return np.stack([x, y0 * np.exp(-b * t) + a * x0 * (np.exp(-a * t) - np.exp(-b * t)) / (b - a)])


def lotka_volterra(t, y, p):
    hare, lynx = y
    return [p.alpha * hare - p.beta * hare * lynx, p.delta * hare * lynx - p.gamma * lynx]


def rotation(t, y, p):
    return p.w * np.array([-1.0, 1.0]) * y[::-1]
