"""Every solver, by name: a new one is one line here and inherits every law."""

import neurode as nd

SOLVERS = {
    "Euler": nd.Euler(),
    "Midpoint": nd.Midpoint(),
    "Heun": nd.Heun(),
    "Ralston": nd.Ralston(),
    "HeunEuler": nd.HeunEuler(),
    "RK4": nd.RK4(),
    "RK38": nd.RK38(),
    "Bosh3": nd.Bosh3(),
    "Fehlberg45": nd.Fehlberg45(),
    "CashKarp": nd.CashKarp(),
    "Dopri5": nd.Dopri5(),
    "Tsit5": nd.Tsit5(),
    "Dopri8": nd.Dopri8(),
}
ADAPTIVE = {name: solver for name, solver in SOLVERS.items() if solver.error_order is not None}
