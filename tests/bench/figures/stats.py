"""The few statistics that the tables need. Pure; the bootstrap's seed is fixed, so that a table can be had again."""
import math
import random


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def mean(values):
    return sum(values) / len(values)


def interval(values, statistic=median, rounds=2000):
    """95 % percentile bootstrap of a statistic of the values; None for fewer than three."""
    if len(values) < 3:
        return None
    rng = random.Random(1)
    found = sorted(statistic(rng.choices(values, k=len(values))) for _ in range(rounds))
    return found[int(rounds * 0.025)], found[int(rounds * 0.975)]


def with_interval(values, digits=3):
    """Median and 95 % interval, as text."""
    low_high = interval(values)
    return f"{median(values):.{digits}f}" + (f" [{low_high[0]:.{digits}f}, {low_high[1]:.{digits}f}]" if low_high else "")


def share_interval(hits, total):
    """Wilson's 95 % interval of a share."""
    if total == 0:
        return None
    z, p = 1.96, hits / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def kaplan_meier_median(lives):
    """Median survival of (seconds, died); None when fewer than half died."""
    at_risk, alive = len(lives), 1.0
    for seconds, died in sorted(lives, key=lambda life: (life[0], not life[1])):
        if died:
            alive *= 1 - 1 / at_risk
            if alive <= 0.5 + 1e-9:
                return seconds
        at_risk -= 1
    return None


def log_rank(strata):
    """Stratified log-rank test. strata: pairs (lives, lives) of (seconds, died). Returns (p, observed, expected) of the
    first group: more deaths observed than expected means that it dies sooner."""
    observed = expected = variance = 0.0
    for first, second in strata:
        for when in sorted({t for t, died in first + second if died}):
            one, two = (sum(t >= when for t, _ in group) for group in (first, second))
            deaths_one, deaths_two = (sum(t == when and died for t, died in group) for group in (first, second))
            total, deaths = one + two, deaths_one + deaths_two
            observed += deaths_one
            expected += deaths * one / total
            if total > 1:
                variance += deaths * (one / total) * (two / total) * (total - deaths) / (total - 1)
    if variance == 0:
        return 1.0, observed, expected
    return math.erfc(abs(observed - expected) / math.sqrt(variance) / math.sqrt(2)), observed, expected
