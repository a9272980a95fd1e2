//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/pipeline.cpp. Run it: go run samples/go/pipeline.go
package main

import (
	"fmt"
	"sync"
)

// The stages of one pipeline, to wait for them.
type pipeline struct {
	done   chan struct{}
	stages sync.WaitGroup
}

func (p *pipeline) run(stage func()) {
	p.stages.Add(1)
	go func() {
		defer p.stages.Done()
		stage()
	}()
}

func (p *pipeline) generate(count int) <-chan int {
	out := make(chan int)
	p.run(func() {
		defer close(out)
		for i := 1; i <= count; i++ {
			select {
			case out <- i:
			case <-p.done:
				return
			}
		}
	})
	return out
}

func (p *pipeline) square(in <-chan int) <-chan int {
	out := make(chan int)
	p.run(func() {
		defer close(out)
		for n := range in {
			select {
			case out <- n * n:
			case <-p.done:
				return
			}
		}
	})
	return out
}

func (p *pipeline) merge(in ...<-chan int) <-chan int {
	out := make(chan int)
	var copies sync.WaitGroup
	copies.Add(len(in))
	for _, from := range in {
		go func(from <-chan int) {
			defer copies.Done()
			for n := range from {
				select {
				case out <- n:
				case <-p.done:
					return
				}
			}
		}(from)
	}
	p.run(func() {
		copies.Wait()
		close(out)
	})
	return out
}

func squares(count int) (*pipeline, <-chan int) {
	p := &pipeline{done: make(chan struct{})}
	numbers := p.generate(count)
	return p, p.merge(p.square(numbers), p.square(numbers))
}

func main() {
	_, results := squares(6)
	for n := range results {
		fmt.Println(n)
	}

	p, results := squares(1_000_000_000)
	taken := 0
	for taken < 3 {
		<-results
		taken++
	}
	close(p.done)
	p.stages.Wait()
	fmt.Printf("took %d of a billion, all stages have ended\n", taken)
}
