"""Memory that lies: damaged cores, and pages of a live process that never answer."""
import json
import os
import pathlib
import random
import re
import struct
import subprocess

from . import delve, fixtures, maps
from .fixtures import NEWEST, build
from .freeze import PLAIN, Watched, state
from .goroutines import Park
from .harness import Failed, case, expect
from .process import Target, run_to_end
from .scale import MIB, within

LIMIT = 1024 * MIB


def writable(core):
    """(file offset, size, address) of the parts of a core that the process could write to."""
    header = struct.unpack_from("<16sHHIQQQIHHHHHH", core)
    parts = []
    for i in range(header[10]):
        kind, flags, offset, address, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", core, header[5] + i * header[9])
        if kind == 1 and flags & 2 and size:
            parts.append((offset, size & ~7, address))
    return parts


class Liar:
    """A core file in which some words at a time say what they should not."""

    def __init__(self, path, dice):
        self.file = os.open(path, os.O_RDWR)
        core = path.read_bytes()
        self.dice, self.words, self.pointers = dice, [], []
        low = [part for part in writable(core) if part[2] < 0x10000000]  # the program's own variables: roots of all else
        for part in low + writable(core):
            words = memoryview(core)[part[0]:part[0] + part[1]].cast("Q")
            for at, word in enumerate(words):
                if word:
                    self.words.append((part[0] + 8 * at, word))
                    if word > 1 << 16:
                        self.pointers.append(word)
        # Half of the lies are told in the variables, which are few beside the heap.
        self.variables = sum(1 for offset, _ in self.words if any(p[0] <= offset < p[0] + p[1] for p in low)) // 2

    def lie(self):
        word = self.dice.choice(self.pointers)
        return self.dice.choice([0, 1, 7, 1 << 20, (1 << 31) - 1, (1 << 48) - 8, (1 << 63), (1 << 64) - 1, (1 << 64) - 8, word,
                                 word + 8 & (1 << 64) - 1, word - 8, word ^ 1, word & ~0xfff, self.dice.getrandbits(64)])

    def tell(self, how_many):
        chosen = [self.dice.choice(self.words[:self.variables] if self.variables and self.dice.random() < 0.5 else self.words)
                  for _ in range(how_many)]
        for offset, _ in chosen:
            os.pwrite(self.file, struct.pack("<Q", self.lie()), offset)
        return chosen

    def take_back(self, chosen):
        for offset, word in chosen:
            os.pwrite(self.file, struct.pack("<Q", word), offset)


def lies(context, command, liar, rounds, dice, read):
    """The command on each damaged core: whatever it says, it says it, in bounded memory and time. How many it could read."""
    told = 0
    for n in range(rounds):
        chosen = liar.tell(dice.choice([1, 10, 100, 3000]))
        try:
            done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=120, preexec_fn=within(LIMIT, 60))
            expect(done.returncode in (0, 1, 3), f"round {n}: ended with {done.returncode}: {done.stderr[-400:]}")
            for line in done.stdout.splitlines():
                read(json.loads(line))
            told += done.returncode == 0
        except subprocess.TimeoutExpired:
            raise Failed(f"round {n}: no end within two minutes") from None
        finally:
            liar.take_back(chosen)
    return told


def lying_core(context, held_by, run):
    seed = random.getrandbits(32)
    dice = random.Random(seed)
    core = context.scratch / "core"
    held = delve.Delve(context, "attach", held_by.pid)
    held.dump(core)
    held.detach()
    try:
        run(core, Liar(core, dice), dice)
    except Failed as error:
        raise Failed(f"seed {seed}: {error}") from None


@case("lies/goroutines", builds=[delve.WANTED, (NEWEST, "plain", "park"), ("1.20.14", "plain", "park")])
def goroutines(context):
    for version in (NEWEST, "1.20.14"):
        binary = build(version, "plain", "park")

        def run(core, liar, dice, binary=binary):
            rounds = 500 if context.full else 25
            command = [context.mapwatch, "dump", "--core", core, "--exe", binary, "-o", "json", "-vv"]
            told = lies(context, command, liar, rounds, dice, lambda line: None)
            expect(told > rounds // 2, f"only {told} of {rounds} damaged cores could be read at all")
        lying_core(context, Park(context, binary), run)


@case("lies/maps", builds=[delve.WANTED, (NEWEST, "plain", "mapbox"), ("1.23.12", "plain", "mapbox")])
def map_contents(context):
    for version in (NEWEST, "1.23.12"):
        target, truths = maps.boxes(context, version, "sound", "plain")
        binary = build(version, "plain", "mapbox")

        def run(core, liar, dice, truths=truths, binary=binary):
            rounds = 300 if context.full else 15
            addresses = [word for truth in truths for word in (truth["type_address"], truth["address"])]
            command = [fixtures.ROOT / "build/tests/mapdump", "--core", core, "--entries", "1000", binary, *addresses]
            lies(context, command, liar, rounds, dice, lambda line: expect("header" in line, f"{line}"))
        lying_core(context, target, run)


def silent(context, *flags, scenario="solo", **options):
    """A process whose list of goroutines lies on a page that no read of ever ends. It does not look there itself."""
    binary = build(NEWEST)
    target = context.own(Target(binary, scenario, pace="0", extra=["-silent-page", "-gogc", "-1"], **options))
    page = int(target.out.lines[0], 16)
    symbols = subprocess.run(["nm", binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    allgs = int(re.search(r"^([0-9a-f]+) \w runtime\.allgs$", symbols, re.M)[1], 16)
    allptr = int(re.search(r"^([0-9a-f]+) \w runtime\.allgptr$", symbols, re.M)[1], 16)
    with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
        for address in (allgs, allptr):
            memory.seek(address)
            memory.write(struct.pack("<Q", page))
    return target


@case("lies/memory-that-never-answers/dump", builds=PLAIN)
def never_dump(context):
    target = silent(context)
    status, out, err = run_to_end(context, "dump", "-p", target.pid, "--max-freeze", "500ms", seconds=20)
    expect(status == 1 and "--max-freeze" in err, f"status {status}: {out[-200:]}{err[-400:]}")
    expect("\nTracerPid:\t0\n" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "still traced")
    expect(state(target.pid) in ("R", "S"), f"the target is {state(target.pid)}")


@case("lies/memory-that-never-answers/crash", builds=PLAIN)
def never_crash(context):
    """The guardian lets go at --max-freeze, the process dies, and its end lets mapwatch go on."""
    watched = Watched(context, "--max-freeze", "500ms", target=silent(context, scenario="write_write"))
    watched.target.release()
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] >= 500_000_000, "mapwatch did not look at the page")
    watched.nothing_left()
