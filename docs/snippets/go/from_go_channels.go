//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// Owns the Go half of "From Go": channels and select.
package main

import (
	"fmt"
	"time"
)

//doc:snippet [make]
func makeChannels() {
	unbuffered := make(chan int)
	buffered := make(chan string, 8)
	var none chan int // nil: blocks for ever
	fmt.Println(cap(unbuffered), cap(buffered), cap(none))
}

//doc:snippet [make]

//doc:snippet [range]
func count(out chan<- int) {
	defer close(out)
	for i := range 3 {
		out <- i
	}
}

func rangeOver() {
	ch := make(chan int)
	go count(ch)
	for v := range ch {
		fmt.Println(v)
	}
}

//doc:snippet [range]

//doc:snippet [comma_ok]
func commaOk(ch <-chan int) {
	v, ok := <-ch
	fmt.Println(v, ok)
}

//doc:snippet [comma_ok]

//doc:snippet [select]
func either(a <-chan int, b chan<- int) {
	select {
	case v := <-a:
		fmt.Println("received", v)
	case b <- 5:
		fmt.Println("sent")
	case <-time.After(time.Second):
		fmt.Println("too late")
	}
}

//doc:snippet [select]

//doc:snippet [default]
func tryIt(ch <-chan int) {
	select {
	case v := <-ch:
		fmt.Println("received", v)
	default:
		fmt.Println("nothing")
	}
}

//doc:snippet [default]

//doc:snippet [nil]
func merge(a, b <-chan int) (sum int) {
	for a != nil || b != nil {
		select {
		case v, ok := <-a:
			if !ok {
				a = nil // this arm never happens again
			}
			sum += v
		case v, ok := <-b:
			if !ok {
				b = nil
			}
			sum += v
		}
	}
	return sum
}

//doc:snippet [nil]

func main() {
	makeChannels()
	rangeOver()
	closed := make(chan int)
	close(closed)
	commaOk(closed)
	in := make(chan int, 1)
	in <- 4
	either(in, nil)
	tryIt(in)
	x, y := make(chan int), make(chan int)
	go count(x)
	go count(y)
	fmt.Println("sum", merge(x, y))
}
