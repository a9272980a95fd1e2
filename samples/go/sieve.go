//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/sieve.cpp. Run it: go run samples/go/sieve.go [N]
package main

import (
	"fmt"
	"os"
	"strconv"
)

func generate(out chan<- int) {
	for i := 2; ; i++ {
		out <- i
	}
}

func filter(in <-chan int, out chan<- int, prime int) {
	for i := range in {
		if i%prime != 0 {
			out <- i
		}
	}
}

func main() {
	n := 100
	if len(os.Args) > 1 {
		var err error
		if n, err = strconv.Atoi(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	ch := make(chan int)
	go generate(ch)
	for i := 1; i <= n; i++ {
		prime := <-ch
		if i%10 == 0 || i == n {
			fmt.Println(prime)
		} else {
			fmt.Print(prime, " ")
		}
		next := make(chan int)
		go filter(ch, next, prime)
		ch = next
	}
}
