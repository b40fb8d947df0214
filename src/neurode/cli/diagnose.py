"""`neurode diagnose`: which solver and which gradient suit an ODE."""

from pathlib import Path
from typing import Annotated

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake
from neurode.cli.field import blaming, load_field

Place = Annotated[
    str,
    typer.Option(
        "--field",
        metavar="FILE.py:NAME",
        help="The ODE: a function f(t, y, …) in a Python file. This RUNS that file.",
    ),
]
State = Annotated[
    str, typer.Option("--y0", metavar="A,B,…", help="The initial state; one number is a scalar.")
]
Times = Annotated[
    str, typer.Option("--times", metavar="T0,…,T1", help="Save times, as in 0,10 or 0:10:0.5.")
]
Arguments = Annotated[
    str | None, typer.Option("--args", metavar="A,B,…", help="Further arguments of f: numbers.")
]
Solver = Annotated[str, typer.Option("--solver", metavar="NAME", help="The one in use now.")]
Relative = Annotated[float, typer.Option("--rtol", metavar="X", help="Relative tolerance.")]
Absolute = Annotated[float, typer.Option("--atol", metavar="X", help="Absolute tolerance.")]
Budget = Annotated[int, typer.Option("--max-steps", metavar="N", min=1, help="Budget of steps.")]
Gradients = Annotated[
    bool, typer.Option("--gradients/--no-gradients", help="Measure the gradient strategies too.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write report.html in this folder.")
]


def diagnose(
    field: Place,
    y0: State,
    times: Times,
    args: Arguments = None,
    solver: Solver = "Tsit5",
    rtol: Relative = 1e-4,
    atol: Absolute = 1e-6,
    max_steps: Budget = 4096,
    gradients: Gradients = True,
    out: Out = None,
) -> None:
    """Run solvers and gradient strategies on an ODE and say what suits it.

    Names stiffness, a backward solve that is unstable, jumps of f, a tolerance that the precision
    cannot resolve, a blow-up, a wasted budget. About a minute, most of it compiling.

    \b
    Examples:
      neurode diagnose --field model.py:f --y0 1,0 --times 0,10
      neurode diagnose --field model.py:f --y0 1,0 --times 0,10 --out page/
    """
    if out is not None:
        options.check_folder(out)
    state = parse_values(y0, "--y0")
    ts = options.parse_times(times)
    if len(ts) < 2:
        raise Mistake(f"--times {times!r} must name at least two times, as in --times 0,10")
    extra = () if args is None else tuple(parse_values(args, "--args"))
    function = load_field(field)
    assert function is not None
    import jax.numpy as jnp
    import rich

    import neurode as nd

    method = getattr(nd, solver, None)
    if not (isinstance(method, type) and issubclass(method, _solver_kind())):
        raise Mistake(f"--solver {solver!r} is no solver; write --solver Tsit5, say")
    with blaming(field):
        found = nd.diagnose(
            function,
            jnp.asarray(state[0] if len(state) == 1 else state),
            ts,
            extra,
            solver=method(),
            rtol=rtol,
            atol=atol,
            max_steps=max_steps,
            gradients=None if gradients else (),
        )
    rich.print(found)
    if out is not None:
        print(f"report: {found.write_report(out).resolve()}")


def parse_values(text: str, flag: str) -> list[float]:
    """Read "1,0.5" as numbers.

    Raises:
        Mistake: a part is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise Mistake(f"{flag} {text!r} must be numbers with commas, as in {flag} 1,0.5") from None


def _solver_kind() -> type:
    from neurode.solvers.solver import Solver

    return Solver
