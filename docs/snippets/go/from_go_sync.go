//go:build ignore

// SPDX-License-Identifier: BSL-1.0
// Owns the Go half of "From Go": sync and net.
package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

//doc:snippet [mutex]
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

//doc:snippet [mutex]

//doc:snippet [wait_group]
func many(c *counter) {
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.add()
		}()
	}
	wg.Wait()
}

//doc:snippet [wait_group]

//doc:snippet [listen]
func echo(conn net.Conn) {
	defer conn.Close()
	io.Copy(conn, conn)
}

func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go echo(conn)
	}
}

//doc:snippet [listen]

//doc:snippet [dial]
func ask(address string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		return "", err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return "", err
	}
	return string(answer), nil
}

//doc:snippet [dial]

func main() {
	c := &counter{}
	many(c)
	fmt.Println(c.n)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go serve(l)
	answer, err := ask(l.Addr().String())
	fmt.Println(answer, err)
	l.Close()
}
