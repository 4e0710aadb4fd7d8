"""What `mapwatch export` prints, in the hands of the programs that it is for: three shells, and a JSON schema validator."""
import json
import os
import pathlib
import re
import subprocess

from .bad_input import usage
from .fixtures import NEWEST, build
from .harness import Failed, case, expect
from .process import Mapwatch, Target, run_to_end

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"

usage("export-nothing", "export")
usage("export-completion-of-no-shell", "export", "completion")
usage("export-completion-of-another-shell", "export", "completion", "csh", words=["csh", "bash"])
usage("export-of-what-there-is-not", "export", "dashbord", words=["dashbord"])


def exported(context, *what):
    status, out, err = run_to_end(context, "export", *what)
    expect(status == 0 and out, f"export {what}: status {status}, {err[-300:]}")
    return out


def shell(*command, stdin=""):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0 and not done.stderr, f"{command[0]} says {done.stderr[-500:]}, status {done.returncode}")
    return done.stdout.split("\n")


def in_bash(script, *words):
    """What bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in words)
    return set(filter(None, shell("bash", "--norc", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
                                  "_mapwatch; printf '%s\\n' \"${COMPREPLY[@]}\"")))


def in_fish(script, *words):
    found = shell("fish", "--no-config", "-c", f"source {script}; complete -C '{' '.join(words)}'")
    return {line.split("\t")[0] for line in found if line}


# zsh completes in a terminal only: one of its own (zpty) is given the words and a tab. Its widget notes what is offered,
# and says through a pipe when that was all.
ZSH = r"""zmodload zsh/zpty; zpty z zsh -f -i
ready() { local line; while zpty -r z line '*DONE*'; do [[ $line = *DONE* ]] && break; done }
zpty -w z 'autoload -Uz compinit; compinit -u -D; source SCRIPT; print DO""NE'; ready
zpty -w z 'offered() { compadd() { local -a found; builtin compadd -O found "$@"; print -rl -- $found >> SCRIPT.found; builtin compadd "$@" }; _main_complete; unfunction compadd; print > SCRIPT.over }; zle -C offered complete-word offered; bindkey "^I" offered; print DO""NE'; ready
zpty -w -n z "WORDS"$'\t'
read < SCRIPT.over
zpty -d z"""


def in_zsh(script, *words):
    found, over = pathlib.Path(f"{script}.found"), pathlib.Path(f"{script}.over")
    found.unlink(missing_ok=True)
    over.unlink(missing_ok=True)
    os.mkfifo(over)
    shell("zsh", "-f", "-c", ZSH.replace("SCRIPT", str(script)).replace("WORDS", " ".join(words)))
    return set(found.read_text().split()) if found.exists() else set()


OFFERS = {"bash": in_bash, "fish": in_fish, "zsh": in_zsh}


def commands(context):
    text = run_to_end(context, "--help")[1]
    return re.findall(r"^  ([a-z]+) ", text[text.index("Commands:"):], re.MULTILINE)


def flags(context, command):
    return set(re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", run_to_end(context, command, "--help")[1], re.MULTILINE))


def completes(name):
    @case(f"export/completion-{name}")
    def run(context):
        script = context.scratch / "mapwatch.completion"
        script.write_text(exported(context, "completion", name))
        offers = OFFERS[name]
        known = commands(context)
        expect(len(known) >= 10, f"only {known}")
        offered = offers(script, "mapwatch", "")
        expect(set(known) <= offered, f"not offered: {set(known) - offered}")
        for command in known:
            # --version is for every command, and offered by none.
            wanted, got = flags(context, command) - {"--version"}, offers(script, "mapwatch", command, "--")
            expect(wanted == {word for word in got if word.startswith("--")},
                   f"{command}: help and completion differ in {wanted ^ got}")
        expect({"auto", "full"} <= offers(script, "mapwatch", "watch", "--sample", ""), "--sample has no words")
        expect({"text", "compact", "json"} <= offers(script, "mapwatch", "watch", "-o", ""), "-o has no words")
        expect({"dashboard", "rules", "unit", "k8s", "man", "completion", "schema"} <= offers(script, "mapwatch", "export", ""),
               "export has no words")
        expect({"ls", "show", "verify", "export", "rm"} <= offers(script, "mapwatch", "dossier", ""), "dossier has no words")


for _shell in OFFERS:
    completes(_shell)


def closed(schema):
    """The schema as strict as one can be: nothing that it does not name."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema:
            schema["additionalProperties"] = False
        return schema
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@case("export/schema-holds-for-all-that-is-printed", builds=[(NEWEST, "plain")])
def schema(context):
    import jsonschema
    text = json.loads(exported(context, "schema"))
    jsonschema.Draft202012Validator.check_schema(text)
    strict = jsonschema.Draft202012Validator(closed(text))
    objects = [json.loads(line) for path in sorted(GOLDEN.glob("*/expect.json")) for line in path.read_text().splitlines()
               if line.startswith("{")]
    target = context.own(Target(build(NEWEST), "write_write", pace="1ms"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    mapwatch.wait_hazard(30)
    mapwatch.stop()
    live = mapwatch.objects()
    expect({one["kind"] for one in live} >= {"hazard", "summary"}, f"only {[one['kind'] for one in live]}")
    for one in objects + live:
        kind = jsonschema.Draft202012Validator({**closed(text), "oneOf": [{"$ref": f"#/$defs/{one['kind']}"}]})
        for error in kind.iter_errors(one):
            raise Failed(f"{one['kind']} {one.get('id')}: {'/'.join(map(str, error.path))}: {error.message[:300]}")
        expect(strict.is_valid(one), "oneOf does not tell the kinds apart")
    kinds = {one["kind"] for one in objects}
    expect(kinds == {"hazard", "crash", "lost", "summary"}, f"the recordings have only {kinds}")
    spoiled = dict(live[-1], hits="many")
    expect(not strict.is_valid(spoiled), "it lets a wrong type pass")
