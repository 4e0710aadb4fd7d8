"""Files and flags of what a daemon, a gate and alerts are told by, each wrong in one way: the message names it and says what is wrong,
the status is that of a usage error or of a failure, and nothing was begun."""
import os

from .bad_input import FAILED, USAGE, refused
from .harness import case, expect
from .process import run_to_end

WATCH, GATE, DAEMON = ("watch", "-p", "1"), ("gate",), ("daemon",)
OBJECTIVE = "service: a\nobjectives:\n  - {name: a, kind: hazards, target: 99%}\n"
HOOK = ("--webhook", "http://127.0.0.1:1")


def wrong(name, command, *args, words=(), status=USAGE, **files):
    """A case. An argument @NAME is the path of the file NAME: its text, or (text, mode); None: there is none; {}: a folder."""
    @case(f"wrong/{name}")
    def run(context):
        folder = context.scratch / "etc"
        folder.mkdir()
        for file, what in files.items():
            text, mode = what if isinstance(what, tuple) else (what, 0o600)
            path = folder / file.replace("_", ".")
            if text == {}:
                path.mkdir()
            elif text is not None:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
                path.chmod(mode)
        path_of = lambda word: str(folder / word[1:].replace("_", ".")) if word.startswith("@") else word
        refused(run_to_end(context, *command, *map(path_of, args)), status, *map(path_of, words))
        expect(sorted(os.listdir(folder)) == sorted(f.replace("_", ".") for f, what in files.items() if what is not None),
               f"made something: {os.listdir(folder)}")


def each(name, command, flag, values, shown=True):
    """A case for all values of a flag that are wrong: each is named in its message (if it is shown as it is), with the flag."""
    @case(f"wrong/{name}")
    def run(context):
        for value in values:
            refused(run_to_end(context, *command, f"--{flag}={value}"), USAGE, f"--{flag}", *([f'"{value}"'] if shown else []))


# The SLO file.
wrong("slo-is-not-there", GATE, "--slo", "@none", words=["@none"], none=None)
wrong("slo-is-a-folder", GATE, "--slo", "@slo", words=["@slo"], slo={})
wrong("slo-is-empty", GATE, "--slo", "@slo", words=["@slo", "no keys"], slo="")
wrong("slo-is-no-yaml", GATE, "--slo", "@slo", words=["@slo:"], slo="a: [\n")
wrong("slo-is-binary", GATE, "--slo", "@slo", words=["@slo"], slo=bytes(range(256)) * 8)
wrong("slo-is-large", GATE, "--slo", "@slo", words=["@slo", "1 MiB"], slo=OBJECTIVE + "#" * (1 << 20))
wrong("slo-unknown-key", GATE, "--slo", "@slo", words=["@slo:3", "targt", "known:"], slo=OBJECTIVE.replace("target", "targt"))
wrong("slo-no-unit", GATE, "--slo", "@slo", words=["@slo:3", '"99"', "99.9%"], slo=OBJECTIVE.replace("99%", "99"))

# The configuration and what is beside it.
wrong("config-is-a-folder", DAEMON, "--config", "@mw_toml", words=["@mw_toml"], mw_toml={})
wrong("config-is-binary", DAEMON, "--config", "@mw_toml", words=["@mw_toml:1"], mw_toml=bytes(range(256)))
wrong("config-is-large", DAEMON, "--config", "@mw_toml", words=["@mw_toml", "1 MiB"], mw_toml="#" * ((1 << 20) + 1))
wrong("config-everybody-may-write", DAEMON, "--config", "@mw_toml", words=["@mw_toml", "chmod o-w"], mw_toml=("all = true\n", 0o646))
wrong("config-bad-value", DAEMON, "--config", "@mw_toml", words=["@mw_toml:2", "budget", '"much"'], mw_toml="\nbudget = much\n")
wrong("config-twice", DAEMON, "--config", "@mw_toml", words=["@mw_toml:2", "line 1"], mw_toml="budget = 1%\nbudget = 2%\n")
wrong("config-open-quote", DAEMON, "--config", "@mw_toml", words=["@mw_toml:1"], mw_toml='exec = "/bin/cat\n')
wrong("config-unknown-table", DAEMON, "--config", "@mw_toml", words=["@mw_toml:1", "metric"], mw_toml="[metric]\n")
wrong("config-conf.d-is-a-file", DAEMON, "--config", "@mw_toml", words=["@conf_d"], mw_toml="", conf_d="")

