#!/usr/bin/env python3
"""Writes user/elf/offset_table.inc from go_offsets.json (struct layouts by Go version, taken from DWARF).

Usage: .ci/gen_offsets.py go_offsets.json > user/elf/offset_table.inc
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
        mark, length, it_map, it_type = table["writing"], table["used"], it["m"], it["typ"]
    else:
        kind, mask = "kBuckets", 0x04
        table, it = fields(structs, "runtime.hmap"), fields(structs, "runtime.hiter")
        mark, length, it_map, it_type = table["flags"], table["count"], it["h"], it["t"]
    stack = g["stack"]
    minor = int(version.split("+")[0].split(".")[1])
    values = [g["goid"], g["gopc"], g["m"], stack, stack + 8, m["curg"], mark, mask, length, it_map, it_type]
    layout = [module["types"], module["etypes"], module.get("gofunc", 0)]
    return "{%d, MapKind::%s, {OffsetSource::kTable, %s}, {%s}},  // go%s" % (
        minor, kind, ", ".join(map(str, values)), ", ".join(map(str, layout)), entry["patch"])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        versions = json.load(file)["versions"]
    rows = {}
    for version, entry in versions.items():
        minor = int(version.split("+")[0].split(".")[1])
        if minor >= FIRST_MINOR:
            rows[(minor, version)] = row(version, entry)
    print("// Written by .ci/gen_offsets.py; do not edit. By ascending minor version.")
    print("// {minor, map kind, {source, g.goid, g.gopc, g.m, g.stack.lo, g.stack.hi, m.curg, mark, mark mask, len,")
    print("//  iterator's map, iterator's type}, {moduledata.types, .etypes, .gofunc (0: none)}}")
    for key in sorted(rows):
        print(rows[key])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main()
