// SPDX-License-Identifier: BSL-1.0
// What the rows named after Go's own benchmarks share: goroutines that divide n operations among them,
// as those of testing.B.RunParallel do, and work between operations.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// share is one goroutine's part of the operations: testing.PB.
type share struct {
	taken       *atomic.Int64
	n, grain    int64
	have, count int64
	id          int // 0, 1, ... among the goroutines
}

// next tells whether there is one more operation to do.
func (s *share) next() bool {
	if s.have == 0 {
		before := s.taken.Add(s.grain) - s.grain
		s.have = max(0, min(s.n-before, s.grain))
		if s.have == 0 {
			return false
		}
	}
	s.have--
	s.count++
	return true
}

// parallel does n operations by as many goroutines as GOMAXPROCS says, times each.
func parallel(n, each int, body func(s *share)) fields {
	var taken, done atomic.Int64
	var wg sync.WaitGroup
	grain := max(1, min(int64(n)/2_000, 10_000))
	tasks := runtime.GOMAXPROCS(0) * each
	start := time.Now()
	wg.Add(tasks)
	for id := range tasks {
		go func() {
			defer wg.Done()
			s := share{taken: &taken, n: int64(n), grain: grain, id: id}
			body(&s)
			done.Add(s.count)
		}()
	}
	wg.Wait()
	result := perOp(start, n)
	if done.Load() != int64(n) {
		panic("a part of the operations was not done")
	}
	return result
}

// localWork is what a program does between two operations: a chain of multiplications, as in ringo.
func localWork(turns int, x uint64) uint64 {
	for i := 0; i < turns; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}
