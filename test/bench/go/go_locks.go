// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of locks, sync/mutex_test.go, rwmutex_test.go and cond_test.go: go_mutex*,
// go_rwmutex_*, go_cond_*.
package main

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	rows["go_mutex"] = row{10_000_000, -1, func(n int) fields { return mutexRow(n, 1, 0) }}
	rows["go_mutex_slack"] = row{10_000_000, -1, func(n int) fields { return mutexRow(n, 10, 0) }}
	rows["go_mutex_work"] = row{2_000_000, -1, func(n int) fields { return mutexRow(n, 1, 100) }}
	rows["go_mutex_work_slack"] = row{2_000_000, -1, func(n int) fields { return mutexRow(n, 10, 100) }}
	rows["go_mutex_no_spin"] = row{500_000, -1, mutexNoSpin}
	rows["go_mutex_spin"] = row{100_000, -1, mutexSpin}
	rows["go_rwmutex_uncontended"] = row{4_000_000, -1, rwmutexUncontended}
	rows["go_rwmutex_write_100"] = row{10_000_000, -1, func(n int) fields { return rwmutexRow(n, 0, 100) }}
	rows["go_rwmutex_write_10"] = row{5_000_000, -1, func(n int) fields { return rwmutexRow(n, 0, 10) }}
	rows["go_rwmutex_work_write_100"] = row{2_000_000, -1, func(n int) fields { return rwmutexRow(n, 100, 100) }}
	rows["go_rwmutex_work_write_10"] = row{2_000_000, -1, func(n int) fields { return rwmutexRow(n, 100, 10) }}
	for waiters, n := range map[int]int{1: 500_000, 2: 300_000, 4: 200_000, 8: 100_000, 16: 50_000, 32: 25_000} {
		rows["go_cond_"+strconv.Itoa(waiters)] = row{n, -1, func(n int) fields { return condRow(n, waiters) }}
	}
}

// mutexRow: one lock for `each` goroutines per worker, with work in between.
func mutexRow(n, each, work int) fields {
	var mu sync.Mutex
	counter := 0
	result := parallel(n, each, func(s *share) {
		x := uint64(1)
		for s.next() {
			mu.Lock()
			counter++
			mu.Unlock()
			x = localWork(work, x)
		}
		runtime.KeepAlive(x)
	})
	if counter != n {
		panic("go_mutex: lost updates")
	}
	return result
}

func mutexNoSpin(n int) fields {
	var mu sync.Mutex
	var down, up uint64
	result := parallel(n, 4, func(s *share) {
		c := make(chan bool)
		var data [4 << 10]uint64
		for i := 0; s.next(); i++ {
			if i%4 == 0 {
				mu.Lock()
				down -= 100
				up += 100
				mu.Unlock()
			} else {
				for i := 0; i < len(data); i += 4 {
					data[i]++
				}
				go func() {
					c <- true
				}()
				<-c
			}
		}
	})
	if up+down != 0 || up == 0 {
		panic("go_mutex_no_spin: lost updates")
	}
	return result
}

func mutexSpin(n int) fields {
	var mu sync.Mutex
	var down, up uint64
	result := parallel(n, 1, func(s *share) {
		var data [16 << 10]uint64
		for s.next() {
			mu.Lock()
			down -= 100
			up += 100
			mu.Unlock()
			for i := 0; i < len(data); i += 4 {
				data[i]++
			}
		}
	})
	if up+down != 0 || up != 100*uint64(n) {
		panic("go_mutex_spin: lost updates")
	}
	return result
}

func rwmutexUncontended(n int) fields {
	type padded struct {
		sync.RWMutex
		_ [32]uint32
	}
	return parallel(n, 1, func(s *share) {
		var mu padded
		for s.next() {
			mu.RLock()
			mu.RLock()
			mu.RUnlock()
			mu.RUnlock()
			mu.Lock()
			mu.Unlock()
		}
	})
}

// rwmutexRow: one operation of ratio is a writer's; work while reading.
func rwmutexRow(n, work, ratio int) fields {
	var mu sync.RWMutex
	var meant atomic.Int64
	writes := int64(0)
	result := parallel(n, 1, func(s *share) {
		x := uint64(1)
		mine := int64(0)
		for i := 1; s.next(); i++ {
			if i%ratio == 0 {
				mu.Lock()
				writes++
				mu.Unlock()
				mine++
			} else {
				mu.RLock()
				x = localWork(work, x)
				mu.RUnlock()
			}
		}
		runtime.KeepAlive(x)
		meant.Add(mine)
	})
	if writes != meant.Load() {
		panic("go_rwmutex: lost updates")
	}
	return result
}

// condRow: some wait, the last to come notifies them all.
func condRow(n, waiters int) fields {
	c := sync.NewCond(&sync.Mutex{})
	done := make(chan bool)
	id, met := 0, 0
	start := time.Now()
	for routine := 0; routine < waiters+1; routine++ {
		go func() {
			for i := 0; i < n; i++ {
				c.L.Lock()
				if id == -1 {
					c.L.Unlock()
					break
				}
				id++
				if id == waiters+1 {
					id = 0
					met++
					c.Broadcast()
				} else {
					c.Wait()
				}
				c.L.Unlock()
			}
			c.L.Lock()
			id = -1
			c.Broadcast()
			c.L.Unlock()
			done <- true
		}()
	}
	for routine := 0; routine < waiters+1; routine++ {
		<-done
	}
	result := perOp(start, n)
	if met > n || met < n/2 {
		panic("go_cond: wrong number of meetings")
	}
	return result
}
