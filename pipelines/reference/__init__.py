"""Windows, watermarks, alerts and accounts, written a second time.

The programs `*/expected/compute.py` say what their pipeline is and leave the rest to this package.
It follows the written semantics and nothing else: no code is shared with Sereno, no
`pipeline.toml` is read, and it does the plain thing everywhere. A window keeps all of its samples
and is computed from them each time; numbers are integers and fractions; one loop walks through
messages and seconds. Standard library only.

What it does not know, because no shipped pipeline uses it: changes while running, calendar
windows, feeds without times of their own, `first`, `stddev`, quantiles but `p95`.
"""

from .definition import (  # noqa: F401
    DAY, HOUR, MINUTE, SECOND, Event, Feed, Ignored, Pipeline, Refused, Rule, Window,
    above, below, either, equal, negated, quotient,
)
from .files import main  # noqa: F401
from .payload import best_gateway, document, instant, readings  # noqa: F401
