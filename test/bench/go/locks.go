// SPDX-License-Identifier: BSL-1.0
// Rows about mutexes and contexts: mutex_*, ctx_flat, ctx_tree.
package main

import (
	"context"
	"runtime"
	"sync"
	"time"
)

func init() {
	rows["mutex_uncontended"] = row{10_000_000, -1, mutexUncontended}
	rows["mutex_contended"] = row{8_000_000, -1, func(n int) fields { return mutexShared(n, false) }}
	rows["mutex_yield"] = row{400_000, -1, func(n int) fields { return mutexShared(n, true) }}
	rows["ctx_flat"] = row{100_000, -1, func(n int) fields { return contexts(n, 0) }}
	rows["ctx_tree"] = row{100_000, -1, func(n int) fields { return contexts(n, 10) }}
}

func mutexUncontended(n int) fields {
	var mu sync.Mutex
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

// mutexShared: eight goroutines share one lock, and hold it across a yield if they are told to.
func mutexShared(n int, yield bool) fields {
	const tasks = 8
	each := n / tasks
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	start := time.Now()
	wg.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			defer wg.Done()
			for i := 0; i < each; i++ {
				mu.Lock()
				counter++
				if yield {
					runtime.Gosched()
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	result := perOp(start, tasks*each)
	if counter != tasks*each {
		panic("mutex: lost updates")
	}
	return result
}

// contexts derives n contexts and cancels the root, ten times over. With a fan-out, context i hangs
// below context (i-1)/fanOut; without, all hang below the root.
func contexts(n, fanOut int) fields {
	const times = 10
	start := time.Now()
	for t := 0; t < times; t++ {
		root, cancel := context.WithCancel(context.Background())
		all := make([]context.Context, 0, n)
		for i := 0; i < n; i++ {
			parent := root
			if fanOut > 0 && i > 0 {
				parent = all[(i-1)/fanOut]
			}
			ctx, stop := context.WithCancel(parent)
			_ = stop // the root's cancel reaches it
			all = append(all, ctx)
		}
		cancel()
		if all[n-1].Err() == nil {
			panic("ctx: the last child is not cancelled")
		}
	}
	return perOp(start, times*n)
}
