"""What a process of a training does with the run that it was handed; a module, so that a new interpreter finds it."""

from __future__ import annotations

import tallystick


def log_twice(run: tallystick.Trial, number: int) -> None:
    """Log the number at two steps."""
    run.log(step=number, x=float(number))
    run.log(step=number + 100, x=float(number))
