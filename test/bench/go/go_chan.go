// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of channels, runtime/chan_test.go: go_make_chan_*, go_chan_*,
// go_receive_data_from_closed_chan.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	rows["go_make_chan_byte"] = row{2_000_000, -1, makeChan[byte]}
	rows["go_make_chan_int"] = row{2_000_000, -1, makeChan[int]}
	rows["go_make_chan_struct_0"] = row{2_000_000, -1, makeChan[struct{}]}
	rows["go_make_chan_struct_40"] = row{2_000_000, -1, makeChan[[5]int]}
	rows["go_chan_creation"] = row{2_000_000, -1, chanCreation}
	rows["go_chan_nonblocking"] = row{20_000_000, -1, chanNonblocking}
	rows["go_chan_closed"] = row{20_000_000, -1, chanClosed}
	rows["go_chan_uncontended"] = row{40_000, -1, chanUncontended}
	rows["go_chan_contended"] = row{20_000, -1, chanContended}
	rows["go_chan_sem"] = row{4_000_000, -1, chanSem}
	rows["go_chan_sync"] = row{1_000_000, -1, func(n int) fields { return chanSync(n, 0) }}
	rows["go_chan_sync_work"] = row{100_000, -1, func(n int) fields { return chanSync(n, 1000) }}
	rows["go_chan_prod_cons_0"] = row{1_000_000, -1, func(n int) fields { return chanProdCons(n, 0, 0) }}
	rows["go_chan_prod_cons_10"] = row{2_000_000, -1, func(n int) fields { return chanProdCons(n, 10, 0) }}
	rows["go_chan_prod_cons_100"] = row{2_000_000, -1, func(n int) fields { return chanProdCons(n, 100, 0) }}
	rows["go_chan_prod_cons_work_0"] = row{500_000, -1, func(n int) fields { return chanProdCons(n, 0, 100) }}
	rows["go_chan_prod_cons_work_10"] = row{500_000, -1, func(n int) fields { return chanProdCons(n, 10, 100) }}
	rows["go_chan_prod_cons_work_100"] = row{500_000, -1, func(n int) fields { return chanProdCons(n, 100, 100) }}
	rows["go_chan_popular"] = row{500_000, -1, chanPopular}
	rows["go_receive_data_from_closed_chan"] = row{10_000_000, -1, receiveDataFromClosedChan}
}

func makeChan[T any](n int) fields {
	var x chan T
	start := time.Now()
	for i := 0; i < n; i++ {
		x = make(chan T, 8)
	}
	result := perOp(start, n)
	close(x)
	return result
}

func chanCreation(n int) fields {
	return parallel(n, 1, func(s *share) {
		for s.next() {
			c := make(chan int, 1)
			c <- 0
			<-c
		}
	})
}

func chanNonblocking(n int) fields {
	c := make(chan int)
	return parallel(n, 1, func(s *share) {
		for s.next() {
			select {
			case <-c:
				panic("go_chan_nonblocking: a value nobody sent")
			default:
			}
		}
	})
}

func chanClosed(n int) fields {
	c := make(chan struct{})
	close(c)
	return parallel(n, 1, func(s *share) {
		for s.next() {
			select {
			case <-c:
			default:
				panic("go_chan_closed: not closed")
			}
		}
	})
}

const chanBatch = 100

func fillAndDrain(s *share, c chan int) {
	for s.next() {
		for i := 0; i < chanBatch; i++ {
			c <- 0
		}
		for i := 0; i < chanBatch; i++ {
			<-c
		}
	}
}

func chanUncontended(n int) fields {
	return parallel(n, 1, func(s *share) { fillAndDrain(s, make(chan int, chanBatch)) })
}

func chanContended(n int) fields {
	c := make(chan int, chanBatch*runtime.GOMAXPROCS(0))
	result := parallel(n, 1, func(s *share) { fillAndDrain(s, c) })
	if len(c) != 0 {
		panic("go_chan_contended: values are left")
	}
	return result
}

