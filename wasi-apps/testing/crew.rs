// crew COMMAND: what Rust's threads make of wasi-threads.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn scope() {
    let numbers: Vec<u64> = (1..=1000).collect();
    let sums: Vec<u64> = thread::scope(|scope| {
        let parts: Vec<_> = numbers.chunks(250).map(|part| scope.spawn(move || part.iter().sum::<u64>())).collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    });
    println!("{sums:?} {}", sums.iter().sum::<u64>());
}

fn lock() {
    let count = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let count = Arc::clone(&count);
            thread::spawn(move || (0..1000).for_each(|_| *count.lock().unwrap() += 1))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{}", count.lock().unwrap());
}

fn queue() {
    let shared = Arc::new((Mutex::new(VecDeque::new()), Condvar::new()));
    let other = Arc::clone(&shared);
    let consumer = thread::spawn(move || {
        let (queue, news) = &*other;
        let mut sum = 0;
        loop {
            let item = news.wait_while(queue.lock().unwrap(), |queue| queue.is_empty()).unwrap().pop_front();
            match item.unwrap() {
                0 => return sum,
                number => sum += number,
            }
        }
    });
    for number in (1..=100).chain([0]) {
        shared.0.lock().unwrap().push_back(number);
        shared.1.notify_one();
    }
    println!("{}", consumer.join().unwrap());
}

fn channel() {
    let (send, receive) = mpsc::channel();
    for number in 0..4 {
        let send = send.clone();
        thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || {
                send.send((number, thread::current().name().unwrap().to_owned())).unwrap();
            })
            .unwrap();
    }
    drop(send);
    let mut got: Vec<_> = receive.iter().collect();
    got.sort();
    got.iter().for_each(|(number, name)| println!("{number} {name}"));
}

fn barrier() {
    let (barrier, led) = (Arc::new(Barrier::new(5)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let (barrier, led) = (Arc::clone(&barrier), Arc::clone(&led));
            thread::spawn(move || {
                for _ in 0..20 {
                    if barrier.wait().is_leader() {
                        led.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{}", led.load(Ordering::SeqCst));
}

fn local() {
    thread_local!(static MINE: std::cell::Cell<u32> = const { std::cell::Cell::new(1) });
    MINE.set(7);
    let other = thread::spawn(|| MINE.replace(9)).join().unwrap();
    println!("{other} {}", MINE.get());
}

fn sleep() {
    let began = Instant::now();
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| thread::sleep(Duration::from_millis(100)))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let parked = thread::current();
    thread::spawn(move || parked.unpark());
    thread::park_timeout(Duration::from_secs(30));
    let took = began.elapsed();
    println!("{}", took >= Duration::from_millis(100) && took < Duration::from_secs(20));
}

fn files() {
    let lines = Arc::new(RwLock::new(Vec::new()));
    thread::scope(|scope| {
        for number in 0..6 {
            let lines = &lines;
            scope.spawn(move || {
                let name = format!("/{number}.txt");
                std::fs::write(&name, format!("written by {number}")).unwrap();
                lines.write().unwrap().push(name);
            });
        }
    });
    let mut names = lines.read().unwrap().clone();
    names.sort();
    names.iter().for_each(|name| println!("{name} {}", std::fs::read_to_string(name).unwrap()));
}

fn one_after_the_other() {
    let mut sum = 0;
    for number in 0..300 {
        sum += thread::spawn(move || number).join().unwrap();
    }
    println!("{sum}");
}

fn main() {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "scope" => scope(),
        "lock" => lock(),
        "queue" => queue(),
        "channel" => channel(),
        "barrier" => barrier(),
        "local" => local(),
        "sleep" => sleep(),
        "files" => files(),
        "one-after-the-other" => one_after_the_other(),
        "panic" => thread::spawn(|| panic!("in a thread")).join().unwrap(),
        "exit" => {
            thread::spawn(|| std::process::exit(44));
            thread::sleep(Duration::from_secs(3600));
        }
        _ => {
            eprintln!(
                "usage: crew scope | lock | queue | channel | barrier | local | sleep | files | one-after-the-other | panic | exit"
            );
            std::process::exit(2);
        }
    }
}
