"""What `solve` accepts, and what it says when it does not."""

from .events import hoist_events, read_events
from .given import (
    as_arrays,
    check_args,
    check_options,
    hoist_field,
    hoist_norm,
    hoist_save,
    read_controller,
    read_probe,
    read_resume,
    read_state,
    read_times,
    read_tolerances,
)

__all__ = [
    "as_arrays",
    "check_args",
    "check_options",
    "hoist_events",
    "hoist_field",
    "hoist_norm",
    "hoist_save",
    "read_controller",
    "read_events",
    "read_probe",
    "read_resume",
    "read_state",
    "read_times",
    "read_tolerances",
]
