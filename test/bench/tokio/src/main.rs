// SPDX-License-Identifier: BSL-1.0
//! Tokio's side of the benchmark: the same rows as every other peer, one line of JSON per round.
//!
//!     tokio_bench <row> --workers N [--rounds R] [--n COUNT] [--flavor multi|current]
//!     tokio_bench tcp_echo_server --workers N --port P

mod channels;
mod locks;
mod net;
mod tasks;
mod timers;

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

/// What a round reports besides its row and its number of workers.
pub type Fields = Vec<(&'static str, f64)>;
pub type Round = Pin<Box<dyn Future<Output = Fields> + Send>>;

/// How a row is warmed up before its first round.
#[derive(Clone, Copy)]
pub enum Warm {
    Same,
    Small(usize),
    Not,
}

/// One benchmark: its default count, its warm-up, and how a round runs.
pub struct Row {
    pub name: &'static str,
    pub count: usize,
    pub warm: Warm,
    pub run: fn(usize) -> Round,
}

pub fn per_op(start: Instant, ops: usize) -> Fields {
    vec![("ns_per_op", start.elapsed().as_nanos() as f64 / ops as f64)]
}

/// Processor time, user and system, of the whole process, in seconds.
pub fn cpu_seconds() -> f64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Resident set size of the process.
pub fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: f64 = text.split(' ').nth(1).expect("resident").parse().expect("a number");
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

fn usage(rows: &[Row]) -> ! {
    let names: Vec<_> = rows.iter().map(|r| r.name).collect();
    eprintln!(
        "usage: tokio_bench <row> --workers N [--rounds R] [--n COUNT] [--flavor multi|current]\n       \
         tokio_bench tcp_echo_server --workers N --port P\nrows: {}",
        names.join(" ")
    );
    std::process::exit(2)
}

fn main() {
    let mut rows = Vec::new();
    rows.extend(tasks::rows());
    rows.extend(channels::rows());
    rows.extend(locks::rows());
    rows.extend(timers::rows());
    rows.extend(net::rows());

    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else { usage(&rows) };
    let (mut workers, mut rounds, mut count, mut port) = (1usize, 1usize, 0usize, 7000usize);
    let mut current = false;
    while let Some(flag) = args.next() {
        let Some(value) = args.next() else { usage(&rows) };
        if flag == "--flavor" {
            current = value == "current";
            continue;
        }
        let target = match flag.as_str() {
            "--workers" => &mut workers,
            "--rounds" => &mut rounds,
            "--n" => &mut count,
            "--port" => &mut port,
            _ => usage(&rows),
        };
        *target = value.parse().unwrap_or_else(|_| usage(&rows));
    }

    // The same kind of runtime for one worker as for two; `--flavor current` shows the other kind.
    let runtime = if current {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    }
    .expect("runtime");
    // Work runs in a spawned task: what block_on itself polls is not on a worker.
    let run = |round: Round| {
        runtime.block_on(async { tokio::spawn(round).await.expect("the round ended by a panic") })
    };

    if name == "tcp_echo_server" {
        run(Box::pin(net::echo_server(port as u16)));
        return;
    }
    let Some(row) = rows.iter().find(|r| r.name == name) else { usage(&rows) };
    let n = if count > 0 { count } else { row.count };
    match row.warm {
        Warm::Same => drop(run((row.run)(n))),
        Warm::Small(few) => drop(run((row.run)(n.min(few)))),
        Warm::Not => {}
    }
    for _ in 0..rounds {
        let mut line = format!("{{\"row\":\"{name}\",\"workers\":{workers}");
        for (key, value) in run((row.run)(n)) {
            line += &format!(",\"{key}\":{value}");
        }
        println!("{line}}}");
    }
    // What a row left behind (a parked accept, say) need not end first.
    runtime.shutdown_background();
}
