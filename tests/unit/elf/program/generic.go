//go:build go1.18
// +build go1.18

package main

type cache[K comparable, V any] struct{ m map[K]V }

//go:noinline
func (c *cache[K, V]) put(k K, v V) *table {
	c.m[k] = v
	t := &table{m: map[string]*Session{}}
	inner(t, "generic")
	return t
}

func generic() {
	c := &cache[string, *Session]{m: map[string]*Session{}}
	c.put("k", &Session{})
	describe(c, c.m, cache[pair, int]{})
}
