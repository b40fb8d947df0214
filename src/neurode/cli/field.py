"""The one way in which the command line runs code it is given: `--field FILE.py:NAME`."""

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from neurode.cli.errors import Interrupted, Mistake, is_mistake
from neurode.cli.options import parse_place


def load_field(text: str | None) -> Callable | None:
    """Run the file of "FILE.py:NAME", saying so on standard error, and return what NAME is.

    Args:
        text: what the user wrote, or None.

    Raises:
        Mistake: there is no such file or name, the file fails, or NAME cannot be called.
    """
    if text is None:
        return None
    path, name = parse_place(text)
    print(f"running the code of {path}", file=sys.stderr)
    spec = importlib.util.spec_from_file_location(f"neurode_field_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # it may import its neighbours
    try:
        with blaming(text):
            spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    field = getattr(module, name, None)
    if not callable(field):
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise Mistake(
            f"--field {text!r}: {path.name} defines no function {name!r}; it has "
            f"{', '.join(known) or 'none at all'}"
        )
    return field


@contextmanager
def blaming(text: str | None) -> Iterator[None]:
    """Turn an error that comes out of the user's own file into a `Mistake` with file and line.

    Args:
        text: what --field says, or None if nothing of the user's is run.
    """
    with nullcontext() if text is None else _blaming(parse_place(text)[0]):
        yield


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    try:
        yield
    except (Interrupted, Mistake):
        raise
    except Exception as error:
        line = None if is_mistake(error) else _find_line(error, path)
        if line is None:
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise Mistake(f"{path.name}, line {line}: {type(error).__name__}: {reason}") from error


def _find_line(error: Any, path: Path) -> int | None:
    """The last line of the file that an error went through, or None if it did not."""
    file = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename and _same(error.filename, file):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if _same(frame.filename, file)]
    return lines[-1] if lines else None


def _same(name: str, file: str) -> bool:
    return str(Path(name).resolve()) == file
