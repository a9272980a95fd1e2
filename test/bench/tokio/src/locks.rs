// SPDX-License-Identifier: BSL-1.0
//! Rows about mutexes and cancellation: mutex_*, ctx_flat, ctx_tree.

use crate::{per_op, Fields, Row, Warm};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "mutex_uncontended",
            count: 10_000_000,
            warm: Warm::Same,
            run: |n| Box::pin(uncontended(n)),
        },
        Row {
            name: "mutex_contended",
            count: 8_000_000,
            warm: Warm::Same,
            run: |n| Box::pin(shared(n, false)),
        },
        Row { name: "mutex_yield", count: 400_000, warm: Warm::Same, run: |n| Box::pin(shared(n, true)) },
        Row { name: "ctx_flat", count: 100_000, warm: Warm::Same, run: |n| Box::pin(contexts(n, 0)) },
        Row { name: "ctx_tree", count: 100_000, warm: Warm::Same, run: |n| Box::pin(contexts(n, 10)) },
    ]
}

async fn uncontended(n: usize) -> Fields {
    let mutex = Mutex::new(0usize);
    let start = Instant::now();
    for _ in 0..n {
        *mutex.lock().await += 1;
    }
    let result = per_op(start, n);
    assert_eq!(*mutex.lock().await, n);
    result
}

/// Eight tasks share one lock, and hold it across a yield if they are told to.
async fn shared(n: usize, yields: bool) -> Fields {
    const TASKS: usize = 8;
    let each = n / TASKS;
    let mutex = Arc::new(Mutex::new(0usize));
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mutex = mutex.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    let mut guard = mutex.lock().await;
                    *guard += 1;
                    if yields {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let result = per_op(start, TASKS * each);
    assert_eq!(*mutex.lock().await, TASKS * each);
    result
}

/// Derives n tokens and cancels the root, ten times over. With a fan-out, token i hangs below token
/// (i - 1) / fan_out; without, all hang below the root. A token is weaker than a context: it has no
/// deadline, cause or values. Dropping the tokens is part of the work, as it is of every life.
async fn contexts(n: usize, fan_out: usize) -> Fields {
    const TIMES: usize = 10;
    let start = Instant::now();
    for _ in 0..TIMES {
        let root = CancellationToken::new();
        let mut all: Vec<CancellationToken> = Vec::with_capacity(n);
        for i in 0..n {
            let parent = if fan_out > 0 && i > 0 { &all[(i - 1) / fan_out] } else { &root };
            let token = parent.child_token();
            all.push(token);
        }
        root.cancel();
        assert!(all[n - 1].is_cancelled());
    }
    per_op(start, TIMES * n)
}
