//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// The Go twin of samples/search.cpp. Run it: go run samples/go/search.go
package main

import (
	"fmt"
	"hash/fnv"
	"sort"
	"strings"
	"time"
)

// The servers are fakes, whose speed depends on their name and the query.
func latency(server, query string) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s:%s", server, query)
	return time.Duration(5+h.Sum32()%130) * time.Millisecond
}

func ask(server, query string) string {
	time.Sleep(latency(server, query))
	return server
}

func oneAfterTheOther(query string) (found []string) {
	for _, server := range []string{"web1", "image1", "video1"} {
		found = append(found, ask(server, query))
	}
	return found
}

func allAtOnce(query string) (found []string) {
	answers := make(chan string)
	for _, server := range []string{"web1", "image1", "video1"} {
		go func(server string) { answers <- ask(server, query) }(server)
	}
	for range [3]int{} {
		found = append(found, <-answers)
	}
	return found
}

// The answer of the replica that is the first; the others go on in vain.
func first(replicas []string, query string) string {
	answers := make(chan string, len(replicas))
	for _, server := range replicas {
		go func(server string) { answers <- ask(server, query) }(server)
	}
	return <-answers
}

// What has been answered within the budget, by whichever replica.
func withinBudget(kinds [][]string, query string) (found []string) {
	answers := make(chan string, len(kinds))
	for _, replicas := range kinds {
		go func(replicas []string) { answers <- first(replicas, query) }(replicas)
	}
	budget := time.After(80 * time.Millisecond)
	for len(found) < len(kinds) {
		select {
		case answer := <-answers:
			found = append(found, answer)
		case <-budget:
			return found
		}
	}
	return found
}

func timed(what string, version func() []string) {
	start := time.Now()
	found := version()
	took := time.Since(start)
	sort.Strings(found)
	fmt.Printf("%s: %s in %d ms\n", what, strings.Join(found, " "), took.Milliseconds())
}

func main() {
	const query = "concurrency"
	web := []string{"web1", "web2", "web3"}
	image := []string{"image1", "image2", "image3"}
	video := []string{"video1", "video2", "video3"}
	for _, kind := range [][]string{web, image, video} {
		for _, server := range kind {
			fmt.Println(server, "takes", latency(server, query).Milliseconds(), "ms")
		}
	}
	timed("1.0, one after the other", func() []string { return oneAfterTheOther(query) })
	timed("2.0, all at once", func() []string { return allAtOnce(query) })
	singles := [][]string{{"web1"}, {"image1"}, {"video1"}}
	timed("2.1, within 80 ms", func() []string { return withinBudget(singles, query) })
	replicated := [][]string{web, image, video}
	timed("3.0, three replicas, within 80 ms", func() []string { return withinBudget(replicated, query) })
}
