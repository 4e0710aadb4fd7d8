"""The Debian package: clean in lintian's eyes, the same each time, and in a Debian of its own installed, run and removed; the
recipe of the image, as far as it can be checked without a registry."""
import json
import os
import pathlib
import re
import shutil
import subprocess

from .exported import exported, flags, commands
from .exported_ops import said_by
from .fixtures import ROOT
from .harness import case, expect
from .process import run_to_end

CONTENTS = {"usr/bin/mapwatch", "usr/share/man/man8/mapwatch.8.gz", "etc/mapwatch/mapwatch.toml",
            "usr/share/bash-completion/completions/mapwatch", "usr/share/zsh/vendor-completions/_mapwatch",
            "usr/share/fish/vendor_completions.d/mapwatch.fish", "usr/share/doc/mapwatch/copyright",
            "usr/share/doc/mapwatch/changelog.gz", "usr/share/doc/mapwatch/changelog.Debian.gz",
            "usr/share/doc/mapwatch/examples/rules.yaml", "usr/share/doc/mapwatch/examples/dashboard.json",
            "usr/share/doc/mapwatch/examples/kubernetes.yaml", "usr/share/doc/mapwatch/examples/findings.schema.json"}


def package():
    """`make deb`: the path of what it made."""
    return pathlib.Path(said_by("make", "-s", "--no-print-directory", "deb", cwd=ROOT).splitlines()[-1])


def release_and_mirror():
    """This machine's release of Debian and where it gets that from."""
    release = re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)[1]
    sites = said_by("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)").splitlines()
    mirrors = [site for site, name in map(str.split, sites) if name == release]
    expect(mirrors, f"no mirror of {release}")
    return release, mirrors[0]


@case("package/manual-is-what-help-says")
def manual(context):
    """man finds nothing to say, and shows each command and each flag of --help."""
    page = context.scratch / "mapwatch.8"
    page.write_text(exported(context, "man"))
    env = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="100", MAN_KEEP_FORMATTING="")
    done = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True, text=True, env=env, timeout=60)
    expect(done.returncode == 0 and not done.stderr, f"man: {done.stderr}")
    text = said_by("man", "-l", page, env=dict(env, MANPAGER="cat", GROFF_NO_SGR="1"))
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", text)
    for command in commands(context):
        expect(re.search(rf"^ +{command}\b", text, re.MULTILINE), f"no command {command}")
        missing = {flag for flag in flags(context, command) if flag not in text}
        expect(not missing, f"{command}: {missing}")


