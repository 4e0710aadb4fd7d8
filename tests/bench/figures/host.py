"""A host of many Go processes under one `watch -a`: what mapwatch takes itself, how soon it is there, what it sees of
programs that live for milliseconds, and what one busy process costs the others of its file."""
import pathlib
import re
import shutil
import signal
import subprocess
import time

from lib import fixtures
from lib.harness import Context, Failed
from lib.process import Mapwatch, Target
from lib.whole_host import only_below, sums

from . import own, stats
from .rows import Row

PROCESSES, FILES = 200, 40
SOURCES = [(fixtures.NEWEST, "plain"), (fixtures.NEWEST, "stripped"), ("1.22.12", "stripped"), ("1.17.13", "plain")]
STORM_PER_S, STORM_OPS = 200, 50


def place(folder, name, source):
    """A copy that is no copy: its contents are its own."""
    path = folder / name
    shutil.copyfile(source, path)
    with open(path, "ab") as file:
        file.write(name.encode())
    path.chmod(0o755)
    return path


def watch(context, *flags):
    """(mapwatch over the scratch folder, seconds until it had looked through /proc)."""
    begin = time.monotonic()
    mapwatch = Mapwatch(context, "watch", "-v", "-a", *only_below(context.scratch), *flags)
    if not mapwatch.err.wait(r"watching \d+ process", 120):
        raise Failed(f"mapwatch did not start: {mapwatch.err.text()[-600:]}")
    return mapwatch, time.monotonic() - begin


def idle(context, sample, seconds):
    """What 200 processes that do a map operation a second cost mapwatch."""
    mapwatch, started = watch(context, "--sample", sample)
    if int(re.search(r"watching (\d+) process", mapwatch.err.text()).group(1)) != PROCESSES:
        raise Failed(f"not all are watched: {mapwatch.err.text()[-400:]}")
    time.sleep(15)  # call sites take the place of functions, and trials end
    guard = own.children(mapwatch.pid)
    cpu, begin = [own.cpu_s(p) for p in (mapwatch.pid, *guard)], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begin
    cpu = [(own.cpu_s(p) - before) / took for p, before in zip((mapwatch.pid, *guard), cpu)]
    result = {"start_s": started, "cpu": sum(cpu), "rss": own.rss(mapwatch.pid)[0], "heap": own.rss(mapwatch.pid)[1],
              "guardian_rss": sum(own.rss(g)[0] for g in guard), "fds": own.descriptors(mapwatch.pid)}
    begin = time.monotonic()
    mapwatch.signal(signal.SIGINT)
    mapwatch.wait(120)
    result["summary"] = mapwatch.summary()
    result["stop_s"] = time.monotonic() - begin
    return result


