//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/select_done.cpp. Run it: go run samples/go/select_done.go
package main

import (
	"fmt"
	"sync"
)

// Offers the multiples of step until it is told that nobody wants any more.
func produce(step int, out chan<- int, done <-chan struct{}) {
	next := step
	for wanted := true; wanted; {
		select {
		case out <- next:
			next += step
		case <-done:
			wanted = false
		}
	}
	fmt.Printf("the producer of multiples of %d leaves\n", step)
}

func main() {
	steps := []int{2, 5, 7}
	done := make(chan struct{})
	var producers sync.WaitGroup
	var numbers []chan int
	for _, step := range steps {
		out := make(chan int)
		numbers = append(numbers, out)
		producers.Add(1)
		go func(step int) {
			defer producers.Done()
			produce(step, out, done)
		}(step)
	}
	sum := 0
	for i := 0; i < 30; i++ {
		sum += <-numbers[i%3]
	}
	fmt.Println("sum of ten multiples of each:", sum)
	close(done) // a broadcast: all three see it
	producers.Wait()
}
