"""What the Python clients have in common: the answers they give, and how they tell what came of each step."""

import json
import sys

ANSWER = {"name": "Ada", "username": "ada", "email": "ada@example.org"}
SAMPLE = "Paris"

PATIENCE = 20
"""Seconds, for what is told without being asked for."""


def took(step: str, seconds: float) -> None:
    """For whoever reads the log: how long a step took."""
    print(f"{step}: {seconds:.2f} s", file=sys.stderr)


async def tell(version: str, steps: list[str], run) -> None:
    """Prints the protocol version and, by step, what came of it, as one JSON object."""
    told = {"version": version}
    for step in steps:
        try:
            told[step] = await run(step)
        except Exception as error:
            told[step] = f"FAILED {type(error).__name__}: {error}"
    print(json.dumps(told))
