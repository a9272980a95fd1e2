// SPDX-License-Identifier: BSL-1.0
// Benchmarks of golang.org/x/sync: go_errgroup_go, go_semaphore_acquire_*. Built with the tag xsync
// only, because the module has to be fetched; run.py builds without it when it cannot be.

//go:build xsync

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

func init() {
	rows["go_errgroup_go"] = row{500_000, -1, errgroupGo}
	for _, c := range []struct{ cap, size, times, n int }{
		{1, 1, 1, 10_000_000}, {128, 1, 1, 10_000_000}, {16, 2, 8, 2_000_000},
		{128, 2, 64, 200_000}, {2, 1, 2, 5_000_000}, {128, 64, 2, 5_000_000},
	} {
		name := fmt.Sprintf("go_semaphore_acquire_%d_%d_%d", c.cap, c.size, c.times)
		rows[name] = row{c.n, -1, func(n int) fields { return semaphoreAcquire(n, c.cap, c.size, c.times) }}
	}
}

func errgroupGo(n int) fields {
	g := &errgroup.Group{}
	start := time.Now()
	for i := 0; i < n; i++ {
		g.Go(func() error { return nil })
	}
	if err := g.Wait(); err != nil {
		panic(err)
	}
	return perOp(start, n)
}

// semaphoreAcquire: `times` times `size` tokens of `cap`, one after the other, then back.
func semaphoreAcquire(n, cap, size, times int) fields {
	sem := semaphore.NewWeighted(int64(cap))
	ctx := context.Background()
	start := time.Now()
	for i := 0; i < n; i++ {
		for j := 0; j < times; j++ {
			if err := sem.Acquire(ctx, int64(size)); err != nil {
				panic(err)
			}
		}
		for j := 0; j < times; j++ {
			sem.Release(int64(size))
		}
	}
	result := perOp(start, n)
	if !sem.TryAcquire(int64(cap)) {
		panic("go_semaphore_acquire: lost tokens")
	}
	return result
}