func chanSem(n int) fields {
	c := make(chan struct{}, runtime.GOMAXPROCS(0))
	result := parallel(n, 1, func(s *share) {
		for s.next() {
			c <- struct{}{}
			<-c
		}
	})
	if len(c) != 0 {
		panic("go_chan_sem: tokens are left")
	}
	return result
}

const callsPerSched = 1000 // before a goroutine asks what to do next

// chanSync: two goroutines in lock-step.
func chanSync(n, work int) fields {
	const procs = 2
	batches := n / callsPerSched / procs * procs
	var left, got atomic.Int64
	left.Store(int64(batches))
	c := make(chan int)
	var wg sync.WaitGroup
	wg.Add(procs)
	start := time.Now()
	for p := 0; p < procs; p++ {
		go func() {
			defer wg.Done()
			x := uint64(1)
			received := int64(0)
			for {
				i := left.Add(-1)
				if i < 0 {
					break
				}
				for g := 0; g < callsPerSched; g++ {
					if i%2 == 0 {
						<-c
						received++
						x = localWork(work, x)
						c <- 0
						x = localWork(work, x)
					} else {
						c <- 0
						x = localWork(work, x)
						<-c
						received++
						x = localWork(work, x)
					}
				}
			}
			runtime.KeepAlive(x)
			got.Add(received)
		}()
	}
	wg.Wait()
	result := perOp(start, batches*callsPerSched)
	if got.Load() != int64(batches*callsPerSched) {
		panic("go_chan_sync: lost messages")
	}
	return result
}

// chanProdCons: as many producers and consumers as GOMAXPROCS says.
func chanProdCons(n, capacity, work int) fields {
	procs := runtime.GOMAXPROCS(0)
	batches := n / callsPerSched
	var left, got atomic.Int64
	left.Store(int64(batches))
	c := make(chan int, capacity)
	var wg sync.WaitGroup
	wg.Add(2 * procs)
	start := time.Now()
	for p := 0; p < procs; p++ {
		go func() {
			defer wg.Done()
			x := uint64(1)
			for left.Add(-1) >= 0 {
				for g := 0; g < callsPerSched; g++ {
					x = localWork(work, x)
					c <- 1
				}
			}
			c <- 0
			runtime.KeepAlive(x)
		}()
		go func() {
			defer wg.Done()
			x := uint64(1)
			received := int64(0)
			for {
				v := <-c
				if v == 0 {
					break
				}
				received++
				x = localWork(work, x)
			}
			runtime.KeepAlive(x)
			got.Add(received)
		}()
	}
	wg.Wait()
	result := perOp(start, batches*callsPerSched)
	if got.Load() != int64(batches*callsPerSched) {
		panic("go_chan_prod_cons: lost messages")
	}
	return result
}

// chanPopular: a thousand goroutines select a channel that all of them know, and their own.
func chanPopular(n int) fields {
	const tasks = 1000
	times := n / tasks
	c := make(chan bool)
	var a []chan bool
	var wg sync.WaitGroup
	wg.Add(tasks)
	start := time.Now()
	for j := 0; j < tasks; j++ {
		d := make(chan bool)
		a = append(a, d)
		go func() {
			defer wg.Done()
			got := 0
			for i := 0; i < times; i++ {
				select {
				case <-c:
				case <-d:
					got++
				}
			}
			if got != times {
				panic("go_chan_popular: a value nobody sent")
			}
		}()
	}
	for i := 0; i < times; i++ {
		for _, d := range a {
			d <- true
		}
	}
	wg.Wait()
	return perOp(start, tasks*times)
}

func receiveDataFromClosedChan(n int) fields {
	ch := make(chan struct{}, n)
	for i := 0; i < n; i++ {
		ch <- struct{}{}
	}
	close(ch)
	got := 0
	start := time.Now()
	for range ch {
		got++
	}
	result := perOp(start, n)
	if got != n {
		panic("go_receive_data_from_closed_chan: lost values")
	}
	return result
}
