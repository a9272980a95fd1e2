// SPDX-License-Identifier: BSL-1.0
// Rows about the rest of sync: rwmutex_*, cond, sem_*, waitgroup_*. A semaphore is a channel here, as
// usual in Go.
package main

import (
	"runtime"
	"sync"
	"time"
)

func init() {
	rows["rwmutex_read"] = row{10_000_000, -1, rwmutexRead}
	rows["rwmutex_write"] = row{10_000_000, -1, rwmutexWrite}
	rows["rwmutex_write10"] = row{4_000_000, -1, rwmutexWrite10}
	rows["cond"] = row{900_000, -1, condRounds}
	rows["sem_uncontended"] = row{10_000_000, -1, semUncontended}
	rows["sem_contended"] = row{800_000, -1, semContended}
	rows["waitgroup_add_done"] = row{10_000_000, -1, waitGroupAddDone}
	rows["waitgroup_wait"] = row{500_000, -1, waitGroupWait}
}

func rwmutexRead(n int) fields {
	var mu sync.RWMutex
	start := time.Now()
	for i := 0; i < n; i++ {
		mu.RLock()
		mu.RUnlock()
	}
	return perOp(start, n)
}

func rwmutexWrite(n int) fields {
	var mu sync.RWMutex
	counter := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		counter++
		mu.Unlock()
	}
	result := perOp(start, n)
	runtime.KeepAlive(counter)
	return result
}

// together runs body in a number of goroutines, each for its part of n.
func together(tasks, n int, body func(times int)) fields {
	each := n / tasks
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			defer wg.Done()
			body(each)
		}()
	}
	wg.Wait()
	return perOp(start, tasks*each)
}

func rwmutexWrite10(n int) fields {
	var mu sync.RWMutex
	counter := 0
	return together(8, n, func(times int) {
		seen := 0
		for i := 1; i <= times; i++ {
			if i%10 == 0 {
				mu.Lock()
				counter++
				mu.Unlock()
			} else {
				mu.RLock()
				seen = counter
				mu.RUnlock()
			}
		}
		if seen > 8*times {
			panic("rwmutex_write10: read what was never written")
		}
	})
}

// condRounds: nine take turns; eight wait, the ninth wakes them.
func condRounds(n int) fields {
	const parties = 9
	var mu sync.Mutex
	cv := sync.NewCond(&mu)
	arrived := 0
	return together(parties, n, func(times int) {
		for i := 0; i < times; i++ {
			mu.Lock()
			round := arrived / parties
			arrived++
			if arrived%parties == 0 {
				cv.Broadcast()
			} else {
				for arrived/parties == round {
					cv.Wait()
				}
			}
			mu.Unlock()
		}
	})
}

func semUncontended(n int) fields {
	sem := make(chan struct{}, 3)
	start := time.Now()
	for i := 0; i < n; i++ {
		sem <- struct{}{}
		<-sem
	}
	return perOp(start, n)
}

func semContended(n int) fields {
	sem := make(chan struct{}, 3)
	return together(8, n, func(times int) {
		for i := 0; i < times; i++ {
			sem <- struct{}{}
			runtime.Gosched()
			<-sem
		}
	})
}

func waitGroupAddDone(n int) fields {
	var wg sync.WaitGroup
	start := time.Now()
	for i := 0; i < n; i++ {
		wg.Add(1)
		wg.Done()
	}
	result := perOp(start, n)
	wg.Wait()
	return result
}

// waitGroupWait: two goroutines and a wait for them.
func waitGroupWait(n int) fields {
	start := time.Now()
	for i := 0; i < n; i++ {
		var wg sync.WaitGroup
		wg.Add(2)
		go wg.Done()
		go wg.Done()
		wg.Wait()
	}
	return perOp(start, n)
}
