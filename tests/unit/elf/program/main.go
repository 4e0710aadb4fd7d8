// The program that the tests of user/elf read: what it says of itself is compared with what is read from its file.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"unsafe"
)

type Session struct{ hits int }

type table struct {
	m map[string]*Session
}

// Inlined twice over into (*table).serve.
func innermost(t *table, k string) { fmt.Printf("trace\n%send\n", debug.Stack()); t.m[k] = nil }
func inner(t *table, k string) {
	innermost(t, k)
}

//go:noinline
func (t *table) serve(k string) int {
	for i := 0; i < 1; i++ {
		inner(t, k)
	}
	return len(t.m)
}

type pair struct {
	a int32
	b [3]string
}

func describe(values ...interface{}) {
	for _, value := range values {
		fmt.Printf("type %x %T\n", *(*uintptr)(unsafe.Pointer(&value)), value)
	}
}

func main() {
	f := main
	fmt.Printf("main %x\n", **(**uintptr)(unsafe.Pointer(&f)))
	describe(map[string]*Session{}, map[int]map[string][]int{}, map[pair]func(int) error{}, map[interface{}]struct{}{},
		map[[2]uint8]chan<- bool{}, Session{}, &Session{}, "", 1, []error{})
	t := &table{m: map[string]*Session{}}
	func() {
		t.serve(os.Args[0])
	}()
	generic()
	for k := range t.m {
		if k != "" {
			delete(t.m, k)
		}
	}
}
