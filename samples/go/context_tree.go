//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/context_tree.cpp. Run it: go run samples/go/context_tree.go
package main

import (
	"context"
	"fmt"
	"time"
)

type requestID struct{}

// Ends with its context, and says why.
func handle(ctx context.Context, name string, out chan<- string) {
	<-ctx.Done()
	out <- fmt.Sprintf("%s, request %d: %v", name, ctx.Value(requestID{}), ctx.Err())
}

// Has to be given the context, and to look at it beside whatever it waits for.
func sleeper(ctx context.Context, out chan<- string) {
	select {
	case <-time.After(time.Hour):
		out <- "sleeper: slept well"
	case <-ctx.Done():
		out <- fmt.Sprint("sleeper: ", ctx.Err())
	}
}

func start(f func(out chan<- string)) <-chan string {
	out := make(chan string)
	go f(out)
	return out
}

func main() {
	all, cancelAll := context.WithCancel(context.WithValue(context.Background(), requestID{}, 7))
	left, cancelLeft := context.WithCancel(all)
	right, cancelRight := context.WithTimeout(all, 20*time.Millisecond)
	defer cancelRight()
	left1 := start(func(out chan<- string) { handle(left, "left 1", out) })
	left2 := start(func(out chan<- string) { handle(left, "left 2", out) })
	right1 := start(func(out chan<- string) { handle(right, "right", out) })
	rest := start(func(out chan<- string) { handle(all, "rest", out) })
	asleep := start(func(out chan<- string) { sleeper(all, out) })

	cancelLeft() // both of its goroutines, and nobody else
	fmt.Println(<-left1)
	fmt.Println(<-left2)
	fmt.Println("rest goes on:", all.Err() == nil)

	fmt.Println(<-right1) // at its deadline

	cancelAll() // the root of the tree: whatever is left
	fmt.Println(<-rest)
	fmt.Println(<-asleep)
}
