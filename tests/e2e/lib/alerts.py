"""Findings that are told to others: a webhook that checks signatures and keys, a real Alertmanager, commands, a real journal;
receivers that are down, hang or refuse; a mapwatch that is killed meanwhile."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

from .bad_input import usage
from .daemon import race
from .fixtures import ROOT
from .harness import Skipped, case, expect, wait_for
from .lifecycle import PLAIN
from .process import Mapwatch, Target, run_to_end
from .receivers import Alertmanager, Webhook
from .served import Daemon
from .whole_host import copy_of

SECRET = b"a secret of the test"

usage("alerts-no-address", "watch", "-p", "1", "--webhook", "ftp://a", words=["no http or https address"])
usage("alerts-password-in-an-address", "watch", "-p", "1", "--webhook", "http://u:hidden@a/", words=["seen by everybody"])
usage("alerts-secret-without-webhook", "watch", "-p", "1", "--webhook-secret-file", "/dev/null", words=["--webhook"])
usage("alerts-no-secret", "watch", "-p", "1", "--webhook", "http://127.0.0.1:1", "--webhook-secret-file", "/does/not/exist",
      words=["/does/not/exist"])
usage("alerts-command-without-a-path", "watch", "-p", "1", "--exec", "cat", words=["no absolute path"])
usage("alerts-open-quote", "watch", "-p", "1", "--exec", "/bin/cat 'x", words=["not closed"])
usage("alerts-no-such-user", "watch", "-p", "1", "--exec", "/bin/cat", "--exec-user", "no-such-user-here",
      words=["no user no-such-user-here"])


def secret_file(context):
    path = context.scratch / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return path


def telling(context, webhook, *more, **options):
    """A daemon that tells `webhook`, with a state of its own."""
    signed = ["--webhook-secret-file", secret_file(context)] if webhook.secret else []
    return Daemon(context, "--webhook", webhook.url, *signed, "--state-dir", context.scratch / "state", "--alert-wait", "100ms",
                  *more, **options)


def fires(body):
    return body["status"] == "firing" and body["groupLabels"]["alertname"] == "MapwatchConcurrentMapAccess"


@case("alerts/webhook", builds=PLAIN)
def webhook(context):
    """What is found is told, signed, in every field of Alertmanager's form; that it is over is told after quiet."""
    hook = Webhook(context, secret=SECRET)
    daemon = telling(context, hook, "--alert-interval", "1s", "--alert-resolve", "10s")
    racy = copy_of(context, "racy")
    race(context, daemon, racy)
    body = hook.wait("a notification", fires)
    ids = {h["id"] for h in daemon.kind("hazard")}
    alert = body["alerts"][0]
    expect(alert["labels"]["id"] in ids, f"{alert['labels']} is none of {ids}")
    expect(alert["labels"]["exe"] == str(racy) and alert["labels"]["kind"] == "read_write", f"{alert['labels']}")
    told = alert["annotations"]
    expect(told["description"].startswith("WARNING: CONCURRENT MAP ACCESS") and "basic.go" in told["description"], f"{told}")
    finding = next(h for h in daemon.kind("hazard") if h["id"] == alert["labels"]["id"])
    expect(told["pid"] == str(finding["process"]["pid"]) and told["map_type"] == finding["map"]["type"], f"{told}")
    over = hook.wait("its end", lambda b: b["status"] == "resolved" and fires({**b, "status": "firing"}), 60)
    expect({a["labels"]["id"] for a in over["alerts"]} & ids, f"{over}")
    scrape = daemon.scrape_until("that both are delivered", lambda s: s.sum("mapwatch_webhook_spooled", receiver="webhook") == 0
                                 and s.sum("mapwatch_webhook_sends_total", receiver="webhook", result="delivered") >= 2)
    for name in ("dropped_total", "spool_errors_total"):
        expect(scrape.sum(f"mapwatch_webhook_{name}") == 0, name)
    keys = [key for key, _, _ in hook.taken]
    expect(len(keys) == len(set(keys)), "a duplicate without a reason")
    crashed = {c["id"] for c in daemon.kind("crash")}
    daemon.stop(signal.SIGTERM)
    dead = {a["labels"]["id"] for a in hook.alerts() if a["labels"]["alertname"] == "MapwatchCrash"}
    expect(dead >= crashed, f"crashes {crashed}, told {dead}")
    expect("hidden" not in daemon.err.text(), "the token of the address is in a log")


