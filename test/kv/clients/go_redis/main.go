// SPDX-License-Identifier: BSL-1.0

// What go-redis does with its default options. usage: main PORT
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func must(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func expect(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		log.Output(2, fmt.Sprintf("got %.200v, wanted %.200v", got, wanted))
		os.Exit(1)
	}
}

func main() {
	log.SetFlags(log.Lshortfile)
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1]})
	defer c.Close()

	expect(c.Ping(ctx).Val(), "PONG")
	must(c.Set(ctx, "greeting", "hello", 0).Err())
	expect(c.Get(ctx, "greeting").Val(), "hello")
	expect(c.Get(ctx, "nix").Err(), redis.Nil)
	expect(c.MGet(ctx, "greeting", "nix").Val(), []any{"hello", nil})
	expect(c.IncrByFloat(ctx, "f", 1.5).Val(), 1.5)
	expect(c.ConfigGet(ctx, "port").Val(), map[string]string{"port": os.Args[1]})
	info, err := c.ClientInfo(ctx).Result()
	must(err)
	expect(strings.HasPrefix(info.LibName, "go-redis"), true)
	_, err = c.Command(ctx).Result()
	must(err)
	keys := c.Scan(ctx, 0, "gree*", 100).Iterator()
	expect(keys.Next(ctx), true)
	expect(keys.Val(), "greeting")

	var n *redis.IntCmd
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", 1, 0)
		n = p.Incr(ctx, "a")
		return nil
	})
	must(err)
	expect(n.Val(), int64(2))
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "b", 1, 0)
		n = p.Incr(ctx, "b")
		return nil
	})
	must(err)
	expect(n.Val(), int64(2))

	increment := func(disturb bool) error {
		return c.Watch(ctx, func(tx *redis.Tx) error {
			if disturb {
				must(c.Set(ctx, "a", 10, 0).Err())
			}
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Incr(ctx, "a")
				return nil
			})
			return err
		}, "a")
	}
	expect(errors.Is(increment(true), redis.TxFailedErr), true)
	must(increment(false))
	expect(c.Get(ctx, "a").Val(), "11")

	sub := c.PSubscribe(ctx, "n*")
	must(sub.Subscribe(ctx, "news"))
	for range 2 {
		_, err = sub.Receive(ctx) // confirmations
		must(err)
	}
	expect(c.Publish(ctx, "news", "text").Val(), int64(2))
	for range 2 {
		m, err := sub.ReceiveMessage(ctx)
		must(err)
		expect(m.Channel+" "+m.Payload, "news text")
	}
	must(sub.Close())

	big := bytes.Repeat([]byte("0123456789abcdef"), 40<<16)
	must(c.Set(ctx, "big", big, 0).Err())
	got, err := c.Get(ctx, "big").Bytes()
	must(err)
	expect(bytes.Equal(got, big), true)

	must(c.Set(ctx, "k", "v", 50*time.Millisecond).Err())
	time.Sleep(100 * time.Millisecond)
	expect(c.Get(ctx, "k").Err(), redis.Nil)
	must(c.Set(ctx, "k", "v", 100*time.Second).Err())
	expect(c.TTL(ctx, "k").Val() > 0, true)
	expect(c.Persist(ctx, "k").Val(), true)
	must(c.FlushAll(ctx).Err())
	fmt.Println("go-redis", redis.Version())
}
