// SPDX-License-Identifier: BSL-1.0
//! Rows about I/O: the TCP echo server, and what a blocked worker does to timers and a connection.

use crate::{Fields, Row, Warm};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "blocked_sleep",
            count: 1_000,
            warm: Warm::Not,
            run: |n| Box::pin(blocked_worker(n, sleep_in_kernel)),
        },
        Row {
            name: "blocked_loop",
            count: 1_000,
            warm: Warm::Not,
            run: |n| Box::pin(blocked_worker(n, compute_loop)),
        },
    ]
}

async fn echo(mut stream: TcpStream) {
    let mut buf = [0u8; 1024];
    loop {
        match stream.read(&mut buf).await {
            Ok(n) if n > 0 => {
                if stream.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(echo(stream));
    }
}

/// Runs until a signal ends the process.
pub async fn echo_server(port: u16) -> Fields {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
    serve(listener).await;
    Fields::new()
}

fn sleep_in_kernel(d: Duration) {
    let mut left = libc::timespec { tv_sec: d.as_secs() as _, tv_nsec: d.subsec_nanos() as _ };
    while unsafe { libc::nanosleep(&left, &mut left) } != 0 {}
}

/// Looks at the clock every 20 µs or so.
fn compute_loop(d: Duration) {
    let end = Instant::now() + d;
    let mut x = 1u64;
    while Instant::now() < end {
        for _ in 0..20_000 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        }
        std::hint::black_box(x);
    }
}

struct Shared {
    stop: AtomicBool,
    late_ns: AtomicU64,
    echo_ns: AtomicU64,
}

/// 1000 tasks wake every 5 ms and one client talks to an echo server, while another task blocks its
/// thread for n milliseconds.
async fn blocked_worker(n: usize, block: fn(Duration)) -> Fields {
    const PERIOD: Duration = Duration::from_millis(5);
    const MARGIN: Duration = Duration::from_millis(200);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let server = tokio::spawn(serve(listener));
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        late_ns: AtomicU64::new(0),
        echo_ns: AtomicU64::new(0),
    });
    let mut tasks = Vec::new();
    for _ in 0..1000 {
        let shared = shared.clone();
        tasks.push(tokio::spawn(async move {
            let mut next = Instant::now() + PERIOD;
            while !shared.stop.load(Ordering::Relaxed) {
                sleep_until(next.into()).await;
                let now = Instant::now();
                let late = now.saturating_duration_since(next);
                shared.late_ns.fetch_max(late.as_nanos() as u64, Ordering::Relaxed);
                while next <= now {
                    next += PERIOD;
                }
            }
        }));
    }
    let client = shared.clone();
    tasks.push(tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let _ = stream.set_nodelay(true);
        let mut buf = [0u8; 64];
        let mut next = Instant::now();
        while !client.stop.load(Ordering::Relaxed) {
            stream.write_all(&buf).await.expect("write");
            stream.read_exact(&mut buf).await.expect("read");
            let took = next.elapsed(); // from when it was due
            client.echo_ns.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
            next = Instant::now() + Duration::from_millis(1);
            sleep_until(next.into()).await;
        }
    }));
    let blocked = Duration::from_millis(n as u64);
    sleep(MARGIN).await;
    let calm = shared.late_ns.load(Ordering::Relaxed);
    tasks.push(tokio::spawn(async move { block(blocked) }));
    sleep(blocked + MARGIN).await;
    shared.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    server.abort();
    let ms = |ns: u64| ns as f64 / 1e6;
    vec![
        ("max_late_ms", ms(shared.late_ns.load(Ordering::Relaxed))),
        ("calm_late_ms", ms(calm)),
        ("max_echo_ms", ms(shared.echo_ns.load(Ordering::Relaxed))),
    ]
}
