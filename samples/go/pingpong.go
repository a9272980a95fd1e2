//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/pingpong.cpp. Run it: go run samples/go/pingpong.go
package main

import (
	"fmt"
	"sync"
)

type ball struct{ hits int }

// Hits every ball that comes. Whoever hits the last one closes the table for the other side.
func player(name string, in <-chan ball, out chan<- ball) {
	const last = 10
	for b := range in {
		b.hits++
		fmt.Println(name, b.hits)
		if b.hits == last {
			break
		}
		out <- b
	}
	close(out)
}

func main() {
	left, right := make(chan ball), make(chan ball)
	var players sync.WaitGroup
	players.Add(2)
	go func() { defer players.Done(); player("ping", left, right) }()
	go func() { defer players.Done(); player("pong", right, left) }()
	left <- ball{} // the service
	players.Wait()
	fmt.Println("game over")
}
