//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/stop_channel.cpp. Run it: go run samples/go/stop_channel.go
package main

import "fmt"

func worker(jobs <-chan int, stop <-chan struct{}, stopped chan<- struct{}) {
	sum := 0
	for onDuty := true; onDuty; {
		select {
		case job := <-jobs:
			sum += job
			fmt.Println("job", job)
		case <-stop:
			onDuty = false
		}
	}
	fmt.Println("told to stop, sum", sum)
	stopped <- struct{}{}
}

func main() {
	jobs := make(chan int)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go worker(jobs, stop, stopped)
	for job := 1; job <= 3; job++ {
		jobs <- job
	}
	stop <- struct{}{}
	_, done := <-stopped
	fmt.Println("worker has stopped:", done)
}
