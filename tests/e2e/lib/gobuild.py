"""The go command of a version, as it comes from its module: what the machine has set for its own Go must not matter."""
import os
import subprocess

from . import fixtures


def go(version, *arguments, cwd, cgo=False, **environment):
    """Runs `go ARGUMENTS` in a folder; what is wrong is a BuildError with the end of its output."""
    env = {k: v for k, v in os.environ.items() if k not in ("GOROOT", "GOEXPERIMENT")}
    env.update(GOFLAGS="-mod=mod", GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="1" if cgo else "0", **environment)
    done = subprocess.run([fixtures.goroot(version) + "/bin/go", *map(str, arguments)], cwd=cwd, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise fixtures.BuildError(f"go {' '.join(map(str, arguments))} in {cwd}: {done.stdout.strip()[-800:]}")
