"""Figures as PNG files of bounded size, written whole or not at all."""

import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from neurode.report.style import apply_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def encode_png(figure: "Figure", limit: int = 300_000) -> bytes:
    """Return the figure as a PNG of less than `limit` bytes, as sharp as that allows.

    Args:
        figure: what a `draw_…` function returned, or any matplotlib figure.
        limit: in bytes.

    Raises:
        ValueError: it does not fit even at 50 dots per inch.
    """
    with apply_style():
        for dpi in (180, 160, 144, 120, 100, 80, 65, 50):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=dpi)
            if buffer.tell() < limit:
                return buffer.getvalue()
    raise ValueError(
        f"the figure takes {buffer.tell()} bytes at 50 dpi, more than limit={limit}; "
        "draw fewer points or a smaller figure"
    )


def save_png(figure: "Figure", path: str | os.PathLike, limit: int = 300_000) -> Path:
    """Write the figure as a PNG of less than `limit` bytes.

    Args:
        figure: what a `draw_…` function returned, or any matplotlib figure.
        path: the file; its folder must exist.
        limit: in bytes.

    Returns:
        The path.

    Raises:
        ValueError: it does not fit.
        OSError: the file cannot be written; an older file of that name is then still there.
    """
    return write_whole(Path(path), encode_png(figure, limit))


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all: beside the target first, then rename.

    Args:
        path: the file; its folder must exist.
        content: what it shall hold.

    Returns:
        The path.

    Raises:
        OSError: it cannot be written; an older file of that name is then still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