# Suppressions.
wrong("suppressions-are-not-there", WATCH, "--suppressions", "@none", words=["@none"], none=None)
wrong("suppressions-are-a-folder", WATCH, "--suppressions", "@s", words=["@s"], s={})
wrong("suppressions-of-no-kind", WATCH, "--suppressions", "@s", words=["@s:2", "mutex"], s="race:a\nmutex:a\n")
wrong("suppressions-of-no-date", WATCH, "--suppressions", "@s", words=["@s:1", "2026-02-30"], s="race:a # until=2026-02-30\n")
wrong("suppressions-everybody-may-write", WATCH, "--suppressions", "@s", words=["@s", "chmod o-w"], s=("race:a\n", 0o602))

# Alerts.
wrong("secret-is-a-folder", WATCH, *HOOK, "--webhook-secret-file", "@s", words=["--webhook-secret-file", "@s"], s={})
wrong("secret-is-empty", WATCH, *HOOK, "--webhook-secret-file", "@s", words=["@s", "urandom"], s="\n")
wrong("secret-others-may-read", WATCH, *HOOK, "--webhook-secret-file", "@s", words=["@s", "chmod 600"], s=("secret", 0o604))
wrong("secret-is-no-base64", WATCH, *HOOK, "--webhook-secret-file", "@s", words=["@s", "base64"], s="whsec_!!\n")
wrong("certificates-are-not-there", WATCH, *HOOK, "--webhook-ca", "@none", words=["--webhook-ca", "@none"], none=None)
wrong("certificates-are-none", WATCH, *HOOK, "--webhook-ca", "@ca", words=["--webhook-ca", "@ca", "BEGIN CERTIFICATE"], ca="none\n")
wrong("certificates-of-nobody", WATCH, "--webhook-ca", "@ca", words=["--webhook-ca", "--webhook"], ca="none\n")
wrong("exec-user-without-exec", WATCH, "--exec-user", "nobody", words=["--exec-user", "--exec"])
each("exec-words", WATCH, "exec", ["cat", "''", "/bin/cat \\", "/bin/cat 'x", "  "], shown=False)
each("exec-max", WATCH, "exec-max", ["0", "65", "-1", "many"])
each("exec-timeout", WATCH, "exec-timeout", ["0", "5", "2h", "1ms"])
each("webhook", WATCH, "webhook", ["a", "ftp://a", "file:///etc/passwd", "http://", "http://u:p@a/"], shown=False)
each("alertmanager", WATCH, "alertmanager", ["localhost:9093", "unix:/a"])
each("alert-wait", WATCH, "alert-wait", ["-1s", "11m", "soon"])
each("alert-interval", WATCH, "alert-interval", ["25h", "x"])
each("alert-repeat", WATCH, "alert-repeat", ["1s", "721h"])
each("alert-resolve", WATCH, "alert-resolve", ["1s", "721h"])
each("alert-spool", WATCH, "alert-spool", ["1K", "2G", "big"])
each("journal", WATCH, "journal", ["maybe"])
each("metrics-listen", ("daemon", "-a"), "metrics-listen", ["9750", "127.0.0.1", "127.0.0.1:99999", "unix:", "example.com:1"])
each("interval", ("daemon", "-a"), "interval", ["0", "5", "soon"])
each("since", ("gate", "--canary", "a", "--baseline", "b"), "since", ["0", "5", "soon"])
wrong("prometheus-is-no-address", GATE, "--slo", "@slo", "--prometheus", "localhost:9090", words=["localhost:9090"], slo=OBJECTIVE)


@case("wrong/state-dir-is-a-file")
def state_is_a_file(context):
    """What is to be kept there cannot be: who only reads it is told at once."""
    state = context.scratch / "state"
    state.write_text("")
    slo = context.scratch / "slo.yaml"
    slo.write_text(OBJECTIVE)
    for asked in (("--slo", slo), ("--canary", "a", "--baseline", "b")):
        refused(run_to_end(context, "gate", "--state-dir", state, *asked), FAILED, str(state))
    refused(run_to_end(context, "dossier", "ls", "--state-dir", state), FAILED, str(state))
    refused(run_to_end(context, "daemon", "-a", "--exclude", "*", "--state-dir", state), USAGE, str(state), "no directory")
    refused(run_to_end(context, "watch", "-p", "1", "--state-dir", state), USAGE, str(state), "no directory")
    expect(state.read_text() == "", "it was written to")
