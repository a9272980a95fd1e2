//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// Owns the Go half of "From Go": goroutines, errors, panics.
package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

//doc:snippet [go]
func worker(id int, out chan<- int) {
	out <- id * id
}

func start() {
	out := make(chan int)
	go worker(7, out)
	fmt.Println(<-out)
}

//doc:snippet [go]

//doc:snippet [closure]
func closure() {
	var wg sync.WaitGroup
	total := 0
	wg.Go(func() {
		total = 42
	})
	wg.Wait()
	fmt.Println(total)
}

//doc:snippet [closure]

//doc:snippet [error]
func half(n int) (int, error) {
	if n%2 != 0 {
		return 0, errors.ErrUnsupported
	}
	return n / 2, nil
}

func quarter(n int) (int, error) {
	h, err := half(n)
	if err != nil {
		return 0, err
	}
	return half(h)
}

//doc:snippet [error]

//doc:snippet [panic]
func mustBePositive(n int) int {
	if n <= 0 {
		panic("not positive")
	}
	return n
}

func guarded() {
	defer func() {
		fmt.Println("recovered:", recover())
	}()
	mustBePositive(-1)
}

//doc:snippet [panic]

//doc:snippet [defer]
func tidy() {
	fmt.Println("open")
	defer fmt.Println("close")
	fmt.Println("work")
}

//doc:snippet [defer]

//doc:snippet [group]
func fetchAll(urls []string) error {
	// golang.org/x/sync/errgroup, in short
	var wg sync.WaitGroup
	errs := make(chan error, len(urls))
	for _, u := range urls {
		wg.Go(func() {
			errs <- fetch(u)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

//doc:snippet [group]

func fetch(url string) error {
	time.Sleep(time.Millisecond)
	if url == "" {
		return errors.ErrUnsupported
	}
	return nil
}

func main() {
	start()
	closure()
	_, err := quarter(6)
	fmt.Println("error:", err != nil)
	guarded()
	tidy()
	fmt.Println("error:", fetchAll([]string{"a", ""}) != nil)
}
