"""What `mapwatch daemon` serves: the daemon, a look at its metrics, and a real Prometheus that reads them."""
import base64
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from .harness import expect, wait_for
from .process import Mapwatch, Process
from .whole_host import only_below

LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def get(url, method="GET", trust=None, user=None):
    """(status, body). trust: an ssl.SSLContext; user: "NAME:PASSWORD"."""
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=20, context=trust) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Scrape:
    """The samples of one answer of /metrics."""

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = LINE.match(line).groups()
                self.samples.append((name, dict(LABEL.findall(labels or "")), float(value)))

    def of(self, name, **wanted):
        """All samples of this name with these labels, as (labels, value)."""
        return [(labels, value) for each, labels, value in self.samples
                if each == name and all(labels.get(k) == v for k, v in wanted.items())]

    def sum(self, name, **wanted):
        found = self.of(name, **wanted)
        expect(found, f"no {name} with {wanted} in\n{self.text[:3000]}")
        return sum(value for _, value in found)


class Daemon(Mapwatch):
    """`mapwatch daemon` over all that is below the scratch folder; its probes stand when it is made. reach: get(), or what
    knows whom to trust and what to say."""

    def __init__(self, context, *args, listen="127.0.0.1:0", reach=get, **options):
        self.reach = reach
        where = ["--metrics-listen", listen] if listen else []  # else the configuration says it
        full = [] if "--config" in args else ["--sample", "full"]  # what is told is checked, so all is to be seen
        super().__init__(context, "daemon", "-v", *only_below(context.scratch), *where, *full, *args, **options)
        line = self.err.wait(r"metrics at \S+/metrics$", 30)
        expect(line, f"no address: {self.err.text()[-800:]}")
        self.url = line.split()[-1].removesuffix("/metrics").replace("0.0.0.0", "127.0.0.1")
        wait_for("readiness", lambda: not self.running() or self.reach(self.url + "/readyz")[0] == 200, 30)
        expect(self.running(), f"it ended: {self.err.text()[-800:]}")

    def scrape(self):
        status, text = self.reach(self.url + "/metrics")
        expect(status == 200, f"/metrics: {status} {text}")
        return Scrape(text)

    def scrape_until(self, what, wanted, seconds=20):
        """The first scrape for which `wanted` is true."""
        def look():
            scrape = self.scrape()
            return scrape if wanted(scrape) else None
        return wait_for(what, look, seconds, step=0.2)


class Prometheus(Process):
    """A real one, on loopback, with its data in the scratch folder; it scrapes `target`, or nobody, and evaluates `rules`.
    how: more of the job, as YAML's "KEY: VALUE, "."""

    def __init__(self, context, target=None, rules=None, how=""):
        folder = context.scratch / "prometheus"
        folder.mkdir(exist_ok=True)
        config = folder / "prometheus.yml"
        jobs = f"[{{job_name: mapwatch, {how}static_configs: [{{targets: ['{target}']}}]}}]" if target else "[]"
        config.write_text(f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nscrape_configs: {jobs}\n" +
                          (f"rule_files: ['{rules}']\n" if rules else ""))
        super().__init__(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                          "--storage.tsdb.retention.time=1000d", "--web.listen-address=127.0.0.1:0"])
        context.own(self)
        line = self.err.wait(r'msg="Listening on" address=127\.0\.0\.1:[1-9]', 60)
        expect(line, f"prometheus did not start: {self.err.text()[-800:]}")
        self.url = "http://" + re.search(r"address=(\S+)", line)[1]
        wait_for("prometheus", lambda: get(self.url + "/-/ready")[0] == 200, 60)

    def api(self, path):
        """The data of an answer of /api/v1."""
        status, text = get(f"{self.url}/api/v1/{path}")
        expect(status == 200, f"{path}: {status} {text}")
        return json.loads(text)["data"]

    def query(self, expression):
        """[(labels, value)]"""
        result = self.api("query?" + urllib.parse.urlencode({"query": expression}))["result"]
        return [(r["metric"], float(r["value"][1])) for r in result]
