"""A disk that is full and a file that somebody else holds: findings come, alerts arrive, and what was kept in memory is on the disk
once it can be."""
import contextlib
import json
import pathlib
import shutil
import signal
import sqlite3

from .alertmanager import crash
from .alerts import fires
from .daemon import race, race_until
from .harness import case, expect, wait_for
from .lifecycle import PLAIN
from .receivers import Webhook
from .served import Daemon
from .whole_host import copy_of


def on_a_full_disk(folder):
    """Before a command: it runs in a mount namespace of its own, where `folder` is a file system of 1 MiB without room."""
    folder.mkdir()
    script = f"mount -t tmpfs -o size=1M,mode=700 none '{folder}' || exit 1\nhead -c 4M /dev/zero > '{folder}/fill' 2> /dev/null\nexec \"$@\""
    return ["unshare", "-m", "--propagation", "private", "bash", "-c", script, "bash"]


def seen_by(daemon, path):
    return pathlib.Path(f"/proc/{daemon.pid}/root{path}")


def waiting_bodies(context, database):
    """Of a store that the daemon holds: of a copy of it, which may be one of a moment in the midst of a change."""
    for suffix in ("", "-wal"):
        try:
            shutil.copyfile(f"{database}{suffix}", context.scratch / f"copy.db{suffix}")
        except FileNotFoundError:
            pass
    with contextlib.closing(sqlite3.connect(context.scratch / "copy.db")) as copy:
        try:
            return [json.loads(body) for body, in copy.execute("SELECT body FROM waiting")]
        except (sqlite3.DatabaseError, ValueError):
            return []
        finally:
            for suffix in ("", "-wal", "-shm"):
                (context.scratch / f"copy.db{suffix}").unlink(missing_ok=True)


def told(hook, exe):
    return [a for a in hook.alerts() if a["labels"]["exe"] == str(exe)]


@case("faults/a-full-disk", builds=PLAIN)
def full_disk(context):
    """No history, no dossier, no store: hazards and a crash are seen and told all the same; with room again what waits is kept."""
    hook = Webhook(context)
    hook.answer = 503
    state = context.scratch / "state"
    daemon = Daemon(context, "--webhook", hook.url, "--state-dir", state, "--alert-wait", "100ms", "--alert-interval", "1s",
                    wrap=on_a_full_disk(state))
    dead, racy, later = (copy_of(context, name) for name in ("dead", "racy", "later"))
    race(context, daemon, racy)
    found = crash(context, daemon, dead)
    expect(found["dossier"] is None and found["frozen_ns"], f"{found['dossier']}, held for {found['frozen_ns']}")
    hook.wait_tries(1)
    daemon.scrape_until("that the disk takes nothing", lambda s: s.sum("mapwatch_webhook_spool_errors_total", receiver="webhook") >= 1 and
                        s.sum("mapwatch_dossiers_total", result="failed") >= 1)
    hook.answer = 200
    wait_for("both", lambda: hook.wrong or told(hook, dead) and told(hook, racy), 60)
    expect({a["labels"]["id"] for a in told(hook, dead)} >= {found["id"]}, "another crash")

    hook.answer = 503
    race(context, daemon, later)
    daemon.scrape_until("what waits", lambda s: s.sum("mapwatch_webhook_spooled", receiver="webhook") >= 1)
    seen_by(daemon, state / "fill").unlink()
    wait_for("it is on the disk", lambda: any(b["groupLabels"]["exe"] == str(later)
                                              for b in waiting_bodies(context, seen_by(daemon, state / "webhook.db"))), 60, step=0.5)
    expect(daemon.err.wait("webhook: what waits is on the disk again", 10), daemon.err.text()[-600:])
    hook.answer = 200
    scrape = daemon.scrape_until("nothing waits", lambda s: s.sum("mapwatch_webhook_spooled", receiver="webhook") == 0, 60)
    lost = [scrape.sum("mapwatch_events_lost_total", stage=stage) for stage in ("ring", "queue", "export")]
    expect(scrape.sum("mapwatch_webhook_dropped_total") == 0 and not any(lost), f"lost {lost}")
    expect(told(hook, later), "not told")
    daemon.stop(signal.SIGTERM)


@case("faults/findings-on-a-full-disk", builds=PLAIN)
def full_log(context):
    """What the file of findings does not take is counted as lost, and no half of it stays; alerts come, and so does what is found later."""
    hook = Webhook(context)
    logs = context.scratch / "logs"
    daemon = Daemon(context, "--webhook", hook.url, "--state-dir", context.scratch / "state", "--alert-wait", "100ms", "--alert-interval", "1s",
                    "-o", "json", "--log-path", logs / "log", output=False, wrap=on_a_full_disk(logs))
    daemon.log = seen_by(daemon, logs / "log")
    racy, later = copy_of(context, "racy"), copy_of(context, "later")
    race_until(context, daemon, racy, lambda: told(hook, racy), 3)
    hook.wait("an alert", fires)
    daemon.scrape_until("that it is counted", lambda s: s.sum("mapwatch_events_lost_total", stage="export") >= 1)
    expect(daemon.log.read_bytes() == b"", f"half an object: {daemon.log.read_bytes()[:200]}")
    seen_by(daemon, logs / "fill").unlink()
    race(context, daemon, later)
    expect({h["process"]["exe"] for h in daemon.kind("hazard")} == {str(later)}, "not only of the later one")
    daemon.signal(signal.SIGTERM)
    expect(daemon.wait(15) == 0, daemon.err.text()[-600:])


@case("faults/a-store-that-another-holds", builds=PLAIN)
def locked(context):
    """The file of what waits is locked at the start: alerts come all the same; once it is free what waits is in it."""
    state = context.scratch / "state"
    state.mkdir(mode=0o700)
    other = context.own(sqlite3.connect(state / "webhook.db", isolation_level=None))
    other.execute("BEGIN EXCLUSIVE")
    hook = Webhook(context)
    daemon = Daemon(context, "--webhook", hook.url, "--state-dir", state, "--alert-wait", "100ms", "--alert-interval", "1s")
    racy, later = copy_of(context, "racy"), copy_of(context, "later")
    race(context, daemon, racy)
    hook.wait("the alert", fires)
    expect(daemon.err.wait(r"webhook: what waits is kept in memory alone: .*webhook\.db: .*locked", 10), daemon.err.text()[-600:])
    hook.answer = 503
    race(context, daemon, later)
    other.execute("ROLLBACK")
    other.close()
    wait_for("it is on the disk", lambda: any(b["groupLabels"]["exe"] == str(later) for b in waiting_bodies(context, state / "webhook.db")),
             60, step=0.5)
    tried = {key for key, body, _ in hook.tries if body["groupLabels"]["exe"] == str(later)}
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    hook.answer = 200
    again = Daemon(context, "--webhook", hook.url, "--state-dir", state, "--alert-wait", "100ms", "--alert-interval", "1s")
    wait_for("what waited, under its key", lambda: hook.wrong or tried <= {key for key, _, _ in hook.taken} and told(hook, later), 30)
    again.stop(signal.SIGTERM)
