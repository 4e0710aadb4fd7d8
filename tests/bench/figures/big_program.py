"""A Go program of 100 MB and more, with symbols and DWARF: generated, for a real one takes many modules and minutes.

PACKAGES packages of FUNCTIONS methods, each on a type of its own, with maps, formatting, a switch and a closure: the
tables that a reader of binaries must get through (pclntab, types, symbols, DWARF) are as full as in a program of its size.
"""
import hashlib
import pathlib

from lib import fixtures, gobuild

PACKAGES, FUNCTIONS = 80, 260
SIZE = 100_000_000

METHOD = """
type T{n} struct {{
	name  string
	count map[{key}]int
	more  map[string]*T{n}
	rows  [{rows}][]string
}}

func (t *T{n}) Work{n}(text string, number int) (result int, err error) {{
	defer func() {{
		if r := recover(); r != nil {{
			err = fmt.Errorf("work {n} on %q failed: %v", text, r)
		}}
	}}()
	if t.count == nil {{
		t.count, t.more = map[{key}]int{{}}, map[string]*T{n}{{}}
	}}
	switch text {{
	case "add{n}", "put{n}":
		t.count[{cast}(number)] += number
		t.more[text] = &T{n}{{name: strings.ToUpper(text)}}
	case "drop{n}":
		delete(t.count, {cast}(number))
		delete(t.more, text)
	case "sum{n}":
		for key, value := range t.count {{
			result += value * int(key)
		}}
	default:
		for i := range t.rows {{
			t.rows[i] = append(t.rows[i], strings.Repeat(text, number%3), strconv.Itoa(i))
		}}
		sort.Slice(t.rows[0], func(i, j int) bool {{ return t.rows[0][i] < t.rows[0][j] }})
		return len(t.rows), fmt.Errorf("work {n}: no %s in %d", text, number)
	}}
	return result, nil
}}
"""
KEYS = ["int", "int64", "int32", "uint64", "uint32", "uint16", "float64"]

MAIN = """package main

import (
	"fmt"
	"os"
{imports}
)

type worker func(string, int) (int, error)

func main() {{
	all := [][]func(string, int) (int, error){{{calls}}}
	if len(os.Args) > 1 {{
		for _, some := range all {{
			for _, work := range some {{
				fmt.Println(work(os.Args[1], len(os.Args)))
			}}
		}}
	}}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}}
"""


def write_sources(home):
    for p in range(PACKAGES):
        numbers = range(p * FUNCTIONS, (p + 1) * FUNCTIONS)
        folder = home / f"p{p}"
        folder.mkdir(parents=True, exist_ok=True)
        text = [f'package p{p}\n\nimport (\n\t"fmt"\n\t"sort"\n\t"strconv"\n\t"strings"\n)\n']
        text += [METHOD.format(n=n, key=KEYS[n % len(KEYS)], cast=KEYS[n % len(KEYS)], rows=1 + n % 5) for n in numbers]
        text.append("\nvar All = []func(string, int) (int, error){" + ", ".join(f"new(T{n}).Work{n}" for n in numbers) + "}\n")
        (folder / "work.go").write_text("".join(text))
    names = [f"p{p}" for p in range(PACKAGES)]
    (home / "main.go").write_text(MAIN.format(imports="\n".join(f'\t"big/{name}"' for name in names),
                                              calls=", ".join(name + ".All" for name in names)))
    (home / "go.mod").write_text("module big\n\ngo 1.21\n")


def build(version):
    """Path of the program, built once: minutes on two CPUs."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:12]
    home = fixtures.ROOT / "build/bench" / f"big-{version}"
    binary = home / f"big-{digest}"
    if not binary.exists():
        write_sources(home / "src")
        fresh = binary.with_suffix(".new")
        gobuild.go(version, "build", "-o", fresh, ".", cwd=home / "src")
        size = fresh.stat().st_size
        if size < SIZE:
            raise fixtures.BuildError(f"the big program has {size} bytes, fewer than {SIZE}")
        fresh.rename(binary)
    return binary