@case("alerts/killed-while-the-receiver-is-down", builds=PLAIN)
def killed(context):
    """Nothing takes it, mapwatch is killed with -9 and started again: it comes with the key that it had."""
    hook = Webhook(context, secret=SECRET)
    hook.answer = 503
    daemon = telling(context, hook)
    race(context, daemon, copy_of(context, "racy"))
    hook.wait_tries(2)
    hazards = {h["id"] for h in daemon.kind("hazard")}
    wait_for("it is told", lambda: hazards <= {a["labels"]["id"] for _, b, _ in hook.tries for a in b["alerts"]}
             or daemon.scrape().sum("mapwatch_webhook_spooled", receiver="webhook") >= 1, 30)
    before = {key for key, _, _ in hook.tries}
    expect(daemon.err.wait("it is tried again until they are taken", 10), f"{daemon.err.text()[-600:]}")
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    expect(not hook.taken, "taken although it was refused")
    hook.answer = 200
    again = telling(context, hook)
    wait_for("all that waited", lambda: hook.wrong or before <= {key for key, _, _ in hook.taken}, 30)
    wait_for("each hazard", lambda: hook.wrong or hazards <= {a["labels"]["id"] for a in hook.alerts()}, 30)
    again.stop(signal.SIGTERM)


@case("alerts/reload", builds=PLAIN)
def reload(context):
    """SIGHUP: what one receiver did not take comes to the next under the same key; what is wrong leaves the old in force; a
    receiver that is taken out is told nothing more, and a command that is put in runs."""
    first, second = Webhook(context, secret=SECRET), Webhook(context, secret=SECRET)
    first.answer = 503
    config, got = context.scratch / "mapwatch.toml", context.scratch / "got"
    base = f'sample = full\n[daemon]\nstate-dir = "{context.scratch / "state"}"\nalert-wait = 100ms\nalert-interval = 1s\n'
    signed = f'webhook-secret-file = "{secret_file(context)}"\n'
    config.write_text(f'{base}webhook = "{first.url}"\n{signed}')
    daemon = Daemon(context, "--config", config)

    def load(text, wanted="success"):
        of = lambda s: s.sum("mapwatch_config_reloads_total", result=wanted)
        before = of(daemon.scrape())
        config.write_text(text)
        daemon.signal(signal.SIGHUP)
        daemon.scrape_until(f"a reload: {wanted}", lambda s: of(s) > before)
    race(context, daemon, copy_of(context, "one"))
    first.wait_tries(1)
    load(f'{base}webhook = "{second.url}"\n{signed}')
    tried = {key for key, _, _ in first.tries}
    wait_for("what waited", lambda: second.wrong or tried <= {key for key, _, _ in second.taken}, 30)
    expect("holds from the next start on" not in daemon.err.text(), daemon.err.text()[-600:])

    load(f'{base}webhook = "{first.url}"\nwebhook-secret-file = "/does/not/exist"\n', "failure")
    expect("the configuration stays as it was: --webhook-secret-file: /does/not/exist" in daemon.err.text(), daemon.err.text()[-600:])
    two = copy_of(context, "two")
    race(context, daemon, two)
    of = lambda exe: lambda body: body["groupLabels"]["exe"] == str(exe)
    second.wait("the next finding", of(two))

    load(f"{base}exec = \"/bin/sh -c 'cat >> {got}'\"\nexec-user = root\n")
    three = copy_of(context, "three")
    race(context, daemon, three)
    wait_for("the command", lambda: got.exists() and any(f["process"]["exe"] == str(three) for f in map(json.loads, got.read_text().splitlines())), 30)
    load(f'{base}webhook = "{second.url}"\n{signed}')
    four = copy_of(context, "four")
    race(context, daemon, four)
    second.wait("the last", of(four))
    told = {a["labels"]["exe"] for a in second.alerts()}
    expect(str(three) not in told and not first.taken, f"told of what was found without it: {told}")
    scrape = daemon.scrape()
    expect(scrape.sum("mapwatch_exec_runs_total", result="ok") >= 1, "the count of commands is gone")
    daemon.stop(signal.SIGTERM)
    # Each command gets its text as it begins: the fourth came when there was none any more.
    expect(str(four) not in got.read_text(), "a command that was taken out runs")


