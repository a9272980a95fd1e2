//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// Owns the Go half of "From Go": contexts and time.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

//doc:snippet [cancel]
func wait(ctx context.Context) error {
	select {
	case <-time.After(time.Hour):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cancelIt() {
	ctx, cancel := context.WithCancel(context.Background())
	go cancel()
	fmt.Println(wait(ctx))
}

//doc:snippet [cancel]

//doc:snippet [timeout]
func limited() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := wait(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
}

//doc:snippet [timeout]

//doc:snippet [value]
type userKey struct{}

func greet(ctx context.Context) {
	fmt.Println("hello,", ctx.Value(userKey{}))
}

func withUser() {
	ctx := context.WithValue(context.Background(), userKey{}, "gopher")
	greet(ctx)
}

//doc:snippet [value]

//doc:snippet [cause]
func because() {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("out of paper"))
	fmt.Println(context.Cause(ctx))
}

//doc:snippet [cause]

//doc:snippet [ticker]
func ticks() {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range 3 {
		<-ticker.C
	}
	fmt.Println("three ticks")
}

//doc:snippet [ticker]

func main() {
	cancelIt()
	limited()
	withUser()
	because()
	ticks()
}
