"""The values of a window's fields, and the alerts that verdicts make."""

from dataclasses import dataclass
from fractions import Fraction

from .definition import Event


@dataclass
class Sample:
    """One event in a window."""

    event: Event
    sequence: int


def aggregate(function, quantity, samples, decimals):
    """The value of one field, rounded to a float once, at the end; None is no data."""
    if quantity is None:
        return len(samples)
    carrying = [sample for sample in samples if quantity in sample.event.readings]
    values = [sample.event.readings[quantity] for sample in carrying]
    if function == "count":
        return len(values)
    if not values:
        return None
    scale = 10 ** decimals[quantity]
    match function:
        case "sum":
            return float(Fraction(sum(values), scale))
        case "mean":
            return float(Fraction(sum(values), len(values) * scale))
        case "min":
            return float(Fraction(min(values), scale))
        case "max":
            return float(Fraction(max(values), scale))
        case "p95":
            # The value of rank floor(0.95 (n - 1)).
            return float(Fraction(sorted(values)[95 * (len(values) - 1) // 100], scale))
        case "last":
            order = lambda s: (s.event.at, s.event.sensor, s.event.counter or 0, s.sequence)  # noqa: E731
            return float(Fraction(max(carrying, key=order).event.readings[quantity], scale))
    raise NotImplementedError(function)


def episodes(verdicts, rule, stale_after, clock):
    """Episodes (began, raised, resolved or None) of verdicts {time: (met, cleared)}."""
    done, state, since, raised, ended, last = [], "inactive", None, None, None, None

    def pass_to(to):
        nonlocal state, raised
        if state == "pending":
            # A verdict stands until just before it is stale.
            if since + rule.hold < last + stale_after and since + rule.hold <= to:
                state, raised = "firing", since + rule.hold
            elif last + stale_after < to:
                state = "inactive"
        elif state == "firing" and ended is not None and ended + rule.keep <= to:
            done.append((since, raised, ended + rule.keep))
            state = "inactive"

    for at in sorted(verdicts):
        met, cleared = verdicts[at]
        pass_to(at)
        last = at
        if state == "firing":
            if cleared:
                ended = at if ended is None else ended
            elif cleared is False:
                ended = None
        elif met:
            if state == "inactive":
                state, since, ended = "pending", at, None
            if since + rule.hold <= at:
                state, raised = "firing", since + rule.hold
        else:
            state = "inactive"
        if state == "firing":
            pass_to(at)
    pass_to(clock)
    if state == "firing":
        done.append((since, raised, None))
    return done
