// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of sync.Map, sync/map_bench_test.go: go_map_*.
package main

import "sync"

func init() {
	mapRows := []struct {
		name string
		n    int
		keys int
		op   func(m *sync.Map, i int)
	}{
		{"load_mostly_hits", 20_000_000, 1023, mapLoadMostlyHits},
		{"load_mostly_misses", 20_000_000, 1, mapLoadMostlyMisses},
		{"load_or_store_balanced", 1_000_000, 128, mapLoadOrStoreBalanced},
		{"load_or_store_unique", 500_000, 0, mapLoadOrStoreUnique},
		{"load_or_store_collision", 20_000_000, 1, mapLoadOrStoreCollision},
		{"load_and_delete_balanced", 10_000_000, 128, mapLoadAndDeleteBalanced},
		{"load_and_delete_unique", 10_000_000, 0, mapLoadAndDeleteUnique},
		{"load_and_delete_collision", 2_000_000, 1, mapLoadAndDeleteCollision},
		{"range", 20_000, 1024, mapRange},
		{"adversarial_delete", 10_000_000, 1024, mapAdversarialDelete},
		{"delete_collision", 20_000_000, 1, func(m *sync.Map, _ int) { m.Delete(0) }},
		{"swap_collision", 2_000_000, 1, mapSwapCollision},
		{"swap_mostly_hits", 4_000_000, 1023, mapSwapMostlyHits},
		{"compare_and_swap_collision", 2_000_000, 1, mapCompareAndSwapCollision},
		{"compare_and_swap_mostly_hits", 4_000_000, 1023, mapCompareAndSwapMostlyHits},
		{"compare_and_delete_collision", 2_000_000, 1, mapCompareAndDeleteCollision},
		{"compare_and_delete_mostly_hits", 2_000_000, 1023, mapCompareAndDeleteMostlyHits},
		{"clear", 200_000, 0, mapClear},
	}
	for _, r := range mapRows {
		rows["go_map_"+r.name] = row{r.n, -1, func(n int) fields {
			var m sync.Map
			for i := 0; i < r.keys; i++ {
				m.Store(i, i)
			}
			return parallel(n, 1, func(s *share) {
				for i := s.id * n; s.next(); i++ {
					r.op(&m, i)
				}
			})
		}}
	}
	rows["go_map_adversarial_alloc"] = row{10_000_000, -1, mapAdversarialAlloc}
}

func mapLoadMostlyHits(m *sync.Map, i int) {
	if v, ok := m.Load(i % 1024); ok && v.(int) != i%1024 {
		panic("go_map_load_mostly_hits: another value")
	}
}

func mapLoadMostlyMisses(m *sync.Map, i int) {
	if _, ok := m.Load(i % 1024); ok != (i%1024 == 0) {
		panic("go_map_load_mostly_misses: a key nobody stored")
	}
}

func mapLoadOrStoreBalanced(m *sync.Map, i int) {
	j := i % 256
	if j < 128 {
		if _, ok := m.LoadOrStore(j, i); !ok {
			panic("go_map_load_or_store_balanced: a miss")
		}
	} else if _, ok := m.LoadOrStore(i, i); ok {
		panic("go_map_load_or_store_balanced: a key twice")
	}
}

func mapLoadOrStoreUnique(m *sync.Map, i int) {
	if _, ok := m.LoadOrStore(i, i); ok {
		panic("go_map_load_or_store_unique: a key twice")
	}
}

func mapLoadOrStoreCollision(m *sync.Map, _ int) {
	if _, ok := m.LoadOrStore(0, 0); !ok {
		panic("go_map_load_or_store_collision: a miss")
	}
}

func mapLoadAndDeleteBalanced(m *sync.Map, i int) {
	j := i % 256
	k := i
	if j < 128 {
		k = j
	}
	if v, ok := m.LoadAndDelete(k); ok && v.(int) != j {
		panic("go_map_load_and_delete_balanced: another value")
	}
}

func mapLoadAndDeleteUnique(m *sync.Map, i int) {
	if _, ok := m.LoadAndDelete(i); ok {
		panic("go_map_load_and_delete_unique: a key nobody stored")
	}
}

func mapLoadAndDeleteCollision(m *sync.Map, _ int) {
	if _, ok := m.LoadAndDelete(0); ok {
		m.Store(0, 0)
	}
}

func mapRange(m *sync.Map, _ int) {
	seen := 0
	m.Range(func(_, _ any) bool {
		seen++
		return true
	})
	if seen != 1024 {
		panic("go_map_range: not all keys")
	}
}

func mapSwapCollision(m *sync.Map, _ int) {
	if v, _ := m.Swap(0, 0); v.(int) != 0 {
		panic("go_map_swap_collision: another value")
	}
}

func mapSwapMostlyHits(m *sync.Map, i int) {
	if k := i % 1024; k < 1023 {
		if v, _ := m.Swap(k, k); v.(int) != k {
			panic("go_map_swap_mostly_hits: another value")
		}
	} else {
		m.Swap(i, i)
		m.Delete(i)
	}
}

func mapCompareAndSwapCollision(m *sync.Map, _ int) {
	if m.CompareAndSwap(0, 0, 42) {
		m.CompareAndSwap(0, 42, 0)
	}
}

// mostlyThere is a key that is in the map but for one time in 1024.
func mostlyThere(i int) int {
	if k := i % 1024; k < 1023 {
		return k
	}
	return i
}

func mapCompareAndSwapMostlyHits(m *sync.Map, i int) {
	k := mostlyThere(i)
	if m.CompareAndSwap(k, k, k) != (k < 1023) {
		panic("go_map_compare_and_swap_mostly_hits: another value")
	}
}

func mapCompareAndDeleteCollision(m *sync.Map, _ int) {
	if m.CompareAndDelete(0, 0) {
		m.Store(0, 0)
	}
}

func mapCompareAndDeleteMostlyHits(m *sync.Map, i int) {
	k := mostlyThere(i)
	if m.CompareAndDelete(k, k) {
		m.Store(k, k)
	}
}

func mapClear(m *sync.Map, i int) {
	m.Clear()
	m.Store(i%256, i%256)
}

// mapAdversarialAlloc and mapAdversarialDelete: what made an older sync.Map copy itself again and again.
func mapAdversarialAlloc(n int) fields {
	var m sync.Map
	return parallel(n, 1, func(s *share) {
		stores, loads := 0, 0
		for i := s.id * n; s.next(); i++ {
			if _, ok := m.Load(i); ok {
				panic("go_map_adversarial_alloc: a key nobody stored")
			}
			if loads++; loads > stores {
				m.LoadOrStore(i, stores)
				loads = 0
				stores++
			}
		}
	})
}

func mapAdversarialDelete(m *sync.Map, i int) {
	m.Load(i)
	if i%1024 == 0 {
		m.Range(func(k, _ any) bool {
			m.Delete(k)
			return false
		})
		m.Store(i, i)
	}
}