@case("package/deb-is-clean")
def clean(context):
    deb = package()
    # It is no upload to Debian: there is no bug that asks for one.
    said = said_by("lintian", "--allow-root", "--no-cfg", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs", deb)
    expect(not re.search("^[EW]:", said, re.MULTILINE), said)
    listed = {line.split()[-1].removeprefix("./") for line in said_by("dpkg-deb", "-c", deb).splitlines() if not line.startswith("d")}
    units = {path for path in listed if path.endswith("/systemd/system/mapwatch.service")}
    wanted = CONTENTS | {f"usr/share/doc/mapwatch/examples/recipes/{path.name}" for path in (ROOT / "docs/recipes").iterdir()}
    expect(len(units) == 1 and listed - units == wanted, f"{listed ^ wanted}")
    expect(all(" root/root " in line for line in said_by("dpkg-deb", "-c", deb).splitlines()), "not all is root's")
    said_by("dpkg-deb", "-x", deb, context.scratch / "unpacked")
    for path in (ROOT / "docs/recipes").iterdir():
        put = context.scratch / "unpacked/usr/share/doc/mapwatch/examples/recipes" / path.name
        expect(put.read_bytes() == path.read_bytes() and os.access(put, os.X_OK) == os.access(path, os.X_OK), f"{path.name}")
    depends = said_by("dpkg-deb", "-f", deb, "Depends")
    expect("libelf1" in depends and "libbpf" not in depends, depends)
    shutil.move(deb, context.scratch / "first.deb")
    expect((context.scratch / "first.deb").read_bytes() == package().read_bytes(), "the second package is another one")


@case("package/configuration-is-one")
def configuration(context):
    """The example that is installed is read, and says what the unit and the manifests say."""
    config = context.scratch / "mapwatch.toml"
    shutil.copy(ROOT / "packaging/debian/mapwatch.toml", config)
    for text in (config.read_text(), re.sub(r"^# (?=\[\[|\w+ = )", "", config.read_text(), flags=re.MULTILINE)):
        config.write_text(text)
        status, out, err = run_to_end(context, "daemon", "--config", config, "--print-config")
        expect(status == 0, f"{status}: {err}")
        expect(re.search(r"^sample = auto .*mapwatch.toml", out, re.MULTILINE), out)
    expect("[[target]]" in out and re.search(r"^budget = 0.25%", out, re.MULTILINE), f"the section is not read: {out}")
    # Unlike the file it names no program.
    expect(" daemon --config /etc/mapwatch/mapwatch.toml" in exported(context, "unit"), "the unit reads another file")


@case("package/image-recipe")
def image(context):
    """Each file that it copies is there, its steps are those that the tests run, and what it starts is in the package."""
    text = (ROOT / "packaging/Containerfile").read_text()
    steps = re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    froms = [words.split()[0] for kind, words in steps if kind == "FROM"]
    expect(froms and all(re.fullmatch(r"debian:1[23](-slim)?", name) for name in froms), f"{froms}")
    expect(len({name.removesuffix("-slim") for name in froms}) == 1, f"built on another release than it runs on: {froms}")
    for kind, words in steps:
        if kind == "COPY" and not words.startswith("--from"):
            expect((ROOT / words.split()[0]).exists(), f"COPY {words}")
        if kind == "RUN":
            said_by("sh", "-n", "-c", words.replace("\\\n", " "))
    expect(".ci/deps" in text and re.search(r"\bmake .*\bdeb$", text, re.MULTILINE), text)
    entry = json.loads(next(words for kind, words in steps if kind == "ENTRYPOINT"))
    expect(entry == ["/usr/bin/mapwatch"] and "usr/bin/mapwatch" in CONTENTS, f"{entry}")
    command = json.loads(next(words for kind, words in steps if kind == "CMD"))
    expect(f"args: [{', '.join(command)}]" in exported(context, "k8s"), f"the manifests start it with other words than {command}")


# In the new root: only what is installed there can run.
INSIDE = r"""
set -e
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
apt-get update -q > /dev/null
apt-get install -y -q --no-install-recommends /mapwatch.deb > /install.log 2>&1 || { tail -n 30 /install.log; exit 1; }
mapwatch --version
mapwatch doctor || test $? = 3
mapwatch ls -a > /dev/null
dpkg --verify mapwatch
test ! -e /etc/systemd/system/multi-user.target.wants/mapwatch.service
mkdir -p /var/lib/mapwatch/dossiers/x
apt-get remove -y -q mapwatch > /dev/null
test ! -e /usr/bin/mapwatch
test -e /etc/mapwatch/mapwatch.toml
test -e /var/lib/mapwatch/dossiers/x
apt-get purge -y -q mapwatch > /dev/null
rm -f /mapwatch.deb
find / -xdev -name '*mapwatch*' ! -path '/proc/*' ! -path '/var/cache/*' ! -path '/var/log/*' ! -path /run/mapwatch
"""


@case("package/installed-and-removed", quick=False)
def installed(context):
    """In a Debian of the release that the package was made for, with nothing else in it."""
    release, mirror = release_and_mirror()
    root = context.scratch / "root"
    # In a mount namespace of its own: what is mounted is gone with it, whatever ends this.
    said_by("mmdebstrap", "--quiet", "--variant=minbase", release, root, mirror)
    shutil.copy(package(), root / "mapwatch.deb")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    (root / "inside").write_text(INSIDE)
    said = said_by("unshare", "-m", "--propagation", "private", "sh", "-ec",
                   'mount -t proc proc "$0/proc"; mount --rbind /sys "$0/sys"; mount --rbind /dev "$0/dev"; exec chroot "$0" sh /inside', root)
    lines = said.splitlines()
    expect(re.fullmatch(r"mapwatch \d+\.\d+\.\d+", lines[0]), said)
    expect("uprobe_multi" in said and "programs" in said, f"doctor: {said}")
    expect(not [line for line in lines if line.startswith("/")], f"left behind: {said}")
