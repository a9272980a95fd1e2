// SPDX-License-Identifier: BSL-1.0
// Rows about time: timers_sleep, timers_cancel_1, timers_cancel_1m.
package main

import (
	"sync"
	"time"
)

func init() {
	rows["timers_sleep"] = row{1_000_000, 50_000, timersSleep}
	rows["timers_cancel_1"] = row{1_000_000, -1, timersCancelOne}
	rows["timers_cancel_1m"] = row{1_000_000, -1, timersCancelMany}
}

// timersSleep: n goroutines sleep once each, for 1 to 1000 ms; lateness is what comes on top.
func timersSleep(n int) fields {
	late := make([]float32, n)
	for i := range late {
		late[i] = 1 // touched before the clock starts
	}
	var wg sync.WaitGroup
	wg.Add(n)
	cpu, start := cpuSeconds(), time.Now()
	for i := 0; i < n; i++ {
		go func() {
			d := time.Duration(1+i*7919%1000) * time.Millisecond
			begin := time.Now()
			time.Sleep(d)
			late[i] = float32((time.Since(begin) - d).Seconds() * 1e3)
			wg.Done()
		}()
	}
	wg.Wait()
	used, wall := cpuSeconds()-cpu, time.Since(start)
	return fields{"cpu_s": used, "wall_s": wall.Seconds(),
		"p50_ms": percentile(late, 0.50), "p99_ms": percentile(late, 0.99)}
}

// timersCancelOne creates a timer and stops it, again and again. AfterFunc, because a timer with a
// channel that nobody waits for is never entered into the heap (since Go 1.23).
func timersCancelOne(n int) fields {
	start := time.Now()
	for i := 0; i < n; i++ {
		t := time.AfterFunc(time.Hour, func() {})
		t.Stop()
	}
	return perOp(start, n)
}

// timersCancelMany creates n timers with deadlines all over an hour, then stops them in another order.
func timersCancelMany(n int) fields {
	timers := make([]*time.Timer, n)
	start := time.Now()
	for i := range timers {
		timers[i] = time.AfterFunc(time.Hour+time.Duration(i*7919%n)*time.Millisecond, func() {})
	}
	for i := range timers {
		timers[i*104_729%n].Stop()
	}
	result := perOp(start, n)
	for _, t := range timers {
		if t.Stop() {
			panic("timers_cancel_1m: a timer was left running")
		}
	}
	return result
}
