"""mapwatch daemon by TLS: a web configuration file that promtool knows, too; a real Prometheus scrapes with a CA and a
password; certificates and passwords change without a start; whoever may not ask is not answered."""
import functools
import http.client
import signal
import socket
import ssl
import subprocess

from . import check
from .daemon import race
from .harness import case, expect, wait_for
from .lifecycle import PLAIN, probe_bytes, untouched
from .process import Target, run_to_end
from .served import Daemon, Prometheus, get
from .whole_host import copy_of, only_below

# htpasswd -nbBC 10 prometheus PASSWORD
PASSWORDS = {"open sesame": "$2y$10$2EFjQppohqAFmaTG5lI5EumMvW3dZGC2irly2eQt066ooxjQ3aRbG", "another one": "$2y$10$.Q9.oPxNt5fAC0nGUrP3Ze.L8huobPu6YDhytHi42gVxJsUbLdv6."}
OPEN = "0.0.0.0:0"


def openssl(folder, *args):
    done = subprocess.run(["openssl", *map(str, args)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60)
    expect(done.returncode == 0, f"openssl {args}: {done.stdout}")


class Authority:
    """A CA of its own, and certificates of it."""

    def __init__(self, context, name="ca"):
        self.folder, self.name = context.scratch / "certificates", name
        self.folder.mkdir(exist_ok=True)
        self.ca = self.folder / f"{name}.pem"
        openssl(self.folder, "req", "-x509", *self.new_key(name), "-out", self.ca, "-subj", f"/CN={name}", "-days", "2")

    def new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.folder / f"{name}.key"]

    def issue(self, name, use="serverAuth"):
        """NAME.pem and NAME.key for 127.0.0.1; a second one of a name takes the place of the first."""
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName = IP:127.0.0.1\nextendedKeyUsage = {use}\n")
        openssl(self.folder, "req", *self.new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(self.folder, "x509", "-req", "-in", f"{name}.csr", "-CA", self.ca, "-CAkey", f"{self.name}.key", "-CAcreateserial",
                "-days", "2", "-extfile", extensions, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def trust(self, client=None, **settings):
        """What a client that trusts this CA connects with; client: its own (certificate, key)."""
        made = ssl.create_default_context(cafile=self.ca)
        if client:
            made.load_cert_chain(*client)
        for name, value in settings.items():
            setattr(made, name, value)
        return made


def web_config(context, *lines, password=None, mode=0o600):
    """The file, as Prometheus' own tool takes it."""
    path = context.scratch / "certificates" / "web.yml"
    users = ["basic_auth_users:", f"  prometheus: {PASSWORDS[password]}"] if password else []
    path.write_text("\n".join([*lines, *users, ""]))
    path.chmod(mode)
    return path


def valid(path):
    done = subprocess.run(["promtool", "check", "web-config", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60)
    expect(done.returncode == 0 and "SUCCESS" in done.stdout, f"promtool: {done.returncode} {done.stdout}")
    return path


SERVER = ("tls_server_config:", "  cert_file: server.pem", "  key_file: server.key")


def turned_away(ask):
    """No answer of HTTP comes at all."""
    try:
        ask()
    except (OSError, http.client.HTTPException):
        return True
    return False


@case("daemon/tls-a-real-prometheus-reads-it", builds=PLAIN)
def prometheus(context):
    """At an address that is open to other hosts. Nobody else is answered, and those who guess do not keep it out."""
    authority = Authority(context)
    authority.issue("server")
    config = valid(web_config(context, *SERVER, password="open sesame"))
    target = context.own(Target(copy_of(context, "calm"), "rw3", pace="1ms", held=False))
    ask = functools.partial(get, trust=authority.trust())
    daemon = Daemon(context, "--web-config-file", config, listen=OPEN, reach=functools.partial(ask, user="prometheus:open sesame"))
    expect(daemon.url.startswith("https://127.0.0.1:"), daemon.url)
    daemon.attached(target.pid)
    where = daemon.url.removeprefix("https://")
    server = Prometheus(context, where, how=f"scheme: https, tls_config: {{ca_file: '{authority.ca}'}}, "
                                            "basic_auth: {username: prometheus, password: open sesame}, ")
    wait_for("a scrape", lambda: server.query('up{job="mapwatch"} == 1'), 30)
    # Of an address that was wrong the next ones may have to wait.
    answers = [ask(daemon.url + path, user=user)[0] for user in (None, "prometheus:wrong", "nobody:open sesame", "prometheus:guess")
               for path in ("/metrics", "/healthz")]
    expect(answers[:2] == [401, 401] and set(answers) <= {401, 429}, f"{answers}")
    expect(turned_away(lambda: get(f"http://{where}/metrics")), "plain HTTP was answered")
    expect(turned_away(lambda: get(daemon.url + "/metrics", user="prometheus:open sesame")), "a client without the CA went on")
    expect(daemon.reach(daemon.url + "/healthz") == (200, "ok\n"), "what was right before is not known any more")
    last = lambda: server.query("timestamp(mapwatch_build_info)")[0][1]
    before = last()
    wait_for("one more scrape", lambda: last() > before, 30)
    daemon.stop(signal.SIGTERM)
    check.silent(daemon, hits=100)
    target.finish()


@case("daemon/tls-client-certificates", builds=PLAIN)
def client_certificates(context):
    authority, stranger = Authority(context), Authority(context, "stranger")
    authority.issue("server")
    client, other = authority.issue("client", "clientAuth"), stranger.issue("other", "clientAuth")
    asked = (*SERVER, "  client_ca_file: ca.pem", "  client_auth_type: RequireAndVerifyClientCert", "  min_version: TLS13")
    good = functools.partial(get, trust=authority.trust(client))
    daemon = Daemon(context, "--web-config-file", valid(web_config(context, *asked)), listen=OPEN, reach=good)
    refused = {"without one": authority.trust(), "with one of another CA": authority.trust(other),
               "with a server's": authority.trust(authority.issue("server2")),
               "by TLS 1.2": authority.trust(client, maximum_version=ssl.TLSVersion.TLSv1_2)}
    for how, trust in refused.items():
        expect(turned_away(lambda: get(daemon.url + "/metrics", trust=trust)), f"answered {how}")
    daemon.scrape()
    # An address of this host alone may do with less.
    web_config(context, *SERVER, "  client_ca_file: ca.pem", "  client_auth_type: VerifyClientCertIfGiven")
    local = Daemon(context, "--web-config-file", context.scratch / "certificates" / "web.yml", "--run-dir", context.scratch / "run2",
                   reach=functools.partial(get, trust=authority.trust()))
    local.scrape()
    expect(good(local.url + "/metrics")[0] == 200, "one of the CA is refused")
    expect(get(local.url + "/metrics", trust=authority.trust(client, maximum_version=ssl.TLSVersion.TLSv1_2))[0] == 200, "TLS 1.2")
    expect(turned_away(lambda: get(local.url + "/metrics", trust=authority.trust(other))), "one of another CA is let in")
    for each in (daemon, local):
        each.stop(signal.SIGTERM)


def served_certificate(url, trust):
    host, port = url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain, trust.wrap_socket(plain, server_hostname=host) as tls:
        return tls.getpeercert()["serialNumber"]


@case("daemon/tls-reload", builds=PLAIN)
def reload(context):
    """SIGHUP: a new certificate and new passwords are served by the same process; what is wrong leaves the old ones."""
    authority = Authority(context)
    certificate, key = authority.issue("server")
    trust = authority.trust()
    config = web_config(context, *SERVER, password="open sesame")
    target = context.own(Target(copy_of(context, "calm"), "rw3", pace="1ms", held=False))
    good = functools.partial(get, trust=trust, user="prometheus:open sesame")
    daemon = Daemon(context, "--web-config-file", config, listen=OPEN, reach=good)
    daemon.attached(target.pid)
    reloads = lambda result: lambda s: s.sum("mapwatch_config_reloads_total", result=result)
    first = served_certificate(daemon.url, trust)

    authority.issue("server")
    expect(served_certificate(daemon.url, trust) == first, "read without being told to")
    daemon.signal(signal.SIGHUP)
    daemon.scrape_until("the reload", lambda s: reloads("success")(s) == 1)
    second = served_certificate(daemon.url, trust)
    expect(second != first, "the old certificate is served")

    secret = config.read_text()
    failures = [
        (lambda: web_config(context, *SERVER, "  key_fil: x", password="open sesame"), f"{config}:4: unknown key key_fil"),
        (lambda: web_config(context, *SERVER, password="open sesame", mode=0o644), f"{config}: others may read it"),
        (lambda: web_config(context, *SERVER), "is open to other hosts, and everybody there could ask"),
        (lambda: web_config(context, password="open sesame"), "TLS is turned on or off at 0.0.0.0:0 by a new start only"),
        (config.unlink, f"{config}: No such file"),
        (lambda: (config.write_text(secret), config.chmod(0o600), key.write_text("nonsense")), f"key_file {key}"),
        (lambda: (authority.issue("server"), key.chmod(0o640), certificate.chmod(0o666)), f"{certificate}: others may change it"),
    ]
    for number, (spoil, message) in enumerate(failures, 1):
        spoil()
        daemon.signal(signal.SIGHUP)
        daemon.scrape_until("the failure", lambda s: reloads("failure")(s) == number)
        expect("the configuration stays as it was" in daemon.err.text() and message in daemon.err.text(),
               f"{message}: {daemon.err.text()[-600:]}")
        expect(served_certificate(daemon.url, trust) == second, f"{message}: another certificate")

    certificate.chmod(0o644)
    web_config(context, *SERVER, password="another one")
    daemon.signal(signal.SIGHUP)
    daemon.reach = functools.partial(get, trust=trust, user="prometheus:another one")
    wait_for("the new password", lambda: daemon.reach(daemon.url + "/metrics")[0] == 200, 30, step=1)
    expect(good(daemon.url + "/metrics")[0] in (401, 429), "the old password is taken")
    expect(served_certificate(daemon.url, trust) != second, "the old certificate is served")
    expect(daemon.err.text().count(f"attached to PID {target.pid}") == 1, "it was attached again")
    daemon.stop(signal.SIGTERM)
    check.silent(daemon, hits=100)
    target.finish()


@case("daemon/tls-refused-before-anything", builds=PLAIN)
def refused(context):
    """What would tell other hosts, or is wrong, ends with status 2, and says what to do; no probe is set."""
    authority = Authority(context)
    _, key = authority.issue("server")
    target = context.own(Target(copy_of(context, "calm"), "rw3", pace="1ms", held=False))
    probes = probe_bytes(context, target.pid)
    path = web_config(context)
    cases = [
        ((), {}, "and there is no TLS", "tls_server_config and basic_auth_users"),
        ((), {"password": "open sesame"}, "and there is no TLS", "tls_server_config and basic_auth_users"),
        (SERVER, {}, "and everybody there could ask", "RequireAndVerifyClientCert"),
        (SERVER, {"password": "open sesame", "mode": 0o604}, "others may read it", "chmod 600"),
        ((*SERVER, "  cipher_suites: [x]"), {"password": "open sesame"}, f"{path}:4: cipher_suites is nothing that mapwatch does", "GnuTLS"),
        (("tls_server_config:", "  cert_file: server.pem"), {}, f"{path}:2: key_file is missing", ""),
    ]
    for lines, rest, message, hint in cases:
        web_config(context, *lines, **rest)
        status, _, err = run_to_end(context, "daemon", *only_below(context.scratch), "--metrics-listen", OPEN, "--web-config-file", path)
        expect(status == 2 and message in err and hint in err and "attached" not in err, f"{lines} {rest}: {status}: {err}")
    key.chmod(0o644)
    web_config(context, *SERVER, password="open sesame")
    status, _, err = run_to_end(context, "daemon", *only_below(context.scratch), "--web-config-file", path)  # on loopback, too
    expect(status == 2 and f"{key}: others may read it" in err, f"{status}: {err}")
    expect(untouched(target.pid, probes), "probes in the text")
    target.finish()


@case("daemon/tls-slow-clients-change-nothing", builds=PLAIN)
def slow(context):
    """Hundreds of connections that never end their handshake, or their request behind it: findings come, others are served."""
    authority = Authority(context)
    authority.issue("server")
    racy = copy_of(context, "racy")
    trust = authority.trust()
    daemon = Daemon(context, "--web-config-file", web_config(context, *SERVER, password="open sesame"), listen=OPEN,
                    reach=functools.partial(get, trust=trust, user="prometheus:open sesame"))
    host, port = daemon.url.removeprefix("https://").split(":")
    # The first five bytes of a record that would be a ClientHello of 512.
    beginnings = [b"", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    held = []
    for i in range(300):
        held.append(context.own(socket.create_connection((host, int(port)), timeout=20)))
        try:
            if i % 10 == 0:
                held[-1] = context.own(trust.wrap_socket(held[-1], server_hostname=host))
                held[-1].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            else:
                held[-1].sendall(beginnings[i % 3])
        except OSError:
            pass  # it was ended for those that came later
    race(context, daemon, racy)
    scrape = daemon.scrape_until("the hazard", lambda s: s.sum("mapwatch_hazard_sites") >= 1)
    expect(scrape.sum("process_open_fds") < 300, f"{scrape.sum('process_open_fds')} descriptors are open")
    expect(daemon.reach(daemon.url + "/healthz") == (200, "ok\n"), "not healthy")
    daemon.stop(signal.SIGTERM)
