"""`neurode`: the commands, and the one place that turns an error into a line and an exit code."""

import _thread
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neurode.cli import (
    demo,
    diagnose,
    fit,
    fit_density,
    fit_events,
    fit_supervised,
    forecast,
    info,
    predict,
    reproduce,
    sample,
    series,
)
from neurode.cli.errors import INTERRUPTED, Interrupted, explain, join_lines

_DEBUG = "--debug"


class Commands(TyperGroup):
    """All commands; a user's mistake is one line, and `--debug` may stand anywhere."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **settings: Any) -> Any:
        """Run a command and exit with its code, as any typer group does."""
        words = list(sys.argv[1:] if args is None else args)
        settings["standalone_mode"] = False
        try:
            with _warning_in_lines():
                code = super().main([w for w in words if w != _DEBUG], *positional, **settings)
        except Exception as error:
            if _DEBUG in words:
                raise
            line, code = explain(error)
            print(line, file=sys.stderr)
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer would make an exit code of Ctrl-C and drop what it has to say."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(str(error)) from error


@contextmanager
def _warning_in_lines() -> Iterator[None]:
    """A warning is a line, too, and needs no line of our source code to go with it."""

    def show(message: Any, *place: Any, **details: Any) -> None:
        print(f"warning: {join_lines(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


app = typer.Typer(
    cls=Commands,
    help="Neural ordinary differential equations: fit them to data, and look at what came out.",
    epilog="Begin with: neurode demo",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo.demo)
fit.app.command("density")(fit_density.density)
fit.app.command("classifier")(fit_supervised.classifier)
fit.app.command("regressor")(fit_supervised.regressor)
fit.app.command("events")(fit_events.events)
fit.app.command("series")(series.series)
app.add_typer(fit.app, name="fit")
app.command("predict")(predict.predict)
app.command("sample")(sample.sample)
app.command("score")(sample.score)
app.command("forecast")(forecast.forecast)
app.command("reproduce")(reproduce.reproduce)
app.command("diagnose")(diagnose.diagnose)
app.command("info")(info.info)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from neurode import __version__

        print(f"neurode {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _open(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="With any command: show the traceback of an error.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def interrupt_again(unraisable: Any) -> None:
    """Repeat a Ctrl-C that fell into one of JAX's garbage collection callbacks and was dropped.

    Args:
        unraisable: as `sys.unraisablehook` takes it.
    """
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def main() -> None:
    """Run the command line with the arguments of the process."""
    sys.unraisablehook = interrupt_again
    try:
        app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            # A compilation that was cut short makes XLA crash when Python takes it down, and the
            # shell would see that instead of 130. All files are closed by now.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
