// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of time, time/sleep_test.go and tick_test.go, each among 32,768 timers per P that do
// not come due: go_after_func_1000, go_after, go_timer_*, go_func_timer_*,
// go_simultaneous_after_func_1000, go_start_stop_1000, go_sleep_1000, go_ticker*,
// go_adjust_timers_10000.
package main

import (
	"runtime"
	"sync"
	"time"
)

func init() {
	rows["go_after_func_1000"] = row{500, -1, afterFunc1000}
	rows["go_simultaneous_after_func_1000"] = row{500, -1, simultaneousAfterFunc1000}
	rows["go_after"] = row{100_000, -1, afterRow}
	rows["go_timer_stop"] = row{2_000_000, -1, timerStop}
	rows["go_func_timer_stop"] = row{2_000_000, -1, funcTimerStop}
	rows["go_start_stop_1000"] = row{1_000, -1, startStop1000}
	rows["go_timer_reset"] = row{2_000_000, -1, func(n int) fields {
		return timerReset(n, func() *time.Timer { return time.NewTimer(time.Hour) })
	}}
	rows["go_func_timer_reset"] = row{2_000_000, -1, func(n int) fields {
		return timerReset(n, func() *time.Timer { return time.AfterFunc(time.Hour, func() {}) })
	}}
	rows["go_adjust_timers_10000"] = row{100, -1, adjustTimers10000}
	rows["go_sleep_1000"] = row{500, -1, sleep1000}
	rows["go_ticker"] = row{100_000, -1, tickerRow}
	rows["go_ticker_reset"] = row{2_000_000, -1, tickerReset}
	rows["go_ticker_reset_naive"] = row{1_000_000, -1, tickerResetNaive}
}

// amongTimers is parallel among the timers that do not come due. One operation is perTurn of them.
func amongTimers(n, perTurn int, body func(s *share)) fields {
	const garbage = 1 << 15
	procs := runtime.GOMAXPROCS(0)
	timers := make([][]*time.Timer, procs)
	parallel(garbage*procs, 1, func(s *share) {
		for s.next() {
			timers[s.id] = append(timers[s.id], time.AfterFunc(time.Hour, func() {}))
		}
	})
	start := time.Now()
	parallel(n, 1, body)
	result := perOp(start, n*perTurn)
	for _, some := range timers {
		for _, t := range some {
			if !t.Stop() {
				panic("a timer came due before its time")
			}
		}
	}
	return result
}

// afterFunc1000: each function starts the next.
func afterFunc1000(n int) fields {
	return amongTimers(n, 1000, func(s *share) {
		for s.next() {
			left := 1000
			c := make(chan bool)
			var f func()
			f = func() {
				left--
				if left >= 0 {
					time.AfterFunc(0, f)
				} else {
					c <- true
				}
			}
			time.AfterFunc(0, f)
			<-c
			if left != -1 {
				panic("go_after_func_1000: not a thousand")
			}
		}
	})
}

func simultaneousAfterFunc1000(n int) fields {
	return amongTimers(n, 1000, func(s *share) {
		for s.next() {
			var wg sync.WaitGroup
			wg.Add(1000)
			for range 1000 {
				time.AfterFunc(0, wg.Done)
			}
			wg.Wait()
		}
	})
}

func afterRow(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		for s.next() {
			<-time.After(1)
		}
	})
}

func timerStop(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		for s.next() {
			if !time.NewTimer(time.Second).Stop() {
				panic("go_timer_stop: it was not running")
			}
		}
	})
}

func funcTimerStop(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		for s.next() {
			if !time.AfterFunc(time.Second, func() {}).Stop() {
				panic("go_func_timer_stop: it was not running")
			}
		}
	})
}

func startStop1000(n int) fields {
	return amongTimers(n, 1000, func(s *share) {
		for s.next() {
			timers := make([]*time.Timer, 1000)
			for i := range timers {
				timers[i] = time.AfterFunc(time.Hour, func() {})
			}
			for i := range timers {
				timers[i].Stop()
			}
		}
	})
}

func timerReset(n int, start func() *time.Timer) fields {
	return amongTimers(n, 1, func(s *share) {
		t := start()
		for s.next() {
			if !t.Reset(time.Hour) {
				panic("go_timer_reset: it was not running")
			}
		}
		t.Stop()
	})
}

func adjustTimers10000(n int) fields {
	return amongTimers(n, 10_000, func(s *share) {
		for s.next() {
			const n = 10_000
			timers := make([]*time.Timer, 0, n)
			for range n {
				timers = append(timers, time.AfterFunc(time.Hour, func() {}))
			}
			timers[n-1].Reset(time.Nanosecond)
			time.Sleep(time.Microsecond)
			for _, t := range timers {
				t.Stop()
			}
		}
	})
}

func sleep1000(n int) fields {
	return amongTimers(n, 1000, func(s *share) {
		for s.next() {
			var wg sync.WaitGroup
			wg.Add(1000)
			for range 1000 {
				go func() {
					time.Sleep(time.Nanosecond)
					wg.Done()
				}()
			}
			wg.Wait()
		}
	})
}

func tickerRow(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		t := time.NewTicker(time.Nanosecond)
		for s.next() {
			<-t.C
		}
		t.Stop()
	})
}

func tickerReset(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		t := time.NewTicker(time.Nanosecond)
		for s.next() {
			t.Reset(2 * time.Nanosecond)
		}
		t.Stop()
	})
}

func tickerResetNaive(n int) fields {
	return amongTimers(n, 1, func(s *share) {
		t := time.NewTicker(time.Nanosecond)
		for s.next() {
			t.Stop()
			t = time.NewTicker(2 * time.Nanosecond)
		}
		t.Stop()
	})
}
