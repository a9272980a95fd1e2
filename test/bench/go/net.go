// SPDX-License-Identifier: BSL-1.0
// Rows about I/O: the TCP echo server, and what a blocked worker does to timers and a connection.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func init() {
	rows["blocked_sleep"] = row{1_000, 0, func(n int) fields { return blockedWorker(n, sleepInKernel) }}
	rows["blocked_loop"] = row{1_000, 0, func(n int) fields { return blockedWorker(n, computeLoop) }}
}

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 1024)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err = c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go echo(c)
	}
}

// echoServer runs until a signal ends the process.
func echoServer(port int) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serve(l)
}

func sleepInKernel(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&ts, &ts) == syscall.EINTR {
	}
}

// computeLoop looks at the clock every 20 µs or so: Go does not preempt inside time.Now.
func computeLoop(d time.Duration) {
	x := uint64(1)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := 0; i < 20_000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	runtime.KeepAlive(x)
}

// worst keeps the largest value it was shown.
type worst struct{ ns atomic.Int64 }

func (w *worst) see(d time.Duration) {
	for {
		old := w.ns.Load()
		if int64(d) <= old || w.ns.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (w *worst) ms() float64 { return float64(w.ns.Load()) / 1e6 }

// blockedWorker: 1000 goroutines wake every 5 ms and one client talks to an echo server, while another
// goroutine blocks its thread for n milliseconds.
func blockedWorker(n int, block func(time.Duration)) fields {
	const period = 5 * time.Millisecond
	const margin = 200 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go serve(l)
	var stop atomic.Bool
	var late, rtt worst
	var wg sync.WaitGroup
	for i := 0; i < 1000; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			next := time.Now().Add(period)
			for !stop.Load() {
				time.Sleep(time.Until(next))
				now := time.Now()
				late.see(now.Sub(next))
				for next = next.Add(period); next.Before(now); next = next.Add(period) {
				}
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		defer c.Close()
		buf := make([]byte, 64)
		for next := time.Now(); !stop.Load(); {
			if _, err = c.Write(buf); err != nil {
				panic(err)
			}
			if _, err = io.ReadFull(c, buf); err != nil {
				panic(err)
			}
			rtt.see(time.Since(next)) // from when it was due
			next = time.Now().Add(time.Millisecond)
			time.Sleep(time.Until(next))
		}
	}()
	time.Sleep(margin)
	calm := late.ms()
	wg.Add(1)
	go func() {
		defer wg.Done()
		block(time.Duration(n) * time.Millisecond)
	}()
	time.Sleep(time.Duration(n)*time.Millisecond + margin)
	stop.Store(true)
	wg.Wait()
	l.Close()
	return fields{"max_late_ms": late.ms(), "calm_late_ms": calm, "max_echo_ms": rtt.ms()}
}
