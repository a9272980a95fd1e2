// SPDX-License-Identifier: BSL-1.0
// Rows about what keeps things: map_load, map_mixed, map_store, once_done, pool_get.

package main

import (
	"runtime"
	"sync"
	"time"
)

const mapKeys = 1024

func init() {
	rows["map_load"] = row{8_000_000, -1, func(n int) fields { return mapRow(n, false, false) }}
	rows["map_mixed"] = row{8_000_000, -1, func(n int) fields { return mapRow(n, true, false) }}
	rows["map_store"] = row{4_000_000, -1, func(n int) fields { return mapRow(n, false, true) }}
	rows["once_done"] = row{10_000_000, -1, onceDone}
	rows["pool_get"] = row{8_000_000, -1, poolGet}
}

func mapRow(n int, mixed, stores bool) fields {
	var m sync.Map
	for k := range mapKeys {
		m.Store(k, k)
	}
	const tasks = 8
	each := n / tasks
	var all sync.WaitGroup
	start := time.Now()
	for id := range tasks {
		all.Add(1)
		go func() {
			for i := range each {
				k := (i*7 + id*131) % mapKeys
				if stores {
					m.Store(k, k)
				} else if mixed && i%16 == 0 {
					m.Store(mapKeys+id, i)
				} else if mixed && i%16 == 8 {
					m.Delete(mapKeys + id)
				} else if v, ok := m.Load(k); !ok || v.(int) != k {
					panic("map: a key that was never erased is missing")
				}
				if i%1024 == 1023 {
					runtime.Gosched()
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	return perOp(start, tasks*each)
}

func onceDone(n int) fields {
	var o sync.Once
	runs := 0
	f := func() { runs++ }
	start := time.Now()
	for i := 0; i < n; i++ {
		o.Do(f)
	}
	result := perOp(start, n)
	if runs != 1 {
		panic("once_done: not once")
	}
	return result
}

func poolGet(n int) fields {
	pool := sync.Pool{New: func() any { return new([]byte) }}
	const tasks = 8
	each := n / tasks
	var all sync.WaitGroup
	start := time.Now()
	for range tasks {
		all.Add(1)
		go func() {
			for i := range each {
				x := pool.Get().(*[]byte)
				if cap(*x) < 64 {
					*x = make([]byte, 64)
				}
				pool.Put(x)
				if i%1024 == 1023 {
					runtime.Gosched()
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	return perOp(start, tasks*each)
}
