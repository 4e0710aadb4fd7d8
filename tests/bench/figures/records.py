"""Runs that were done, kept so that a long measurement can be cut short and gone on with."""
import hashlib
import json
import pathlib

from lib import fixtures


class Records:
    """A line of JSON for each run in build/bench/NAME.jsonl. --resume goes on with those of the same mapwatch and the same
    terms (lengths and limits); without it the file begins anew."""

    def __init__(self, name, bench, **terms):
        self.path = fixtures.ROOT / "build/bench" / (name + ".jsonl")
        self.terms = dict(terms, mapwatch=hashlib.sha256(pathlib.Path(bench.mapwatch).read_bytes()).hexdigest()[:12])
        old = self.path.read_text().splitlines() if bench.resume and self.path.exists() else []
        self.all = [r for r in map(json.loads, old) if self.terms.items() <= r.items()]
        if not bench.resume:
            self.path.write_text("")

    def once(self, place, run):
        """Runs what has not been done at that place of the plan (a dict)."""
        if any(place.items() <= r.items() for r in self.all):
            return
        record = dict(run(), **place, **self.terms)
        self.all.append(record)
        with open(self.path, "a") as file:
            file.write(json.dumps(record) + "\n")

    def of(self, **place):
        return [r for r in self.all if place.items() <= r.items()]
