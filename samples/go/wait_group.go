//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/wait_group.cpp. Run it: go run samples/go/wait_group.go
package main

import (
	"fmt"
	"sync"
)

// The sum of every fourth number: each worker has a cell of its own, so there is nothing to lock.
func addUp(numbers []int, first int, sum *int) {
	for i := first; i < len(numbers); i += 4 {
		*sum += numbers[i]
	}
}

func main() {
	numbers := make([]int, 1_000_000)
	for i := range numbers {
		numbers[i] = i + 1
	}
	var sums [4]int
	var workers sync.WaitGroup
	for i := range sums {
		workers.Add(1)
		go func(i int) {
			defer workers.Done()
			addUp(numbers, i, &sums[i])
		}(i)
	}
	workers.Wait()
	total := 0
	for i, sum := range sums {
		fmt.Printf("worker %d: %d\n", i, sum)
		total += sum
	}
	fmt.Println("together:", total)
}
