// SPDX-License-Identifier: BSL-1.0
// Go's benchmarks of context, context/benchmark_test.go: go_common_parent_cancel, go_with_timeout_*,
// go_cancel_tree_*, go_check_canceled_*, go_context_cancel_done, go_deep_value_*, go_err_ok.
package main

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"time"
)

func init() {
	rows["go_common_parent_cancel"] = row{500_000, -1, commonParentCancel}
	for _, others := range []int{40, 4_000, 400_000} {
		rows["go_with_timeout_"+strconv.Itoa(others)] = row{50_000, -1, func(n int) fields {
			return withTimeout(n, others)
		}}
	}
	for _, depth := range []int{1, 10, 100, 1000} {
		for _, root := range []string{"background", "open", "closed"} {
			rows["go_cancel_tree_"+strconv.Itoa(depth)+"_"+root] = row{1_000_000, -1, func(n int) fields {
				return cancelTree(n, depth, root)
			}}
		}
	}
	rows["go_check_canceled_err"] = row{20_000_000, -1, checkCanceledErr}
	rows["go_check_canceled_done"] = row{10_000_000, -1, checkCanceledDone}
	rows["go_context_cancel_done"] = row{10_000_000, -1, contextCancelDone}
	rows["go_err_ok"] = row{20_000_000, -1, errOK}
	rows["go_deep_value_same_10"] = row{5_000_000, -1, func(n int) fields { return deepValueSame(n, 10) }}
	rows["go_deep_value_same_100"] = row{500_000, -1, func(n int) fields { return deepValueSame(n, 100) }}
	rows["go_deep_value_new_10"] = row{500_000, -1, func(n int) fields { return deepValueNew(n, 10) }}
	rows["go_deep_value_new_100"] = row{200_000, -1, func(n int) fields { return deepValueNew(n, 100) }}
}

type named struct{}

func commonParentCancel(n int) fields {
	root := context.WithValue(context.Background(), named{}, "value")
	shared, sharedCancel := context.WithCancel(root)
	defer sharedCancel()
	result := parallel(n, 1, func(s *share) {
		x := uint64(1)
		for s.next() {
			ctx, cancel := context.WithCancel(shared)
			if ctx.Value(named{}).(string) != "value" {
				panic("go_common_parent_cancel: the value is missing")
			}
			x = localWork(100, x)
			cancel()
			x = localWork(100, x)
		}
		runtime.KeepAlive(x)
	})
	if shared.Err() != nil {
		panic("go_common_parent_cancel: a child has cancelled its parent")
	}
	return result
}

// withTimeout: ten contexts with a deadline are made and cancelled, among many others.
func withTimeout(n, others int) fields {
	const atOnce = 10
	root := context.Background()
	kept := make([][]context.CancelFunc, runtime.GOMAXPROCS(0))
	parallel(others, 1, func(s *share) {
		for s.next() {
			_, cancel := context.WithTimeout(root, time.Hour)
			kept[s.id] = append(kept[s.id], cancel)
		}
	})
	start := time.Now()
	parallel(n, 1, func(s *share) {
		own := make([]context.CancelFunc, atOnce)
		for s.next() {
			var last context.Context
			for i := range own {
				last, own[i] = context.WithTimeout(root, time.Hour)
			}
			for _, cancel := range own {
				cancel()
			}
			if last.Err() == nil {
				panic("go_with_timeout: not cancelled")
			}
		}
	})
	result := perOp(start, n*atOnce)
	for _, some := range kept {
		for _, cancel := range some {
			cancel()
		}
	}
	return result
}

// cancelTree: each context is the child of the one before; per context.
func cancelTree(n, depth int, root string) fields {
	times := n / depth
	ok := true
	start := time.Now()
	for t := 0; t < times; t++ {
		ctx, cancel := context.Background(), func() {}
		if root != "background" {
			ctx, cancel = context.WithCancel(ctx)
		}
		if root == "closed" {
			cancel()
		}
		for d := 0; d < depth; d++ {
			child, stop := context.WithCancel(ctx)
			_ = stop // the root's cancel reaches it, if any does
			ctx = child
		}
		if root == "open" {
			cancel()
		}
		ok = ok && (ctx.Err() != nil) == (root != "background")
		cancel()
	}
	result := perOp(start, times*depth)
	if !ok {
		panic("go_cancel_tree: wrong state of the last child")
	}
	return result
}

func checkCanceledErr(n int) fields {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	seen := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		if ctx.Err() != nil {
			seen++
		}
	}
	result := perOp(start, n)
	if seen != n {
		panic("go_check_canceled_err: not cancelled")
	}
	return result
}

func errOK(n int) fields {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		if ctx.Err() == nil {
			seen++
		}
	}
	result := perOp(start, n)
	if seen != n {
		panic("go_err_ok: cancelled")
	}
	return result
}

func checkCanceledDone(n int) fields {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	seen := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		select {
		case <-ctx.Done():
			seen++
		default:
		}
	}
	result := perOp(start, n)
	if seen != n {
		panic("go_check_canceled_done: not cancelled")
	}
	return result
}

func contextCancelDone(n int) fields {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return parallel(n, 1, func(s *share) {
		for s.next() {
			select {
			case <-ctx.Done():
				panic("go_context_cancel_done: cancelled")
			default:
			}
		}
	})
}

func deep(depth int) context.Context {
	ctx := context.Background()
	for i := 0; i < depth; i++ {
		ctx = context.WithValue(ctx, i, i)
	}
	return ctx
}

func deepValueSame(n, depth int) fields {
	ctx := deep(depth)
	found := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		if ctx.Value(-1) != nil {
			found++
		}
	}
	result := perOp(start, n)
	if found != 0 {
		panic("go_deep_value: a value nobody set")
	}
	return result
}

func deepValueNew(n, depth int) fields {
	ctx := deep(depth)
	found := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			if ctx.Value(-1) != nil {
				found++
			}
		}()
		wg.Wait()
	}
	result := perOp(start, n)
	if found != 0 {
		panic("go_deep_value: a value nobody set")
	}
	return result
}