@case("alerts/a-receiver-that-hangs", builds=PLAIN)
def hangs(context):
    """It takes connections and says nothing: findings are written, metrics are served, the end does not wait for it."""
    hook = Webhook(context)
    hook.hang.clear()
    daemon = telling(context, hook)
    racy = copy_of(context, "racy")
    race(context, daemon, racy)
    daemon.scrape_until("what waits", lambda s: s.sum("mapwatch_webhook_spooled", receiver="webhook") >= 1)
    count = len(daemon.kind("hazard"))
    race(context, daemon, racy)
    expect(len(daemon.kind("hazard")) > count, "no more findings")
    daemon.stop(signal.SIGTERM)
    hook.hang.set()
    hook.tries.clear()
    again = telling(context, hook)
    hook.wait("what waited", fires)
    again.stop(signal.SIGTERM)


@case("alerts/a-real-alertmanager", builds=PLAIN)
def alertmanager(context):
    """It knows the alert under our fingerprint, tells its own receivers in the form that we send, and lets it end."""
    if not shutil.which("prometheus-alertmanager"):
        raise Skipped("prometheus-alertmanager is not installed: make deps")
    theirs = Webhook(context)
    theirs.check_one = lambda headers, body: None  # it has no key of ours
    ours = Webhook(context)
    server = Alertmanager(context, theirs.url)
    daemon = telling(context, ours, "--alertmanager", server.url + "/", "--alert-resolve", "10s", "--alert-interval", "1s")
    racy = copy_of(context, "racy")
    race(context, daemon, racy)
    body = ours.wait("our notification", fires)
    known = wait_for("the alert", lambda: [a for a in server.alerts() if a["labels"]["exe"] == str(racy)
                                           and a["labels"]["id"] == body["alerts"][0]["labels"]["id"]], 30)[0]
    expect(known["fingerprint"] == body["alerts"][0]["fingerprint"], f"fingerprint {known['fingerprint']}, ours {body['alerts'][0]}")
    expect(known["annotations"]["summary"].startswith(racy.name + "["), f"{known}")
    passed_on = theirs.wait("Alertmanager's own notification", fires)
    expect(set(passed_on) == set(body) and set(passed_on["alerts"][0]) == set(body["alerts"][0]), "its form is another")
    expect(passed_on["groupKey"] == body["groupKey"], f"{passed_on['groupKey']} {body['groupKey']}")
    theirs.wait("that it is over", lambda b: b["status"] == "resolved", 60)
    scrape = daemon.scrape_until("that it is delivered", lambda s: s.sum("mapwatch_webhook_sends_total", receiver="alertmanager",
                                                                         result="delivered") >= 1)
    expect(scrape.sum("mapwatch_webhook_sends_total", receiver="alertmanager", result="failed") == 0, "failed sends")
    checked = subprocess.run(["promtool", "check", "metrics"], input=scrape.text, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=60)
    expect(checked.returncode == 0 and not checked.stdout.strip(), f"promtool: {checked.returncode} {checked.stdout}")
    daemon.stop(signal.SIGTERM)


