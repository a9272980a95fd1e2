// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of starting goroutines, runtime/proc_test.go: go_create_goroutines*, go_ping_pong_hog.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	rows["go_create_goroutines"] = row{500_000, -1, func(n int) fields { return createGoroutines(n, 1) }}
	rows["go_create_goroutines_parallel"] = row{500_000, -1, func(n int) fields {
		return createGoroutines(n, runtime.GOMAXPROCS(0))
	}}
	rows["go_create_goroutines_capture"] = row{500_000, -1, createGoroutinesCapture}
	rows["go_ping_pong_hog"] = row{100_000, -1, pingPongHog}
}

// createGoroutines: every goroutine starts the next one.
func createGoroutines(n, chains int) fields {
	c := make(chan bool)
	var f func(n int)
	f = func(n int) {
		if n == 0 {
			c <- true
			return
		}
		go f(n - 1)
	}
	each := n / chains
	start := time.Now()
	for i := 0; i < chains; i++ {
		go f(each)
	}
	for i := 0; i < chains; i++ {
		<-c
	}
	return perOp(start, chains*each)
}

func createGoroutinesCapture(n int) fields {
	const group = 4
	var bad atomic.Int64
	done := 0
	start := time.Now()
	for ; done < n; done += group {
		var wg sync.WaitGroup
		wg.Add(group)
		for i := 0; i < group; i++ {
			go func() {
				if i >= group {
					bad.Add(1)
				}
				wg.Done()
			}()
		}
		wg.Wait()
	}
	result := perOp(start, done)
	if bad.Load() != 0 {
		panic("go_create_goroutines_capture: wrong captures")
	}
	return result
}

// pingPongHog: two goroutines play, a third one uses all the time it can get.
func pingPongHog(n int) fields {
	stop, done := make(chan bool), make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				done <- true
				return
			default:
			}
		}
	}()
	ping, pong := make(chan bool), make(chan bool)
	go func() {
		for j := 0; j < n; j++ {
			pong <- <-ping
		}
		close(stop)
		done <- true
	}()
	go func() {
		for i := 0; i < n; i++ {
			ping <- <-pong
		}
		done <- true
	}()
	start := time.Now()
	ping <- true
	<-stop
	result := perOp(start, n)
	if !<-ping {
		panic("go_ping_pong_hog: the ball was lost")
	}
	<-done
	<-done
	<-done
	return result
}
