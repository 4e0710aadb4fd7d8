"""report.html of a dossier: one file that needs nothing else, and that a browser takes as it is meant."""
import base64
import hashlib
import html.parser
import json
import pathlib
import re
import shutil
import subprocess

from .dossier import crashed
from .fixtures import NEWEST, build
from .goroutines import parse
from .harness import Skipped, case, expect

VOID = {"meta", "br", "input"}
SECRET = "secret-value-5f1c"


class Page(html.parser.HTMLParser):
    """Elements must nest; what is in which section is kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.attributes, self.raw = [], set(), set(), {}
        self.ranges, self.text, self.policy = "", "", ""
        self.feed(text)
        self.close()
        expect(not self.open, f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.attributes |= set(given)
        self.ids.add(given.get("id"))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag not in VOID:
            self.open.append((tag, given.get("class")))

    def handle_endtag(self, tag):
        expect(self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-2:]}")
        self.open.pop()

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ("", None)
        if tag[0] in ("style", "script"):
            self.raw[tag[0]] = self.raw.get(tag[0], "") + data
        else:
            self.text += data
        if tag[1] == "ids":
            self.ranges += data + ", "


def numbers(ranges):
    found = set()
    for part in filter(None, ranges.split(", ")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def policy_of(page):
    sums = {tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for tag, text in page.raw.items()}
    return {"default-src 'none'", f"style-src 'sha256-{sums['style']}'", f"script-src 'sha256-{sums['script']}'"}


def check_company(page, company):
    """The page has who holds the map as holders.json has it, where it is short enough to be listed."""
    others = [one for one in company["inside"] if not one["crashing"]]
    for one in others[:20]:
        noun = {"iterate": "iteration"}.get(one["op"], one["op"])
        expect(re.search(rf"goroutine {one['goid']} \[.*inside its {noun}\b", page.text), f"not on the page: {one}")
    expect(bool(others) != ("No other goroutine's stack is in an operation" in page.text), f"others: {others}")
    expect(f"stacks: {company['stack_words']} words of {company['stack_goroutines']} goroutines" in page.text, "words of stacks")
    expect(company["stacks"], "the map is on no stack at all")
    for one in company["variables"][:20]:
        expect(f"{one['section']} {one['address']}" in page.text and (one["name"] or "") in page.text, f"not on the page: {one}")
    for one in company["registers"]:
        expect(f"register {one['register']} of thread {one['tid']}" in page.text, f"not on the page: {one}")


@case("dossier/html", builds=[(NEWEST, "plain")])
def page_of_a_crash(context):
    _, crash = crashed(context, context.scratch / "state", env={"MW_TEST_TOKEN": SECRET})
    path = pathlib.Path(crash["dossier"])
    page = Page((path / "report.html").read_text())
    expect(policy_of(page) <= set(page.policy.split("; ")), f"the policy does not fit the page: {page.policy}")
    acting = {name for name in page.attributes if re.match("on|src|href|style$|action", name)}
    expect(not acting, f"attributes that load or act: {acting}")
    expect({"sides", "company", "timeline", "map", "goroutines", "scheduler"} <= page.ids, f"sections: {page.ids}")
    for side in filter(None, (crash, crash["other"])):
        expect(re.search(rf" by goroutine {side['goid']}\b", page.text), f"goroutine {side['goid']} is no side")
        for frame in side["stack"]:
            expect(f"{frame['func']}()" in page.text and f"{frame['file']}:{frame['line']} " in page.text, f"missing: {frame}")
    expect(crash["time"] in page.text and crash["map"]["addr"][2:] in page.text, "time or address of the map")
    check_company(page, json.loads((path / "holders.json").read_text()))
    listed = set(parse((path / "goroutines.txt").read_text()))
    expect(numbers(page.ranges) == listed, f"goroutines {listed ^ numbers(page.ranges)} are on one of both only")
    expect("MW_TEST_TOKEN" in (path / "env-names.txt").read_text().splitlines(), "the variable's name is not kept")
    for file in path.iterdir():
        expect(SECRET.encode() not in file.read_bytes(), f"the value of an environment variable is in {file.name}")


@case("dossier/html-in-a-browser", builds=[(NEWEST, "plain")])
def in_a_browser(context):
    """Its own policy lets its own script run: the search box, hidden in the file, is shown."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        raise Skipped("no chromium")
    _, crash = crashed(context, context.scratch / "state")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         f"--user-data-dir={context.scratch}/browser", "--dump-dom", f"file://{crash['dossier']}/report.html"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    expect('<p id="search">' in done.stdout, f"the script did not run: {done.stderr[-600:]}")
    expect("CONSOLE" not in done.stderr, f"the browser complains: {re.findall('.*CONSOLE.*', done.stderr)}")
