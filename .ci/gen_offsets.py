#!/usr/bin/env python3
"""Writes user/elf/*.inc from go_offsets.json (struct layouts by Go version, taken from DWARF).

Usage: .ci/gen_offsets.py go_offsets.json [offsets|runtime|waitreasons] > user/elf/NAME.inc
  offsets      offset_table.inc: what the detector needs (the default)
  runtime      runtime_table.inc: the scheduler's structs, for goroutines
  waitreasons  wait_reasons.inc: why a goroutine is parked
"""
import json
import sys

FIRST_MINOR = 17


def fields(structs, *names):
    for name in names:
        if name in structs:
            return {key: field["off"] for key, field in structs[name]["fields"].items()}
    raise KeyError(names)


def row(version, entry):
    structs = entry["structs"]
    g, m = fields(structs, "runtime.g"), fields(structs, "runtime.m")
    module = fields(structs, "runtime.moduledata")
    if "internal/runtime/maps.Map" in structs:
        kind, mask = "kSwiss", 0xFF
        table, it = fields(structs, "internal/runtime/maps.Map"), fields(structs, "internal/runtime/maps.Iter")
        mark, length, seed, it_map, it_type = table["writing"], table["used"], table["seed"], it["m"], it["typ"]
    else:
        kind, mask = "kBuckets", 0x04
        table, it = fields(structs, "runtime.hmap"), fields(structs, "runtime.hiter")
        mark, length, seed, it_map, it_type = table["flags"], table["count"], table["hash0"], it["h"], it["t"]
    stack = g["stack"]
    minor = int(version.split("+")[0].split(".")[1])
    values = [g["goid"], g["gopc"], g["m"], stack, stack + 8, m["curg"], mark, mask, length, seed, it_map, it_type]
    layout = [module["types"], module["etypes"], module.get("gofunc", 0)]
    return "{%d, MapKind::%s, {OffsetSource::kTable, %s}, {%s}},  // go%s" % (
        minor, kind, ", ".join(map(str, values)), ", ".join(map(str, layout)), entry["patch"])


# The order is that of the members of elf::RuntimeLayout. NAME+N: N bytes after the field; A|B: the first that exists.
RUNTIME = [
    ("runtime.g", ["stack", "m", "sched", "gobuf.bp", "syscallsp", "syscallpc", "atomicstatus", "goid", "waitsince",
                   "waitreason", "lockedm", "parentGoid", "gopc", "startpc", "waiting", "labels"]),
    ("runtime.m", ["g0", "procid", "gsignal", "curg", "p", "id", "throwing", "locks", "spinning", "blocked", "incgo",
                   "alllink", "lockedg", "vdsoSP", "vdsoPC"]),
    ("runtime.p", ["id", "status", "schedtick", "syscalltick", "m", "runqhead", "runqtail", "runq", "runnext"]),
    ("runtime.schedt", ["goidgen", "lastpoll", "nmidle", "nmsys", "npidle", "nmspinning", "runqsize|runq+16",
                        "gcwaiting", "stopwait"]),
    ("runtime.sudog", ["elem", "waitlink", "c", "isSelect"]),
]
ABSENT = "kAbsent"


def runtime_offset(structs, table, name):
    if name == "gobuf.bp":
        return table["sched"] + fields(structs, "runtime.gobuf")["bp"]
    for choice in name.split("|"):
        field, _, extra = choice.partition("+")
        if field in table:
            return table[field] + int(extra or 0)
    return ABSENT


def runtime_row(entry):
    structs = entry["structs"]
    groups = []
    for struct, names in RUNTIME:
        table = fields(structs, struct)
        groups.append("{%s}" % ", ".join(str(runtime_offset(structs, table, name)) for name in names))
    return "OffsetSource::kTable, %s" % ", ".join(groups)


def print_runtime(versions):
    print("// Written by .ci/gen_offsets.py; do not edit. By ascending minor version.")
    print("// {minor, {source, g, m, p, schedt, sudog}}, the fields of each in this order:")
    for struct, names in RUNTIME:
        print("//   %s: %s" % (struct.split(".")[1], " ".join(names)))
    for minor, entry in versions:
        print("{%d, {%s}},  // go%s" % (minor, runtime_row(entry), entry["patch"]))


def wait_reason_lines(minor, reasons):
    lines = ["{%d, {" % minor]
    line = "    "
    for reason in reasons:
        word = '"%s", ' % reason
        if len(line + word) > 118:
            lines.append(line.rstrip())
            line = "    "
        line += word
    return lines + [line.rstrip() + "}},"]


def print_wait_reasons(versions):
    print("// Written by .ci/gen_offsets.py; do not edit. {first minor version, reasons by number}.")
    last = None
    for minor, entry in versions:
        reasons = entry["waitreasons"]
        if reasons != last:
            print("\n".join(wait_reason_lines(minor, reasons)))
        last = reasons


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        versions = json.load(file)["versions"]
    what = sys.argv[2] if len(sys.argv) > 2 else "offsets"
    # Kinds of map do not concern the scheduler: its structs are those of the plain build.
    plain = sorted(((int(v.split(".")[1]), e) for v, e in versions.items()
                   if "+" not in v and int(v.split(".")[1]) >= FIRST_MINOR), key=lambda pair: pair[0])
    if what == "runtime":
        print_runtime(plain)
        return
    if what == "waitreasons":
        print_wait_reasons(plain)
        return
    rows = {}
    for version, entry in versions.items():
        minor = int(version.split("+")[0].split(".")[1])
        if minor >= FIRST_MINOR:
            rows[(minor, version)] = row(version, entry)
    print("// Written by .ci/gen_offsets.py; do not edit. By ascending minor version.")
    print("// {minor, map kind, {source, g.goid, g.gopc, g.m, g.stack.lo, g.stack.hi, m.curg, mark, mark mask, len, seed,")
    print("//  iterator's map, iterator's type}, {moduledata.types, .etypes, .gofunc (0: none)}}")
    for key in sorted(rows):
        print(rows[key])


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    main()
