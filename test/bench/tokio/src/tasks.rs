// SPDX-License-Identifier: BSL-1.0
//! Rows about tasks themselves: spawn_join, fib_fork, await_chain, yield, idle_mem.

use crate::{per_op, resident_bytes, Fields, Row, Warm};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub fn rows() -> Vec<Row> {
    vec![
        Row { name: "spawn_join", count: 1_000_000, warm: Warm::Same, run: |n| Box::pin(spawn_join(n)) },
        Row { name: "fib_fork", count: 27, warm: Warm::Same, run: |n| Box::pin(fib_fork(n)) },
        Row { name: "await_chain", count: 10_000_000, warm: Warm::Same, run: |n| Box::pin(await_chain(n)) },
        Row { name: "yield", count: 1_000_000, warm: Warm::Same, run: |n| Box::pin(yield_row(n)) },
        Row { name: "idle_mem", count: 1_000_000, warm: Warm::Small(1_000), run: |n| Box::pin(idle_mem(n)) },
    ]
}

/// Both ways of waiting for many tasks; which one is faster differs with the number of workers, so a
/// round runs both and reports the better.
async fn spawn_join(n: usize) -> Fields {
    let start = Instant::now();
    let mut handles = Vec::with_capacity(n);
    for _ in 0..n {
        handles.push(tokio::spawn(async {}));
    }
    for handle in handles {
        handle.await.unwrap();
    }
    let by_handles = start.elapsed();

    let start = Instant::now();
    let tracker = TaskTracker::new();
    for _ in 0..n {
        tracker.spawn(async {});
    }
    tracker.close();
    tracker.wait().await;
    let by_tracker = start.elapsed();
    vec![("ns_per_op", by_handles.min(by_tracker).as_nanos() as f64 / n as f64)]
}

/// Forks the left branch, runs the right one itself, and joins. A recursive async fn needs the box.
fn fib(n: usize) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n as u64;
        }
        let left = tokio::spawn(fib(n - 1));
        let right = fib(n - 2).await;
        left.await.unwrap() + right
    })
}

async fn fib_fork(n: usize) -> Fields {
    let (mut value, mut next) = (0u64, 1u64);
    let (mut before, mut forks) = (0usize, 0usize); // of fib(i - 1) and fib(i)
    for i in 0..n {
        (value, next) = (next, value + next);
        if i > 0 {
            (before, forks) = (forks, before + forks + 1);
        }
    }
    let start = Instant::now();
    assert_eq!(fib(n).await, value);
    per_op(start, forks)
}

/// A child on the heap, as a coroutine's frame is; an async fn awaited in place would be part of its
/// parent, and usually compiles to nothing.
#[inline(never)]
fn child(i: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { i ^ 1 })
}

async fn await_chain(n: usize) -> Fields {
    let start = Instant::now();
    let mut sum = 0u64;
    for i in 0..n as u64 {
        sum = sum.wrapping_add(child(i).await);
    }
    black_box(sum);
    per_op(start, n)
}

async fn yield_row(n: usize) -> Fields {
    const TASKS: usize = 1000;
    let each = (n / TASKS).max(1);
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..each {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    per_op(start, TASKS * each)
}

/// Tasks parked on a oneshot each: of the things that can wake a task, the one that takes least memory.
async fn idle_mem(n: usize) -> Fields {
    let before = resident_bytes();
    let mut senders = Vec::with_capacity(n);
    for _ in 0..n {
        let (tx, rx) = oneshot::channel::<()>();
        senders.push(tx);
        tokio::spawn(async move { rx.await.is_err() });
    }
    tokio::time::sleep(Duration::from_millis(200)).await; // all of them wait
    let after = resident_bytes();
    drop(senders);
    tokio::time::sleep(Duration::from_millis(200)).await;
    vec![("bytes_per_task", (after - before) / n as f64)]
}
