// SPDX-License-Identifier: BSL-1.0
// Rows about goroutines themselves: spawn_join, fib_fork, await_chain, yield, idle_mem.
package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

func init() {
	rows["spawn_join"] = row{1_000_000, -1, spawnJoin}
	rows["fib_fork"] = row{27, -1, fibFork}
	rows["await_chain"] = row{10_000_000, -1, awaitChain}
	rows["yield"] = row{1_000_000, -1, yieldRow}
	rows["idle_mem"] = row{1_000_000, 1_000, idleMem}
}

func spawnJoin(n int) fields {
	start := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go wg.Done()
	}
	wg.Wait()
	return perOp(start, n)
}

// fib forks the left branch, runs the right one itself, and joins.
func fib(n int) int {
	if n < 2 {
		return n
	}
	left := make(chan int, 1)
	go func() { left <- fib(n - 1) }()
	right := fib(n - 2)
	return <-left + right
}

// fibForks is how many times fib(n) forks.
func fibForks(n int) int {
	a, b := 0, 0 // forks of fib(i-2) and fib(i-1)
	for i := 2; i <= n; i++ {
		a, b = b, a+b+1
	}
	return b
}

func fibFork(n int) fields {
	start := time.Now()
	want := [2]int{0, 1}
	for i := 0; i < n; i++ {
		want[0], want[1] = want[1], want[0]+want[1]
	}
	if got := fib(n); got != want[0] {
		panic("fib_fork: wrong result")
	}
	return perOp(start, fibForks(n))
}

//go:noinline
func child(i uint64) uint64 { return i ^ 1 }

// awaitChain is a plain call: a goroutine needs no await to call something that may block.
func awaitChain(n int) fields {
	start := time.Now()
	var sum uint64
	for i := 0; i < n; i++ {
		sum += child(uint64(i))
	}
	result := perOp(start, n)
	runtime.KeepAlive(sum)
	return result
}

func yieldRow(n int) fields {
	const tasks = 1000
	each := max(1, n/tasks)
	start := time.Now()
	var wg sync.WaitGroup
	wg.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			defer wg.Done()
			for i := 0; i < each; i++ {
				runtime.Gosched()
			}
		}()
	}
	wg.Wait()
	return perOp(start, tasks*each)
}

func idleMem(n int) fields {
	debug.FreeOSMemory()
	before := residentBytes()
	gate := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			<-gate
			wg.Done()
		}()
	}
	for i := 0; i < 10; i++ {
		time.Sleep(20 * time.Millisecond) // all of them reach the gate
	}
	after := residentBytes()
	close(gate)
	wg.Wait()
	return fields{"bytes_per_task": float64(after-before) / float64(n)}
}