def own_cost(bench):
    context = Context(bench.mapwatch, False)
    rows, raw = [], {}
    try:
        sources = [fixtures.build(*source) for source in SOURCES]
        files = [place(context.scratch, f"file{n}", sources[n % len(sources)]) for n in range(FILES)]
        for n in range(PROCESSES):
            process = subprocess.Popen([files[n % FILES], "-pace", "1s", "rw3"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            context.stack.callback(process.wait)
            context.stack.callback(process.kill)
        time.sleep(3)
        for sample in ("auto", "full"):
            runs = raw[sample] = []
            for n in range(min(bench.runs, 3)):
                runs.append(idle(context, sample, 10 * bench.seconds))
                bench.report(f"{PROCESSES} idle processes, --sample {sample}: {n + 1}")
            name = f"{PROCESSES} idle processes of {FILES} files, --sample {sample}"
            cpu, rss = ([run[key] for run in runs] for key in ("cpu", "rss"))
            rows.append(Row(f"{name}: own CPU, % of a core", "<= 1", f"{100 * stats.median(cpu):.2f}", len(runs), stats.median(cpu) <= 0.01))
            rows.append(Row("  resident memory, MB", "<= 60", f"{max(rss) / 1e6:.1f}", len(runs), max(rss) <= 60e6))
            rows.append(Row("  of that not of a file; guardian's; descriptors", "-",
                            f"{max(r['heap'] for r in runs) / 1e6:.1f}; {max(r['guardian_rss'] for r in runs) / 1e6:.1f}; "
                            f"{max(r['fds'] for r in runs)}", len(runs)))
            rows.append(Row("  until all are watched, to the end after SIGINT, s", "-",
                            f"{stats.median([r['start_s'] for r in runs]):.1f}, {stats.median([r['stop_s'] for r in runs]):.1f}", len(runs)))
    finally:
        context.close()
    return rows, raw


def attach_delay(bench):
    """From before the fork of a program whose file nobody has seen yet until mapwatch says that it is attached to it."""
    context = Context(bench.mapwatch, False)
    delays = []
    try:
        source = fixtures.build(fixtures.NEWEST)
        mapwatch, _ = watch(context)
        runs = max(bench.runs, 10)
        for n in range(runs):
            path = place(context.scratch, f"new{n}", source)
            begin = time.monotonic_ns()
            process = subprocess.Popen([path, "-pace", "1ms", "rw3"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                if not mapwatch.err.wait(rf"attached to PID {process.pid}\b", 10):
                    raise Failed(f"not attached: {mapwatch.err.text()[-400:]}")
                with mapwatch.err.changed:
                    at = next(i for i, text in enumerate(mapwatch.err.lines) if f"attached to PID {process.pid} " in text)
                    delays.append((mapwatch.err.times[at] - begin) / 1e6)
            finally:
                process.kill()
                process.wait()
            path.unlink()
            bench.report(f"attach to a new file: {n + 1} of {runs}")
        mapwatch.stop()
    finally:
        context.close()
    middle = stats.median(delays)
    return [Row("from fork to attached, a file never seen, ms", "<= 50", stats.with_interval(delays, 0), len(delays), middle <= 50),
            Row("  the longest, ms", "-", f"{max(delays):.0f}", len(delays))], delays


def storm(bench):
    """Short-lived tools of a known file, 200 a second if the machine can: how many of them, and of their operations,
    are counted."""
    context = Context(bench.mapwatch, False)
    try:
        tool = place(context.scratch, "tool", fixtures.build(fixtures.NEWEST))
        target = context.own(Target(tool, "rw3"))
        mapwatch, _ = watch(context, "--sample", "full")  # under auto what ends unseen may have met no probe
        mapwatch.attached(target.pid)
        before, begin = own.cpu_s(mapwatch.pid), time.monotonic()
        seconds, running, started = 10 * bench.seconds, [], 0
        most = 0
        while time.monotonic() - begin < seconds:
            due = int((time.monotonic() - begin) * STORM_PER_S)
            running = [child for child in running if child.poll() is None]
            while started < due and len(running) < 64:
                running.append(subprocess.Popen([tool, "-pace", "0", "count", str(STORM_OPS)], stdin=subprocess.DEVNULL,
                                                stdout=subprocess.DEVNULL))
                started += 1
            most = max(most, own.rss(mapwatch.pid)[0])
            time.sleep(0.005)
        for child in running:
            child.wait()
        took = time.monotonic() - begin
        cpu = (own.cpu_s(mapwatch.pid) - before) / took
        summary = mapwatch.stop()
        watched, brief, refused, unseen = sums(mapwatch)
    finally:
        context.close()
    counted, ops = watched + brief - 1, summary["hits"]
    raw = {"started": started, "counted": counted, "refused": refused, "unseen": unseen, "hits": ops, "lost": summary["lost"],
           "cpu": cpu, "seconds": took, "rss": most}
    return [Row("exec storm: tools started a second", f"{STORM_PER_S}", f"{started / took:.0f}", 1),
            Row("  started, counted, refused", "the same, 0", f"{started}, {counted}, {refused}", 1, started == counted and refused == 0),
            Row("  operations done, counted; events lost", "all; 0", f"{started * STORM_OPS}, {ops}; {summary['lost']}", 1,
                ops >= started * STORM_OPS and summary["lost"] == 0),
            Row("  own CPU, % of a core; resident memory at most, MB", "-; <= 60", f"{100 * cpu:.1f}; {most / 1e6:.1f}", 1,
                most <= 60e6)], raw


def host(bench):
    rows, raw = [], {}
    for name, measure in (("own", own_cost), ("attach", attach_delay), ("storm", storm)):
        got, raw[name] = measure(bench)
        rows += got
    return rows, raw


def thread_ns(pid):
    """CPU time of its threads that live, ns (Documentation/scheduler/sched-stats.rst)."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def beside(bench, busy, flags):
    """An ordinary process, and a busy one of the same file or none; watched or not: (CPU ns that an operation of the
    ordinary one takes, the summary or None)."""
    context = Context(bench.mapwatch, False)
    try:
        binary = place(context.scratch, "shared", bench.binary)
        ordinary = context.own(Target(binary, "struct_held_mutex", pace="100us"))
        hot = context.own(Target(binary, "solo")) if busy else None
        targets = [target for target in (ordinary, hot) if target]
        mapwatch = None
        if flags is not None:
            mapwatch, _ = watch(context, *flags)
            mapwatch.attached(*(target.pid for target in targets))
        for target in targets:
            target.release()
        before = thread_ns(ordinary.pid)
        time.sleep(5 * bench.seconds)
        used = thread_ns(ordinary.pid) - before
        summary = mapwatch.stop() if mapwatch else None
        return used / ordinary.finish()["ops"], summary
    finally:
        context.close()


SIBLINGS = {"bare": (True, None), "alone, auto": (False, ("--sample", "auto")), "auto": (True, ("--sample", "auto")),
            "full": (True, ("--sample", "full"))}


def siblings(bench):
    """A link on a file patches all its processes: what the ordinary one pays beside a busy one."""
    raw = {name: [] for name in SIBLINGS}
    for n in range(bench.runs):
        order = list(SIBLINGS)
        for name in order[n % len(order):] + order[:n % len(order)]:
            raw[name].append(beside(bench, *SIBLINGS[name]))
        bench.report(f"siblings: {n + 1} of {bench.runs}")
    rows, bare = [], [ns for ns, _ in raw["bare"]]
    rows.append(Row("ordinary process beside a busy one of its file, bare: CPU us an operation", "-",
                    f"{stats.median(bare) / 1e3:.2f}", bench.runs))
    for name, what in (("auto", "both watched, --sample auto"), ("alone, auto", "watched, nobody beside it, auto"),
                       ("full", "both watched, --sample full")):
        ratios = [ns / base for (ns, _), base in zip(raw[name], bare)]
        rows.append(Row(f"  {what}: CPU an operation / bare", "-", stats.with_interval(ratios), bench.runs))
        shares = [s["armed_share"] for _, s in raw[name]]
        cost = [s["target_cost"] for _, s in raw[name]]
        rows.append(Row("    charged to both, of their CPU time; sites armed", "<= 0.01" if name != "full" else "-",
                        f"{stats.median(cost):.4f}; {100 * stats.median(shares):.0f} %", bench.runs,
                        stats.median(cost) <= 0.01 if name != "full" else None))
    return rows, raw
