"""Files and functions stay short enough to be read in one go."""

import ast

from house.rooms import FILES, ROOT, functions, short

FILE_LINES = 400
FUNCTION_LINES = 60

# "loops/joint.py::integrate": the lines it may have instead. An entry needs a comment: why.
LONGER_FUNCTIONS: dict[str, int] = {}


def length(function) -> int:
    """Lines of a function, its decorators and its own docstring not counted."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def long_functions() -> dict[str, int]:
    """Every function above the limit, with its length."""
    return {
        f"{short(path)}::{function.name}": length(function)
        for path in FILES
        for function in functions(path)
        if length(function) > FUNCTION_LINES
    }


def test_length_counts_code_and_leaves_out_the_docstring():
    code = '@decorator\ndef f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    return x\n'
    [function] = ast.parse(code).body
    assert length(function) == 4


def test_files_are_short():
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {path: count for path, count in lines.items() if count > FILE_LINES}


def test_functions_are_short():
    found = long_functions()
    assert not {name: n for name, n in found.items() if n > LONGER_FUNCTIONS.get(name, 0)}


def test_exceptions_are_still_needed():
    assert not LONGER_FUNCTIONS.keys() - long_functions().keys()


def test_nothing_is_called_utils():
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "misc")]
