// SPDX-License-Identifier: BSL-1.0
//! Rows about channels: chan_pingpong, chan_spsc, chan_mpmc, chan_sieve, select_2, select_8, select_2b.
//!
//! Tokio has no rendezvous: where the others use an unbuffered channel, this uses `mpsc(1)`, which lets
//! the sender go on. Its own channels have one receiver; many to many is the async-channel crate's.

use crate::{per_op, Fields, Row, Warm};
use std::time::Instant;
use tokio::sync::mpsc;

const BUFFERED: usize = 128;

pub fn rows() -> Vec<Row> {
    vec![
        Row { name: "chan_pingpong", count: 500_000, warm: Warm::Same, run: |n| Box::pin(chan_pingpong(n)) },
        Row { name: "chan_spsc", count: 3_000_000, warm: Warm::Same, run: |n| Box::pin(chan_spsc(n)) },
        Row { name: "chan_mpmc", count: 2_000_000, warm: Warm::Same, run: |n| Box::pin(chan_mpmc(n)) },
        Row { name: "chan_sieve", count: 2_000, warm: Warm::Same, run: |n| Box::pin(chan_sieve(n)) },
        Row { name: "select_2", count: 500_000, warm: Warm::Same, run: |n| Box::pin(select_two(n, 1)) },
        Row {
            name: "select_2b",
            count: 1_000_000,
            warm: Warm::Same,
            run: |n| Box::pin(select_two(n, BUFFERED)),
        },
        Row { name: "select_8", count: 500_000, warm: Warm::Same, run: |n| Box::pin(select_eight(n)) },
    ]
}

async fn chan_pingpong(n: usize) -> Fields {
    let (ping, mut ping_rx) = mpsc::channel::<usize>(1);
    let (pong, mut pong_rx) = mpsc::channel::<usize>(1);
    let other = tokio::spawn(async move {
        while let Some(v) = ping_rx.recv().await {
            pong.send(v).await.unwrap();
        }
    });
    let start = Instant::now();
    for i in 0..n {
        ping.send(i).await.unwrap();
        pong_rx.recv().await.unwrap();
    }
    let result = per_op(start, n);
    drop(ping);
    other.await.unwrap();
    result
}

async fn chan_spsc(n: usize) -> Fields {
    let (tx, mut rx) = mpsc::channel::<usize>(BUFFERED);
    let start = Instant::now();
    tokio::spawn(async move {
        for i in 0..n {
            tx.send(i).await.unwrap();
        }
    });
    let mut got = 0;
    while rx.recv().await.is_some() {
        got += 1;
    }
    let result = per_op(start, n);
    assert_eq!(got, n);
    result
}

async fn chan_mpmc(n: usize) -> Fields {
    const SIDE: usize = 8;
    let each = n / SIDE;
    let (tx, rx) = async_channel::bounded::<usize>(BUFFERED);
    let start = Instant::now();
    let mut receivers = Vec::new();
    for _ in 0..SIDE {
        let (tx, rx) = (tx.clone(), rx.clone());
        tokio::spawn(async move {
            for i in 0..each {
                tx.send(i).await.unwrap();
            }
        });
        receivers.push(tokio::spawn(async move {
            let mut got = 0;
            while rx.recv().await.is_ok() {
                got += 1;
            }
            got
        }));
    }
    drop(tx); // the last sender to end closes the channel
    let mut total = 0;
    for receiver in receivers {
        total += receiver.await.unwrap();
    }
    let result = per_op(start, each * SIDE);
    assert_eq!(total, each * SIDE);
    result
}

/// The n-th prime, found by trial division before the clock starts.
fn nth_prime(n: usize) -> usize {
    let mut primes: Vec<usize> = Vec::with_capacity(n);
    let mut v = 2;
    while primes.len() < n {
        if primes.iter().take_while(|&&p| p * p <= v).all(|p| v % p != 0) {
            primes.push(v);
        }
        v += 1;
    }
    primes[n - 1]
}

/// The concurrent prime sieve, a filter per prime; the generator ends at the n-th prime.
async fn chan_sieve(n: usize) -> Fields {
    let limit = nth_prime(n);
    let start = Instant::now();
    let (tx, mut rx) = mpsc::channel::<usize>(1);
    tokio::spawn(async move {
        for v in 2..=limit {
            tx.send(v).await.unwrap();
        }
    });
    let mut found = 0;
    while let Some(prime) = rx.recv().await {
        found += 1;
        let (tx, next) = mpsc::channel::<usize>(1);
        let mut input = std::mem::replace(&mut rx, next);
        tokio::spawn(async move {
            while let Some(v) = input.recv().await {
                if v % prime != 0 {
                    tx.send(v).await.unwrap();
                }
            }
        });
    }
    let result = per_op(start, n);
    assert_eq!(found, n);
    result
}

fn producer(each: usize, capacity: usize) -> mpsc::Receiver<usize> {
    let (tx, rx) = mpsc::channel(capacity);
    tokio::spawn(async move {
        for i in 0..each {
            tx.send(i).await.unwrap();
        }
    });
    rx
}

/// One task selects over two channels, each fed by its own producer.
async fn select_two(n: usize, capacity: usize) -> Fields {
    let each = n / 2;
    let start = Instant::now();
    let mut a = producer(each, capacity);
    let mut b = producer(each, capacity);
    let mut sum = 0;
    for _ in 0..2 * each {
        tokio::select! {
            Some(v) = a.recv() => sum += v,
            Some(v) = b.recv() => sum += v,
        }
    }
    let result = per_op(start, 2 * each);
    assert_eq!(sum, each * (each - 1));
    result
}

/// The same over eight channels.
async fn select_eight(n: usize) -> Fields {
    const ARMS: usize = 8;
    let each = n / ARMS;
    let start = Instant::now();
    let mut ch: [mpsc::Receiver<usize>; ARMS] = std::array::from_fn(|_| producer(each, 1));
    let [c0, c1, c2, c3, c4, c5, c6, c7] = &mut ch;
    let mut sum = 0;
    for _ in 0..ARMS * each {
        tokio::select! {
            Some(v) = c0.recv() => sum += v,
            Some(v) = c1.recv() => sum += v,
            Some(v) = c2.recv() => sum += v,
            Some(v) = c3.recv() => sum += v,
            Some(v) = c4.recv() => sum += v,
            Some(v) = c5.recv() => sum += v,
            Some(v) = c6.recv() => sum += v,
            Some(v) = c7.recv() => sum += v,
        }
    }
    let result = per_op(start, ARMS * each);
    assert_eq!(sum, ARMS * each * (each - 1) / 2);
    result
}
