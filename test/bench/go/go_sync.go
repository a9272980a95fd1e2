// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of the rest of sync, waitgroup_test.go, once_test.go, oncefunc_test.go and
// pool_test.go: go_waitgroup_*, go_once*, go_pool*.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	rows["go_waitgroup_uncontended"] = row{10_000_000, -1, waitGroupUncontended}
	rows["go_waitgroup_add_done"] = row{5_000_000, -1, func(n int) fields { return waitGroupShared(n, 0) }}
	rows["go_waitgroup_add_done_work"] = row{2_000_000, -1, func(n int) fields { return waitGroupShared(n, 100) }}
	rows["go_waitgroup_wait"] = row{50_000_000, -1, func(n int) fields { return waitGroupWaits(n, 0) }}
	rows["go_waitgroup_wait_work"] = row{2_000_000, -1, func(n int) fields { return waitGroupWaits(n, 100) }}
	rows["go_waitgroup_actually_wait"] = row{1_000_000, -1, waitGroupActuallyWait}
	rows["go_once"] = row{50_000_000, -1, onceRow}
	rows["go_once_func"] = row{50_000_000, -1, onceFuncRow}
	rows["go_once_value"] = row{50_000_000, -1, onceValueRow}
	rows["go_once_value_make"] = row{2_000_000, -1, onceValueMake}
	rows["go_pool"] = row{10_000_000, -1, func(n int) fields { return poolRow(n, 1, 1) }}
	rows["go_pool_overflow"] = row{100_000, -1, func(n int) fields { return poolRow(n, 100, 100) }}
	rows["go_pool_starvation"] = row{100_000, -1, func(n int) fields { return poolRow(n, 67, 100) }}
}

func waitGroupUncontended(n int) fields {
	type padded struct {
		sync.WaitGroup
		_ [128]uint8
	}
	return parallel(n, 1, func(s *share) {
		var wg padded
		for s.next() {
			wg.Add(1)
			wg.Done()
			wg.Wait()
		}
	})
}

func waitGroupShared(n, work int) fields {
	var wg sync.WaitGroup
	result := parallel(n, 1, func(s *share) {
		x := uint64(1)
		for s.next() {
			wg.Add(1)
			x = localWork(work, x)
			wg.Done()
		}
		runtime.KeepAlive(x)
	})
	wg.Wait()
	return result
}

func waitGroupWaits(n, work int) fields {
	var wg sync.WaitGroup
	return parallel(n, 1, func(s *share) {
		x := uint64(1)
		for s.next() {
			wg.Wait()
			x = localWork(work, x)
		}
		runtime.KeepAlive(x)
	})
}

func waitGroupActuallyWait(n int) fields {
	return parallel(n, 1, func(s *share) {
		for s.next() {
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				wg.Done()
			}()
			wg.Wait()
		}
	})
}

func onceRow(n int) fields {
	var once sync.Once
	var runs atomic.Int64
	f := func() { runs.Add(1) }
	result := parallel(n, 1, func(s *share) {
		for s.next() {
			once.Do(f)
		}
	})
	if runs.Load() != 1 {
		panic("go_once: not once")
	}
	return result
}

var (
	onceFunc  func()     // not local: the compiler would see through it
	onceValue func() int // the same
)

func onceFuncRow(n int) fields {
	runs := 0
	onceFunc = sync.OnceFunc(func() { runs++ })
	start := time.Now()
	for i := 0; i < n; i++ {
		onceFunc()
	}
	result := perOp(start, n)
	if runs != 1 {
		panic("go_once_func: not once")
	}
	return result
}

func onceValueRow(n int) fields {
	onceValue = sync.OnceValue(func() int { return 42 })
	start := time.Now()
	for i := 0; i < n; i++ {
		if onceValue() != 42 {
			panic("go_once_value: another value")
		}
	}
	return perOp(start, n)
}

func onceValueMake(n int) fields {
	start := time.Now()
	for i := 0; i < n; i++ {
		onceValue = sync.OnceValue(func() int { return 42 })
	}
	result := perOp(start, n)
	if onceValue() != 42 {
		panic("go_once_value_make: another value")
	}
	return result
}

// poolRow puts some objects in and takes some out, again and again.
func poolRow(n, put, got int) fields {
	var p sync.Pool
	return parallel(n, 1, func(s *share) {
		sum := 0
		for s.next() {
			for i := 0; i < put; i++ {
				p.Put(1)
			}
			for i := 0; i < got; i++ {
				if x := p.Get(); x != nil {
					sum += x.(int)
				}
			}
		}
		if sum == 0 {
			panic("go_pool: it keeps nothing")
		}
	})
}
