// SPDX-License-Identifier: BSL-1.0
// Rows about channels: chan_pingpong, chan_spsc, chan_mpmc, chan_sieve, select_2, select_8, select_2b.
package main

import (
	"sync"
	"time"
)

const buffered = 128

func init() {
	rows["chan_pingpong"] = row{500_000, -1, chanPingPong}
	rows["chan_spsc"] = row{3_000_000, -1, chanSpsc}
	rows["chan_mpmc"] = row{2_000_000, -1, chanMpmc}
	rows["chan_sieve"] = row{2_000, -1, chanSieve}
	rows["select_2"] = row{500_000, -1, func(n int) fields { return selectTwo(n, 0) }}
	rows["select_2b"] = row{1_000_000, -1, func(n int) fields { return selectTwo(n, buffered) }}
	rows["select_8"] = row{500_000, -1, selectEight}
}

func chanPingPong(n int) fields {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
	result := perOp(start, n)
	close(ping)
	return result
}

func chanSpsc(n int) fields {
	ch := make(chan int, buffered)
	start := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			ch <- i
		}
		close(ch)
	}()
	got := 0
	for range ch {
		got++
	}
	result := perOp(start, n)
	if got != n {
		panic("chan_spsc: lost messages")
	}
	return result
}

func chanMpmc(n int) fields {
	const side = 8
	each := n / side
	ch := make(chan int, buffered)
	counts := make([]int, side)
	start := time.Now()
	var senders, receivers sync.WaitGroup
	senders.Add(side)
	receivers.Add(side)
	for s := 0; s < side; s++ {
		go func() {
			defer senders.Done()
			for i := 0; i < each; i++ {
				ch <- i
			}
		}()
		go func() {
			defer receivers.Done()
			got := 0
			for range ch {
				got++
			}
			counts[s] = got
		}()
	}
	senders.Wait()
	close(ch)
	receivers.Wait()
	result := perOp(start, each*side)
	total := 0
	for _, c := range counts {
		total += c
	}
	if total != each*side {
		panic("chan_mpmc: lost messages")
	}
	return result
}

// nthPrime is the n-th prime, found by trial division before the clock starts.
func nthPrime(n int) int {
	primes := make([]int, 0, n)
	for v := 2; len(primes) < n; v++ {
		prime := true
		for _, p := range primes {
			if p*p > v {
				break
			}
			if v%p == 0 {
				prime = false
				break
			}
		}
		if prime {
			primes = append(primes, v)
		}
	}
	return primes[n-1]
}

// chanSieve is the concurrent prime sieve: a filter per prime, all on unbuffered channels. The
// generator ends at the n-th prime, so that every channel closes and every goroutine ends.
func chanSieve(n int) fields {
	limit := nthPrime(n)
	start := time.Now()
	in := make(chan int)
	go func(out chan<- int) {
		for v := 2; v <= limit; v++ {
			out <- v
		}
		close(out)
	}(in)
	found := 0
	for {
		prime, open := <-in
		if !open {
			break
		}
		found++
		out := make(chan int)
		go func(in <-chan int, out chan<- int) {
			for v := range in {
				if v%prime != 0 {
					out <- v
				}
			}
			close(out)
		}(in, out)
		in = out
	}
	result := perOp(start, n)
	if found != n {
		panic("chan_sieve: wrong number of primes")
	}
	return result
}

// selectTwo: one goroutine selects over two channels, each fed by its own producer.
func selectTwo(n, capacity int) fields {
	each := n / 2
	a, b := make(chan int, capacity), make(chan int, capacity)
	start := time.Now()
	for _, out := range []chan int{a, b} {
		go func() {
			for i := 0; i < each; i++ {
				out <- i
			}
		}()
	}
	sum := 0
	for i := 0; i < 2*each; i++ {
		select {
		case v := <-a:
			sum += v
		case v := <-b:
			sum += v
		}
	}
	result := perOp(start, 2*each)
	if sum != each*(each-1) {
		panic("select: lost messages")
	}
	return result
}

// selectEight is the same over eight unbuffered channels.
func selectEight(n int) fields {
	const arms = 8
	each := n / arms
	var ch [arms]chan int
	start := time.Now()
	for k := range ch {
		ch[k] = make(chan int)
		go func(out chan<- int) {
			for i := 0; i < each; i++ {
				out <- i
			}
		}(ch[k])
	}
	sum := 0
	for i := 0; i < arms*each; i++ {
		select {
		case v := <-ch[0]:
			sum += v
		case v := <-ch[1]:
			sum += v
		case v := <-ch[2]:
			sum += v
		case v := <-ch[3]:
			sum += v
		case v := <-ch[4]:
			sum += v
		case v := <-ch[5]:
			sum += v
		case v := <-ch[6]:
			sum += v
		case v := <-ch[7]:
			sum += v
		}
	}
	result := perOp(start, arms*each)
	if sum != arms*each*(each-1)/2 {
		panic("select_8: lost messages")
	}
	return result
}
