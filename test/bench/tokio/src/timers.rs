// SPDX-License-Identifier: BSL-1.0
//! Rows about time: timers_sleep, timers_cancel_1, timers_cancel_1m. Tokio's timers tick in milliseconds.

use crate::{cpu_seconds, per_op, Fields, Row, Warm};
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};
use tokio::time::Sleep;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "timers_sleep",
            count: 1_000_000,
            warm: Warm::Small(50_000),
            run: |n| Box::pin(timers_sleep(n)),
        },
        Row { name: "timers_cancel_1", count: 1_000_000, warm: Warm::Same, run: |n| Box::pin(cancel_one(n)) },
        Row {
            name: "timers_cancel_1m",
            count: 1_000_000,
            warm: Warm::Same,
            run: |n| Box::pin(cancel_many(n)),
        },
    ]
}

/// n tasks sleep once each, for 1 to 1000 ms; lateness is what comes on top.
async fn timers_sleep(n: usize) -> Fields {
    let mut handles = Vec::with_capacity(n);
    let mut late = vec![1f32; n]; // touched before the clock starts
    let (cpu, start) = (cpu_seconds(), Instant::now());
    for i in 0..n {
        handles.push(tokio::spawn(async move {
            let d = Duration::from_millis((1 + i * 7919 % 1000) as u64);
            let begin = Instant::now();
            tokio::time::sleep(d).await;
            (begin.elapsed().as_secs_f64() - d.as_secs_f64()) as f32 * 1e3
        }));
    }
    for (handle, slot) in handles.into_iter().zip(late.iter_mut()) {
        *slot = handle.await.unwrap();
    }
    let (used, wall) = (cpu_seconds() - cpu, start.elapsed().as_secs_f64());
    late.sort_by(f32::total_cmp);
    let percentile = |p: f64| late[(p * (n - 1) as f64) as usize] as f64;
    vec![("cpu_s", used), ("wall_s", wall), ("p50_ms", percentile(0.50)), ("p99_ms", percentile(0.99))]
}

/// A sleep is registered when it is first polled, and removed when it is dropped.
fn arm(sleep: Pin<&mut Sleep>) {
    let mut nobody = Context::from_waker(std::task::Waker::noop());
    assert!(sleep.poll(&mut nobody).is_pending());
}

async fn cancel_one(n: usize) -> Fields {
    let start = Instant::now();
    for _ in 0..n {
        let sleep = tokio::time::sleep(Duration::from_secs(3600));
        tokio::pin!(sleep);
        arm(sleep.as_mut());
    }
    per_op(start, n)
}

/// Creates n timers with deadlines all over an hour, then drops them in another order.
async fn cancel_many(n: usize) -> Fields {
    let mut timers: Vec<Option<Pin<Box<Sleep>>>> = Vec::with_capacity(n);
    let start = Instant::now();
    for i in 0..n {
        let d = Duration::from_secs(3600) + Duration::from_millis((i * 7919 % n) as u64);
        let mut sleep = Box::pin(tokio::time::sleep(d));
        arm(sleep.as_mut());
        timers.push(Some(sleep));
    }
    for i in 0..n {
        timers[i * 104_729 % n] = None;
    }
    let result = per_op(start, n);
    assert!(timers.iter().all(Option::is_none));
    result
}
