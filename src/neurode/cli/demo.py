"""`neurode demo`: models fitted to real data, and a report to look at."""

from pathlib import Path
from typing import Annotated

import typer

from neurode.cli.errors import interruptible
from neurode.cli.options import Quiet, Seed, check_folder

_DEFAULT_FOLDER = Path("neurode-demo")


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the report and its figures.")
    ] = _DEFAULT_FOLDER,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit models to data that come with neurode, and write a report.

    Everything happens on this machine, in about two minutes; nothing is downloaded.

    \b
    Example:
      neurode demo --out lynx/
    """
    from neurode.demo import Stages, run_demo

    flags = [f"--out {out}"] * (out != _DEFAULT_FOLDER) + [f"--seed {seed}"] * (seed != 0)
    command = " ".join(["neurode demo", *flags])
    with interruptible(f"no report was written; `{command}` starts again"):
        report = run_demo(
            check_folder(out), seed=seed, stages=Stages(shown=not quiet), command=command
        )
    print(f"report: {report.resolve()}")
