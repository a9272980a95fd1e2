// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of select, runtime/chan_test.go: go_select_*.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	rows["go_select_uncontended"] = row{4_000_000, -1, selectUncontended}
	rows["go_select_async_contended"] = row{2_000_000, -1, selectAsyncContended}
	rows["go_select_sync_contended"] = row{500_000, -1, selectSyncContended}
	rows["go_select_nonblock"] = row{4_000_000, -1, selectNonblock}
	rows["go_select_prod_cons"] = row{500_000, -1, selectProdCons}
}

// passToken takes the token from one of two channels and puts it into the other.
func passToken(s *share, a, b chan int) {
	a <- 0
	for s.next() {
		select {
		case <-a:
			b <- 0
		case <-b:
			a <- 0
		}
	}
}

func selectUncontended(n int) fields {
	return parallel(n, 1, func(s *share) {
		a, b := make(chan int, 1), make(chan int, 1)
		passToken(s, a, b)
		if len(a)+len(b) != 1 {
			panic("go_select_uncontended: the token is lost")
		}
	})
}

func selectAsyncContended(n int) fields {
	procs := runtime.GOMAXPROCS(0)
	a, b := make(chan int, procs), make(chan int, procs)
	result := parallel(n, 1, func(s *share) { passToken(s, a, b) })
	if len(a)+len(b) != procs {
		panic("go_select_async_contended: a token is lost")
	}
	return result
}

// selectSyncContended: senders and receivers select among three channels.
func selectSyncContended(n int) fields {
	a, b, c, done := make(chan int), make(chan int), make(chan int), make(chan int)
	var senders sync.WaitGroup
	result := parallel(n, 1, func(s *share) {
		senders.Add(1)
		go func() {
			defer senders.Done()
			for {
				select {
				case a <- 0:
				case b <- 0:
				case c <- 0:
				case <-done:
					return
				}
			}
		}()
		for s.next() {
			select {
			case <-a:
			case <-b:
			case <-c:
			}
		}
	})
	close(done)
	senders.Wait()
	return result
}

// selectNonblock: four selects that do not wait.
func selectNonblock(n int) fields {
	a, b := make(chan int), make(chan int)
	c, d := make(chan int, 1), make(chan int, 1)
	result := parallel(n, 1, func(s *share) {
		got := 0
		for s.next() {
			select {
			case <-a:
				got++
			default:
			}
			select {
			case b <- 0:
				got++
			default:
			}
			select {
			case <-c:
				got++
			default:
			}
			select {
			case d <- 0:
			default:
			}
		}
		if got != 0 {
			panic("go_select_nonblock: a value nobody sent")
		}
	})
	if len(d) != 1 {
		panic("go_select_nonblock: the value is lost")
	}
	return result
}

// selectProdCons: producers and consumers in selects of which two arms never happen.
func selectProdCons(n int) fields {
	procs := runtime.GOMAXPROCS(0)
	batches := n / callsPerSched
	var left, got atomic.Int64
	left.Store(int64(batches))
	c, closing := make(chan int, 128), make(chan bool)
	var wg sync.WaitGroup
	wg.Add(2 * procs)
	start := time.Now()
	for p := 0; p < procs; p++ {
		go func() {
			defer wg.Done()
			x := uint64(1)
			never := time.After(time.Hour)
			for left.Add(-1) >= 0 {
				for g := 0; g < callsPerSched; g++ {
					x = localWork(100, x)
					select {
					case c <- 1:
					case <-never:
					case <-closing:
					}
				}
			}
			c <- 0
			runtime.KeepAlive(x)
		}()
		go func() {
			defer wg.Done()
			x := uint64(1)
			received := int64(0)
			never := time.After(time.Hour)
			for {
				v := 0
				select {
				case v = <-c:
				case <-never:
				case <-closing:
				}
				if v == 0 {
					break
				}
				received++
				x = localWork(100, x)
			}
			runtime.KeepAlive(x)
			got.Add(received)
		}()
	}
	wg.Wait()
	result := perOp(start, batches*callsPerSched)
	if got.Load() != int64(batches*callsPerSched) {
		panic("go_select_prod_cons: lost messages")
	}
	return result
}
