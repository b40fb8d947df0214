"""Every solver, controller and gradient strategy: a new one is one line here.

Each inherits the laws of the tests beside this file.
"""

import neurode as nd

SOLVERS = {
    "Adams": nd.Adams,
    "AdamsBashforth1": lambda: nd.AdamsBashforth(1),
    "AdamsBashforth4": lambda: nd.AdamsBashforth(4),
    "AdamsMoulton5": lambda: nd.AdamsMoulton(5),
    "AsynchronousLeapfrog": nd.AsynchronousLeapfrog,
    "AutoSwitch": lambda: nd.AutoSwitch(),
    "BDF": nd.BDF,
    "BandedKvaerno3": lambda: nd.Kvaerno3(nd.Banded(1, 1)),
    "Bosh3": nd.Bosh3,
    "CashKarp": nd.CashKarp,
    "Dopri5": nd.Dopri5,
    "Dopri8": nd.Dopri8,
    "Euler": nd.Euler,
    "Fehlberg45": nd.Fehlberg45,
    "ForestRuth": nd.ForestRuth,
    "Heun": nd.Heun,
    "HeunEuler": nd.HeunEuler,
    "KenCarp4": nd.KenCarp4,
    "Kvaerno3": nd.Kvaerno3,
    "Kvaerno5": nd.Kvaerno5,
    "Leapfrog": nd.Leapfrog,
    "MatrixFreeRodas5P": lambda: nd.Rodas5P(nd.MatrixFree(rtol=1e-14)),
    "Midpoint": nd.Midpoint,
    "RK38": nd.RK38,
    "RK4": nd.RK4,
    "Radau": nd.Radau,
    "Ralston": nd.Ralston,
    "ReversibleRK": lambda: nd.ReversibleRK(nd.Bosh3()),
    "Rodas5P": nd.Rodas5P,
    "Rosenbrock23": nd.Rosenbrock23,
    "Ruth3": nd.Ruth3,
    "Tsit5": nd.Tsit5,
    "Yoshida6": nd.Yoshida6,
}

CONTROLLERS = {
    "ConstantSteps": lambda: nd.ConstantSteps(8),
    "IController": lambda: nd.IController(),
    "IController with limits": lambda: nd.IController(
        first_step=0.1, min_step=1e-6, max_step=0.3, step_at=[0.2], jump_at=(0.4, 0.6)
    ),
    "PIController": lambda: nd.PIController(safety=0.8),
    "PIDController": lambda: nd.PIDController(0.1, 0.6, 0.05),
    "StepTo": lambda: nd.StepTo([0.25, 0.5, 0.75]),
}

GRADIENTS = {
    "Backsolve": lambda: nd.Backsolve(),
    "Backsolve with options": lambda: nd.Backsolve(nd.Tsit5(), 1e-7, 1e-7, nd.max_norm),
    "Checkpointed": lambda: nd.Checkpointed(),
    "Checkpointed in little memory": lambda: nd.Checkpointed(max_memory=64),
    "Direct": lambda: nd.Direct(),
    "Interpolated": lambda: nd.Interpolated(),
    "Interpolated in windows": lambda: nd.Interpolated(windows=4),
}