@case("alerts/watch-tells-too", builds=PLAIN)
def watch(context):
    """`watch` sends what it found before it ends, without waiting for more of its group."""
    hook = Webhook(context)
    target = context.own(Target(copy_of(context, "racy"), "write_read", pace="500us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--webhook", hook.url, "--alert-wait", "10m",
                        "--state-dir", context.scratch / "state")
    mapwatch.attached(target.pid)
    target.release()
    expect(mapwatch.wait_hazard(20) or mapwatch.kind("crash"), "nothing found")
    target.close()
    mapwatch.wait(30)
    found = {f["id"] for kind in ("hazard", "crash") for f in mapwatch.kind(kind)}
    expect({a["labels"]["id"] for a in hook.alerts()} == found, f"found {found}, told {hook.alerts()}")


RECIPES = ROOT / "docs/recipes"


def for_anybody(folder):
    """A folder that any user may write to."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def command(path, lines):
    """A shell script there that any user may run."""
    path.write_text("#!/bin/sh\n" + lines)
    path.chmod(0o755)
    return path


@case("alerts/exec", builds=PLAIN)
def execute(context):
    """Each finding that is written is what the command reads; it is another user, and it writes nothing into our output."""
    folder = for_anybody(context.scratch / "got")
    script = command(context.scratch / "take it", f"n=$(mktemp -p '{folder}')\ncat > \"$n\"\nid -un > \"$n.user\"\n"
                     "echo '{\"not\": \"ours\"}'\necho noise >&2\nmv \"$n\" \"$n.json\"\n")
    daemon = Daemon(context, "--exec", f"'{script}' \"an argument\"")
    race(context, daemon, copy_of(context, "racy"))
    findings = lambda: daemon.kind("hazard") + daemon.kind("crash")
    ran = daemon.scrape_until("all of them", lambda s: s.sum("mapwatch_exec_runs_total", result="ok") >= len(findings()) > 0)
    expect(ran.sum("mapwatch_exec_runs_total") == ran.sum("mapwatch_exec_runs_total", result="ok"), f"{ran.of('mapwatch_exec_runs_total')}")
    daemon.stop(signal.SIGTERM)
    got = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    key = lambda f: (f["kind"], f["id"], f["printed_ns"])
    expect(sorted(got, key=key) == sorted(findings(), key=key), f"{len(got)} runs for {len(findings())} findings")
    expect({path.read_text() for path in folder.glob("*.user")} == {"nobody\n"}, "as another user")
    expect("noise" not in daemon.err.text() and "not" not in daemon.out.text(), "its output is in ours")


@case("alerts/exec-that-hangs", builds=PLAIN)
def exec_hangs(context):
    """A command that does not end is killed with all that it started, and holds nobody up."""
    pids = for_anybody(context.scratch / "pids")
    script = command(context.scratch / "hang", f"sleep 1000 &\necho $! > '{pids}'/$$\nwait\n")
    daemon = Daemon(context, "--exec", f"'{script}'", "--exec-timeout", "1s", "--exec-max", "1")
    racy = copy_of(context, "racy")
    race(context, daemon, racy)
    race(context, daemon, racy)
    daemon.scrape_until("one that is killed", lambda s: s.sum("mapwatch_exec_runs_total", result="timeout") >= 1)
    daemon.stop(signal.SIGTERM)
    left = lambda: [p for path in pids.iterdir() for p in path.read_text().split() if pathlib.Path(f"/proc/{p}/stat").exists()
                    and ") Z " not in pathlib.Path(f"/proc/{p}/stat").read_text()]
    wait_for("the end of what it started", lambda: not left(), 10)


class Listener:
    """One connection after the other, and all that it said."""

    def __init__(self, context, address, answer=b""):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.bind(address)
        self.socket.listen()
        self.said = []
        self.answer = answer
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        context.own(self.socket)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                text = connection.recv(65536)
                connection.sendall(self.answer)
                self.said.append(text.decode())


def finding(kind, **more):
    process = {"pid": 7, "exe": "/srv/orders", "go": "go1.26.8"}
    return json.dumps({"kind": kind, "id": "mw-00000001", "time": "2026-11-23T00:14:02.118004217Z", "process": process,
                       "map": {"type": "map[string]int"}, "severity": "imminent", "class": "write_write", **more}) + "\n"


def recipe(name, *args, stdin):
    done = subprocess.run([RECIPES / name, *map(str, args)], input=stdin, text=True, timeout=60, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    expect(done.returncode == 0 and not done.stdout, f"{name}: {done.returncode} {done.stdout}")


@case("alerts/recipes", builds=PLAIN)
def recipes(context):
    """Each recipe of docs/alerts.md by a real finding of a running daemon, then by made-up ones."""
    strategies = context.scratch / "strategies.json"
    strategies.write_text(json.dumps({"default_strategy": {"type": "probabilistic", "param": 0.01},
                                      "service_strategies": [{"service": "other", "type": "probabilistic", "param": 0.5}]}))
    siem = Listener(context, ("127.0.0.1", 0))
    daemon = Daemon(context, "--exec", f"{RECIPES}/raise-sampling {strategies}", "--exec-user", "root")
    race(context, daemon, copy_of(context, "racy"))
    of = lambda: {s["service"]: s["param"] for s in json.loads(strategies.read_text())["service_strategies"]}
    wait_for("sampling", lambda: of().get("racy") == 1.0, 30)
    expect(of() == {"other": 0.5, "racy": 1.0}, f"{of()}")
    daemon.stop(signal.SIGTERM)
    real = json.dumps((daemon.kind("crash") + daemon.kind("hazard"))[0]) + "\n"

    address = "%s:%d" % siem.socket.getsockname()
    for stdin in (real, finding("crash"), finding("hazard", process={"pid": 1, "exe": 'a"]b\\', "go": "x"})):
        recipe("tell-siem", address, stdin=stdin)
    wait_for("three messages", lambda: len(siem.said) == 3, 10)
    for message in siem.said:
        length, rest = message.split(" ", 1)
        expect(int(length) == len(rest.encode()), f"{message}")
    expect(siem.said[1].split(" ", 1)[1].startswith("<106>1 2026-11-23T00:14:02.118004Z "), siem.said[1])
    expect(r'exe="a\"\]b\\"' in siem.said[2], siem.said[2])

    haproxy = Listener(context, str(context.scratch / "haproxy"), b"\n")
    for stdin in (finding("hazard", severity="proven"), finding("hazard"), finding("crash"), real):
        recipe("out-of-rotation", context.scratch / "haproxy", "orders/web-3", stdin=stdin)
    wait_for("two and more", lambda: len(haproxy.said) >= 2, 10)
    expect(set(haproxy.said) == {"set server orders/web-3 state drain\n"} and len(haproxy.said) <= 3, f"{haproxy.said}")


JOURNALD = """
mount -t tmpfs -o mode=755 none /run && mkdir -p /run/systemd/journal /run/log/journal && mount --bind {scratch}/log /run/log/journal
/lib/systemd/systemd-journald > {scratch}/journald.log 2>&1 &
journald=$!
trap 'kill -9 $journald' EXIT
n=0
until [ -S /run/systemd/journal/socket ]; do n=$((n + 1)); [ $n -lt 600 ] && kill -0 $journald || exit 77; sleep 0.05; done
"$@"
status=$?
until journalctl --sync; do sleep 0.1; done
exit $status
"""


@case("alerts/journal", builds=PLAIN)
def journal(context):
    """A real journald, in a mount namespace of its own, has each finding with its fields."""
    if not os.access("/lib/systemd/systemd-journald", os.X_OK):
        raise Skipped("no systemd-journald here")
    (context.scratch / "log").mkdir()
    inside = ["unshare", "-m", "--propagation", "private", "bash", "-c", JOURNALD.format(scratch=context.scratch), "journald"]
    target = context.own(Target(copy_of(context, "racy"), "write_read", pace="500us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--journal", "always", "--run-dir", context.scratch / "run", wrap=inside)
    if not mapwatch.err.wait(rf"attached to PID {target.pid}\b", 60):
        expect(mapwatch.wait(30) == 77, mapwatch.err.text()[-600:])
        raise Skipped(f"journald does not run here: {(context.scratch / 'journald.log').read_text()[-300:]}")
    target.release()
    expect(mapwatch.wait_hazard(20) or mapwatch.kind("crash"), "nothing found")
    target.close()
    expect(mapwatch.wait(60) == 0, mapwatch.err.text()[-600:])
    found = {f["id"]: f for kind in ("hazard", "crash") for f in mapwatch.kind(kind)}
    read = subprocess.run(["journalctl", "-D", context.scratch / "log", "-o", "json", "--no-pager", "SYSLOG_IDENTIFIER=mapwatch"],
                          text=True, stdout=subprocess.PIPE, timeout=60).stdout
    entries = [json.loads(line) for line in read.splitlines()]
    expect({e["MAPWATCH_ID"] for e in entries} == set(found), f"{len(entries)} entries for {list(found)}: {read[:500]}")
    for entry in entries:
        of = found[entry["MAPWATCH_ID"]]
        expect(entry["PRIORITY"] == ("2" if of["kind"] == "crash" else "4"), f"{entry}")
        expect(entry["MAPWATCH_EXE"] == of["process"]["exe"] and entry["MAPWATCH_KIND"] == of["kind"], f"{entry}")
        expect(json.loads(entry["MAPWATCH_JSON"])["process"] == of["process"], f"{entry}")
        expect(entry["CODE_FILE"].endswith(".go") and int(entry["CODE_LINE"]) > 0, f"{entry}")
