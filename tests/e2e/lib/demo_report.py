"""demo_report.py FINDINGS STDERR: the warning, Go's own crash, and the time between them, side by side."""
import json
import sys


def side(access):
    lines = [f"{access['op']} by goroutine {access['goid']}"]
    for frame in access["stack"]:
        if frame["func"].startswith("main."):
            lines.append(f"  {frame['func']}()")
            lines.append(f"      {frame['file'].rsplit('/', 1)[-1]}:{frame['line']}")
    if not access["stack"]:
        lines.append("  [stack not captured]")
    return lines


def main(findings, stderr):
    with open(findings) as file:
        objects = [json.loads(line) for line in file]
    hazards = [o for o in objects if o["kind"] == "hazard"]
    crash = next((o for o in objects if o["kind"] == "crash"), None)
    first = next((h for h in hazards if all(a["stack"] for a in h["accesses"])), hazards[0] if hazards else None)
    if first is None:
        print("nothing")
    else:
        print(f"{first['time']}  {first['severity']}  {first['map']['type']} at {first['map']['addr']}  ({first['id']})\n")
        left, right = (side(a) for a in first["accesses"])
        for i in range(max(len(left), len(right))):
            print(f"  {left[i] if i < len(left) else '':<44} {right[i] if i < len(right) else ''}".rstrip())
    print("\n################ what Go printed when it ended the process (one side, no map)")
    with open(stderr, errors="replace") as file:
        printed = [line.rstrip("\n") for line in file][:11]
    for line in printed:
        print("  " + "".join(c if c.isprintable() or c == "\t" else "?" for c in line))
    print("\n################ how long before")
    if crash and crash["lead_ns"] is not None:
        ns = crash["lead_ns"]
        lead = f"{ns / 1e9:.2f} s" if ns >= 1e9 else f"{ns / 1e6:.2f} ms"
        print(f"  the first warning had left mapwatch {lead} before: {crash['reason']}")
    elif crash:
        print(f"  no warning had left mapwatch before: {crash['reason']}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
