// SPDX-License-Identifier: BSL-1.0
// Go's side of the benchmark: the same rows as every other peer, one line of JSON per round.
//
//	go_bench <row> --workers N [--rounds R] [--n COUNT]
//	go_bench tcp_echo_server --workers N --port P
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

// fields is what a round reports besides its row and its number of workers.
type fields map[string]float64

// row is one benchmark: its default count, what warms it up, and how a round runs.
type row struct {
	count int
	warm  int // count of the warm-up round; 0: no warm-up; -1: the same as the round
	run   func(n int) fields
}

var rows = map[string]row{}

func perOp(start time.Time, ops int) fields {
	return fields{"ns_per_op": float64(time.Since(start).Nanoseconds()) / float64(ops)}
}

// cpuSeconds is the processor time, user and system, of the whole process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// residentBytes is the resident set size of the process.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, resident int64
	fmt.Sscan(string(text), &size, &resident)
	return resident * int64(os.Getpagesize())
}

// percentile sorts its argument.
func percentile(values []float32, p float64) float64 {
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return float64(values[int(p*float64(len(values)-1))])
}

func usage() {
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: go_bench <row> --workers N [--rounds R] [--n COUNT]\n"+
		"       go_bench tcp_echo_server --workers N --port P\nrows: %s\n", strings.Join(names, " "))
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	workers := flags.Int("workers", 1, "GOMAXPROCS")
	rounds := flags.Int("rounds", 1, "rounds after the warm-up")
	count := flags.Int("n", 0, "how many operations; 0: the row's default")
	port := flags.Int("port", 7000, "port of the echo server")
	flags.Parse(os.Args[2:])
	runtime.GOMAXPROCS(*workers)

	if name == "tcp_echo_server" {
		echoServer(*port)
		return
	}
	r, known := rows[name]
	if !known {
		usage()
	}
	n := *count
	if n <= 0 {
		n = r.count
	}
	switch {
	case r.warm < 0:
		r.run(n)
	case r.warm > 0:
		r.run(min(n, r.warm))
	}
	for i := 0; i < *rounds; i++ {
		out := map[string]any{"row": name, "workers": *workers}
		for key, value := range r.run(n) {
			out[key] = value
		}
		line, err := json.Marshal(out)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}
