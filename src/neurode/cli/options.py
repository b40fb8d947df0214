"""Options that several commands share, and the small notations of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from neurode.cli.errors import Mistake

_MOST_TIMES = 1_000_000

Time = Annotated[
    str, typer.Option("--time", metavar="COLUMN", help="Column of the times (numbers).")
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,…",
        help="Columns of the observed variables. All but --time and --id if left out.",
    ),
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column that tells several series apart."),
]
Sort = Annotated[
    bool, typer.Option("--sort", help="Sort the rows by time; else unsorted times are refused.")
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="Of the file, if it is not UTF-8.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter", metavar="SIGN", help="Between cells. Comma, semicolon and tab are found out."
    ),
]
Decimal = Annotated[
    str, typer.Option("--decimal", metavar="SIGN", help='Decimal mark: "." or ",".')
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", min=0, help="Of everything random; same seed, same run."),
]
Field = Annotated[
    str | None,
    typer.Option(
        "--field",
        metavar="FILE.py:NAME",
        help="The ODE you wrote: a function f(t, y, …) in a Python file. "
        "This RUNS that file; nothing else here runs code it is given.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on in the run folder, or start anew.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")]


def parse_names(text: str | None) -> list[str] | None:
    """Read "a,b" as ["a", "b"]; None stays None.

    Raises:
        Mistake: a name is empty.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise Mistake(f"--columns {text!r} holds an empty name; write names with commas: a,b")
    return names


def parse_widths(text: str | None) -> list[int] | None:
    """Read "32,32" as [32, 32]; None stays None.

    Raises:
        Mistake: a part is not a positive whole number.
    """
    if text is None:
        return None
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isdecimal() and int(width) > 0 for width in widths):
        raise Mistake(f"--hidden {text!r} must be positive whole numbers, as in --hidden 32,32")
    return [int(width) for width in widths]


def parse_numbers(text: str | None, flag: str) -> dict[str, float]:
    """Read "alpha=0.5,beta=0.02" as a dict; None is empty.

    Args:
        text: what the user wrote.
        flag: the option's name, for messages.

    Raises:
        Mistake: a part is not NAME=NUMBER, or a name comes twice.
    """
    numbers: dict[str, float] = {}
    for part in [] if text is None else text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not (name.isidentifier() and equals and _is_number(number)):
            raise Mistake(f"{flag}: {part!r} is not NAME=NUMBER; write {flag} alpha=0.5,beta=0.02")
        if name in numbers:
            raise Mistake(f"{flag}: {name!r} is given twice; give it once")
        numbers[name] = float(number)
    return numbers


def parse_parameters(text: str | None) -> dict[str, float | None]:
    """Read "alpha=0.5,beta" as a dict, with None for a parameter that has no start value.

    Raises:
        Mistake: a part is neither NAME nor NAME=NUMBER, or a name comes twice.
    """
    numbers: dict[str, float | None] = {}
    for part in [] if text is None else text.split(","):
        name, value = part.strip(), None
        if not name.isidentifier():
            [(name, value)] = parse_numbers(part, "--parameters").items()
        if name in numbers:
            raise Mistake(f"--parameters: {name!r} is given twice; give it once")
        numbers[name] = value
    return numbers


def parse_times(text: str) -> list[float]:
    """Read times: "1900,1905.5", "1900:1930" (steps of 1) or "1900:1930:0.5", or a mix.

    The end of a range is included if a step falls on it.

    Raises:
        Mistake: a part is neither, or the times do not increase.
    """
    times: list[float] = []
    for part in text.split(","):
        times += _parse_range(part.strip())
        if len(times) > _MOST_TIMES:
            raise Mistake(
                f"--times {text!r} are more than {_MOST_TIMES:,} times; take larger steps"
            )
    for earlier, later in zip(times, times[1:], strict=False):
        if later <= earlier:
            raise Mistake(f"--times {text!r}: {later:g} comes after {earlier:g}; let them increase")
    return times


def parse_state(text: str | None, names: Sequence[str]) -> list[float] | None:
    """Read "hare=30,lynx=4" as the values of `names`, in their order; None stays None.

    Raises:
        Mistake: a part is not NAME=NUMBER, or the names are not these.
    """
    if text is None:
        return None
    numbers = parse_numbers(text, "--start")
    if set(numbers) != set(names):
        raise Mistake(
            f"--start {text!r} must give each of {', '.join(names)} one value, as in --start "
            + ",".join(f"{name}=1" for name in names)
        )
    return [numbers[name] for name in names]


def parse_place(text: str) -> tuple[Path, str]:
    """Read "FILE.py:NAME" as a path and a name.

    Raises:
        Mistake: it is not of that form, or there is no such file.
    """
    file, colon, name = text.rpartition(":")
    if not (colon and file.endswith(".py") and name.isidentifier()):
        raise Mistake(f"--field {text!r} is not FILE.py:NAME; write --field model.py:f")
    if not Path(file).is_file():
        raise Mistake(f"--field {text!r}: no file {file}; check the name and the folder")
    return Path(file), name


def check_folder(folder: Path) -> Path:
    """Return a folder that is there or can be made, going by its name.

    Raises:
        Mistake: it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise Mistake(f"--out {folder} is a file; name a folder")
    return folder


def _parse_range(part: str) -> list[float]:
    pieces = part.split(":")
    example = "write a number, START:STOP or START:STOP:STEP, as in --times 1900:1930:0.5"
    if len(pieces) > 3 or not all(_is_number(piece) for piece in pieces):
        raise Mistake(f"--times: {part!r} is no time; {example}")
    numbers = [float(piece) for piece in pieces]
    if len(numbers) == 1:
        return numbers
    start, stop, step = numbers if len(numbers) == 3 else (*numbers, 1.0)
    if step <= 0 or stop < start:
        raise Mistake(f"--times: {part!r} runs backwards or stands still; {example}")
    # A hair more than the quotient, or 0:1:0.1 would end at 0.9.
    count = int((stop - start) / step * (1 + 1e-12) + 1e-9) + 1
    if count > _MOST_TIMES:
        raise Mistake(f"--times: {part!r} is {count:,} times; take larger steps")
    return [min(start + i * step, stop) for i in range(count)]


def _is_number(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return value - value == 0 and "_" not in text  # neither infinite nor NaN
