"""How a program is run: bare, bare once more (which shows how far two equal runs are apart), watched by mapwatch in some way,
or built with -race."""
ALL = ["bare", "again", "auto-0.5", "auto-1", "auto-2", "full", "race"]
GOAL = "auto-1"  # the mode that the goals are for


def flags_of(mode):
    """mapwatch's flags; None where it is not there. auto-0.5: a budget of 0.5 %."""
    if mode in ("bare", "again", "race"):
        return None
    kind, _, budget = mode.partition("-")
    return ["--sample", kind, *(["--budget", budget + "%"] if budget else [])]


def watched(modes):
    """Those in which mapwatch is there."""
    return [mode for mode in modes if flags_of(mode) is not None]
