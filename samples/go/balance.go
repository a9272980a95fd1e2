//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/balance.cpp. Run it: go run samples/go/balance.go
package main

import (
	"container/heap"
	"fmt"
	"sync"
)

const (
	workerCount    = 8
	requesterCount = 40
	requestsEach   = 250
)

type request struct {
	number int
	answer chan int
}

type worker struct {
	requests chan request
	pending  int
	index    int
}

func (w *worker) work(done chan<- *worker) {
	for r := range w.requests {
		r.answer <- r.number * r.number
		done <- w
	}
}

// The heap has the least loaded worker in front.
type pool []*worker

func (p pool) Len() int           { return len(p) }
func (p pool) Less(i, j int) bool { return p[i].pending < p[j].pending }
func (p pool) Swap(i, j int) {
	p[i], p[j] = p[j], p[i]
	p[i].index, p[j].index = i, j
}
func (p *pool) Push(x any) {
	w := x.(*worker)
	w.index = len(*p)
	*p = append(*p, w)
}
func (p *pool) Pop() any {
	old := *p
	w := old[len(old)-1]
	*p = old[:len(old)-1]
	return w
}

// Each requester waits for its answer before it asks again; so there are never more than
// requesterCount unanswered requests, no worker's channel overflows, and a dispatch never waits.
type balancer struct {
	pool       pool
	done       chan *worker
	inHand     int
	dispatched int
}

func newBalancer() *balancer {
	b := &balancer{done: make(chan *worker)}
	for i := 0; i < workerCount; i++ {
		w := &worker{requests: make(chan request, requesterCount)}
		heap.Push(&b.pool, w)
		go w.work(b.done)
	}
	return b
}

func (b *balancer) balance(in <-chan request) {
	for in != nil || b.inHand > 0 {
		select {
		case r, open := <-in:
			if open {
				b.dispatch(r)
			} else {
				in = nil // a nil channel: this case never happens again
			}
		case w := <-b.done:
			b.completed(w)
		}
	}
	for _, w := range b.pool {
		close(w.requests)
	}
	fmt.Printf("%d requests dispatched to %d workers, %d in hand\n", b.dispatched, len(b.pool), b.inHand)
}

func (b *balancer) dispatch(r request) {
	w := heap.Pop(&b.pool).(*worker)
	w.requests <- r
	w.pending++
	b.inHand++
	b.dispatched++
	heap.Push(&b.pool, w)
}

func (b *balancer) completed(w *worker) {
	w.pending--
	b.inHand--
	heap.Fix(&b.pool, w.index)
}

func requester(id int, out chan<- request) int {
	answer := make(chan int)
	sum := 0
	for i := 0; i < requestsEach; i++ {
		out <- request{id*requestsEach + i, answer}
		sum += <-answer
	}
	return sum
}

func main() {
	requests := make(chan request)
	balanced := make(chan struct{})
	go func() {
		newBalancer().balance(requests)
		close(balanced)
	}()
	sums := make([]int, requesterCount)
	var requesters sync.WaitGroup
	for id := range sums {
		requesters.Add(1)
		go func(id int) {
			defer requesters.Done()
			sums[id] = requester(id, requests)
		}(id)
	}
	requesters.Wait()
	close(requests)
	<-balanced
	sum := 0
	for _, s := range sums {
		sum += s
	}
	fmt.Printf("sum of the squares below %d: %d\n", requesterCount*requestsEach, sum)
}
