"""What a person sees when a command cannot do what was asked: one line, with what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from typer.exceptions import TyperException

MISTAKE, BUG, INTERRUPTED = 2, 1, 130

# The library speaks Python, the command line speaks flags.
_AS_FLAGS = [
    (r"pass field=f, the function it was saved with", "pass --field FILE.py:FUNCTION again"),
    (r"resume=False", "--no-resume"),
    (r"pass download=True, or fetch", "fetch"),
    (r"and run again with download=True", "and fetch it again"),
    (r"\bdata=DIR", "--data DIR"),
    (r"transform='log'", "--log"),
    (r"\bevents='([^']*)'", r"--events \1"),
    (r"a PoissonProcess learns from events alone", "`neurode fit events` learns from events alone"),
    (r"base='student'", "--heavy-tails"),
    (r"\bsort=True", "--sort"),
    (r"\bcolumns=\[(['\"])(.*?)\1\]", r"--columns \2"),
    (r"\bcolumns=\[…\]", "--columns a,b"),
    (r"\b(columns|id|delimiter|time)=…", r"--\1 …"),
    (r"\b(encoding|delimiter|decimal)=('[^']*')", r"--\1 \2"),
]


class Mistake(Exception):
    """Something the user can put right; the message is one line that says what and how."""


class Interrupted(Exception):
    """The command was stopped by Ctrl-C; the message says how to go on."""


@contextmanager
def interruptible(hint: str) -> Iterator[None]:
    """Turn a Ctrl-C inside into `Interrupted` with a hint on how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(hint) from None


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line to print for an error, and the exit code.

    Args:
        error: what a command raised.

    Returns:
        One line without its newline; 2 for what the user can put right, 130 after Ctrl-C, 1 for
        a fault of the program.
    """
    if isinstance(error, (KeyboardInterrupt, Interrupted)):
        return ": ".join(filter(None, ["interrupted", str(error)])), INTERRUPTED
    if isinstance(error, TyperException):
        return f"error: {_explain_usage(error)}", MISTAKE
    if is_mistake(error):
        return f"error: {_speak_flags(join_lines(_message(error)))}", MISTAKE
    what = ": ".join(filter(None, [type(error).__name__, join_lines(str(error))]))
    return f"error: unexpected {what} (run again with --debug for the traceback)", BUG


def is_mistake(error: BaseException) -> bool:
    """Tell whether an error is one the user can put right, rather than a fault of the program."""
    if isinstance(error, (Mistake, OSError)):
        return True
    if isinstance(error, ImportError):  # a missing extra, which says how to install it
        return "pip install" in str(error)
    # Opened only now, so that `neurode --help` does not wait for them.
    from neurode.core.status import SolveError
    from neurode.data import DataError
    from neurode.estimators import SettingError
    from neurode.reproduce import ExperimentError
    from neurode.store import ArchiveError
    from neurode.training import ConfigMismatch, RunLocked, TrainingError

    theirs = (DataError, ExperimentError, SettingError)  # what they gave
    found = (ArchiveError, ConfigMismatch, RunLocked, SolveError, TrainingError)  # what happened
    return isinstance(error, theirs + found)


def join_lines(message: str) -> str:
    """Return a message of several lines as one: "a:\\n  b\\n  c" becomes "a: b; c"."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return "; ".join(lines).replace(":; ", ": ")


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and str(error) != error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _speak_flags(message: str) -> str:
    for python, flag in _AS_FLAGS:
        message = re.sub(python, flag, message)
    return message


def _explain_usage(error: TyperException) -> str:
    """Return what was wrong with the arguments, and where to read how they are written."""
    message = join_lines(error.format_message()).rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "neurode"
    return f"{message}; see {command} --help"
