"""Those who are told of findings: a webhook that checks what it gets, and a real Alertmanager."""
import base64
import hashlib
import hmac
import http.server
import json
import re
import threading

from .harness import expect, wait_for
from .process import Process
from .served import get

V4 = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations",
      "externalURL", "alerts"}
OF_ALERT = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Webhook:
    """A receiver on loopback. `answer`: the status of what comes next. Everything that is wrong with a request is kept in
    `wrong`, and check() tells it."""

    def __init__(self, context, secret=None, port=0):
        self.answer, self.retry_after, self.hang = 200, None, threading.Event()
        self.hang.set()
        self.secret, self.tries, self.taken, self.wrong = secret, [], [], []
        self.changed = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.hang.wait(60)
                status = outer.answer
                try:
                    self.send_response(status)
                    if outer.retry_after:
                        self.send_header("Retry-After", outer.retry_after)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    return
                outer.note(dict(self.headers), body, status)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass  # a sender that was killed
        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?token=hidden"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        context.own(self)

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()

    def note(self, headers, body, status):
        with self.changed:
            try:
                self.check_one({k.lower(): v for k, v in headers.items()}, body)
            except Exception as why:  # the handler's thread has nobody to tell
                self.wrong.append(f"{why}: {headers} {body[:500]}")
                self.changed.notify_all()
                return
            got = (headers.get("webhook-id"), json.loads(body), body)
            self.tries.append(got)
            if 200 <= status < 300:
                self.taken.append(got)
            self.changed.notify_all()

    def check_one(self, headers, body):
        expect(headers["content-type"] == "application/json", "content type")
        key = headers["webhook-id"]
        expect(re.fullmatch("[0-9a-f]{32}", key) and headers["idempotency-key"] == f'"{key}"', "keys")
        expect(headers["user-agent"].startswith("mapwatch/"), "user agent")
        if self.secret:
            signed = f"{key}.{headers['webhook-timestamp']}.".encode() + body
            made = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
            expect(hmac.compare_digest(headers["webhook-signature"], "v1," + made), "signature")
        else:
            expect("webhook-signature" not in headers, "signed by nobody")
        told = json.loads(body)
        expect(set(told) == V4 and told["version"] == "4", f"fields {set(told)}")
        expect(told["alerts"] and told["status"] in ("firing", "resolved"), "status")
        for alert in told["alerts"]:
            expect(set(alert) == OF_ALERT, f"fields of an alert {set(alert)}")
            expect(TIME.fullmatch(alert["startsAt"]) and TIME.fullmatch(alert["endsAt"]), "times")
            over = alert["status"] == "resolved"
            expect(over == (alert["endsAt"] != "0001-01-01T00:00:00Z"), "an end of what goes on")
            expect({"alertname", "severity", "exe", "id", "kind", "instance"} == set(alert["labels"]), f"{alert['labels']}")
        for alert in told["alerts"]:
            expect(alert["labels"].items() >= told["groupLabels"].items(), "an alert of another group")
            expect(alert["labels"].items() >= told["commonLabels"].items(), "common labels")
        before = [other for other in self.tries if other[0] == key]
        expect(all(other[2] == body for other in before), "another body under the same key")

    def wait(self, what, wanted, seconds=30):
        """The first notification taken for which `wanted` is true."""
        def look():
            expect(not self.wrong, f"{self.wrong}")
            return next((body for _, body, _ in list(self.taken) if wanted(body)), None)
        return wait_for(what, look, seconds)

    def wait_tries(self, count, seconds=30):
        wait_for(f"{count} tries", lambda: self.wrong or len(self.tries) >= count, seconds)
        expect(not self.wrong, f"{self.wrong}")

    def alerts(self):
        """All alerts that were taken."""
        expect(not self.wrong, f"{self.wrong}")
        return [alert for _, body, _ in list(self.taken) for alert in body["alerts"]]


class Alertmanager(Process):
    """A real one, on loopback, with its data in the scratch folder, that tells `webhook` at once, or as `text` says."""

    def __init__(self, context, webhook=None, text=None):
        folder = context.scratch / "alertmanager"
        folder.mkdir()
        config = folder / "alertmanager.yml"
        config.write_text(text or f"""
route: {{receiver: r, group_by: [alertname, exe], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}}
receivers: [{{name: r, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]
""")
        # Its log does not tell which port it got.
        import socket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder / 'data'}",
                          f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="])
        context.own(self)

        def ready():
            expect(self.running(), f"alertmanager ended: {self.err.text()[-800:]}")
            try:
                return get(self.url + "/-/ready")[0] == 200
            except OSError:
                return False
        wait_for("alertmanager", ready, 60)

    def alerts(self):
        status, text = get(self.url + "/api/v2/alerts")
        expect(status == 200, f"{status} {text}")
        return json.loads(text)
