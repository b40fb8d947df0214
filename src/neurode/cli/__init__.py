"""The command line: parse, call the library, print; one file per command."""

__all__: list[str] = []
