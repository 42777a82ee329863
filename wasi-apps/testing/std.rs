//! std PART…: what Rust's standard library does on WASI, one line for each step. The parts are those of `main`.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What an error is called, or "fine".
fn told<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "fine".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn files() -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open("/f")?;
    file.write_all(b"hello world")?;
    println!("position {}", file.stream_position()?);
    file.seek(SeekFrom::Start(6))?;
    let mut rest = String::new();
    file.read_to_string(&mut rest)?;
    println!("rest {rest}");
    file.set_len(5)?;
    println!("length {}", file.metadata()?.len());
    println!("beyond {}", told(file.seek(SeekFrom::Current(-100))));
    let mut more = OpenOptions::new().append(true).open("/f")?;
    more.write_all(b", again")?;
    println!("content {}", fs::read_to_string("/f")?);
    println!("create_new {}", told(File::create_new("/f")));
    println!("missing {}", told(File::open("/none")));
    println!("read of a write {}", told(File::create("/g")?.read(&mut [0; 4])));
    println!("write of a read {}", told(File::open("/g")?.write(b"x")));
    println!("copy {}", fs::copy("/f", "/g")?);
    fs::hard_link("/f", "/h")?;
    fs::rename("/h", "/i")?;
    println!("exists {} {}", fs::exists("/h")?, fs::exists("/i")?);
    println!("not UTF-8 {}", told(fs::write("/b", b"\xff\xfe").and_then(|()| fs::read_to_string("/b"))));
    fs::remove_file("/f")?;
    println!("removed {}", told(fs::remove_file("/f")));
    println!("file in a file {}", told(File::create("/g/x")));
    println!("outside {}", told(File::open("../etc/passwd")));
    Ok(())
}

fn directories() -> io::Result<()> {
    fs::create_dir_all("/a/b/c")?;
    println!("create_dir {}", told(fs::create_dir("/a")));
    println!("create_dir_all {}", told(fs::create_dir_all("/a/b")));
    for number in 0..300 {
        fs::write(format!("/a/b/{number:03}"), number.to_string())?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir("/a/b")? {
        let entry = entry?;
        let kind = entry.file_type()?;
        names.push((entry.file_name().into_string().unwrap(), kind.is_dir(), entry.metadata()?.len()));
    }
    names.sort();
    let bytes: u64 = names.iter().filter(|name| !name.1).map(|name| name.2).sum();
    println!("entries {} first {} last {} bytes {bytes}", names.len(), names[0].0, names[300].0);
    println!("read_dir {} {}", told(fs::read_dir("/none")), told(fs::read_dir("/a/b/000")));
    println!("remove_dir {} {}", told(fs::remove_dir("/a")), told(fs::remove_dir("/a/b/000")));
    println!("remove_file {}", told(fs::remove_file("/a/b")));
    println!("rename {}", told(fs::rename("/a", "/a/b/c/d")));
    fs::rename("/a", "/z")?;
    println!("metadata {} {}", fs::metadata("/z")?.is_dir(), fs::metadata("/z/b/007")?.is_file());
    fs::remove_dir_all("/z")?;
    println!("left {}", fs::read_dir("/")?.count());
    Ok(())
}

fn times() -> io::Result<()> {
    let then = UNIX_EPOCH + Duration::new(1_000_000_000, 500_000_000);
    fs::write("/f", "x")?;
    let file = OpenOptions::new().write(true).open("/f")?;
    let fresh = file.metadata()?.modified()?;
    println!("fresh {}", SystemTime::now().duration_since(fresh).map_or(0, |age| age.as_secs()) < 3600);
    file.set_times(FileTimes::new().set_modified(then).set_accessed(UNIX_EPOCH + Duration::from_secs(5)))?;
    let known = fs::metadata("/f")?;
    println!("modified {:?}", known.modified()?.duration_since(UNIX_EPOCH).unwrap());
    println!("accessed {:?}", known.accessed()?.duration_since(UNIX_EPOCH).unwrap());
    fs::write("/f", "y")?;
    println!("later {}", fs::metadata("/f")?.modified()? > then);
    println!("after 2020 {}", SystemTime::now() > UNIX_EPOCH + Duration::from_secs(1_577_836_800));
    Ok(())
}

fn sleep() -> io::Result<()> {
    for wanted in [0, 1, 25].map(Duration::from_millis) {
        let began = Instant::now();
        std::thread::sleep(wanted);
        println!("slept for {wanted:?}: {}", began.elapsed() >= wanted);
    }
    let before = Instant::now();
    println!("forward {}", (0..1000).all(|_| Instant::now() >= before));
    std::thread::yield_now();
    println!("spawn {}", told(std::thread::Builder::new().spawn(|| ())));
    Ok(())
}

fn stdin() -> io::Result<()> {
    let mut lines = BufReader::new(io::stdin()).lines();
    println!("first {:?}", lines.next().transpose()?);
    println!("others {}", lines.count());
    println!("after the end {}", io::stdin().read(&mut [0; 8])?);
    Ok(())
}

fn random() -> io::Result<()> {
    let seen: HashSet<u64> = (0..100)
        .map(|_| std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 1))
        .collect();
    println!("different {}", seen.len() == 100);
    Ok(())
}

fn environment() -> io::Result<()> {
    for (name, value) in std::env::vars() {
        println!("{name} is {value:?}");
    }
    println!("current_dir {}", told(std::env::current_dir()));
    println!("HOME {}", std::env::var("HOME").is_ok());
    println!("arguments {:?}", std::env::args().skip(2).collect::<Vec<_>>());
    Ok(())
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let kept = std::hint::black_box([depth; 100]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1) + std::hint::black_box(kept)[7] }
}

fn memory() -> io::Result<()> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..24 {
        kept.push(vec![1; 1 << 20]);
    }
    println!("bytes {}", kept.iter().map(|part| part.iter().map(|&byte| byte as usize).sum::<usize>()).sum::<usize>());
    let mut much: Vec<u8> = Vec::new();
    println!("too much {}", much.try_reserve(3 << 30 >> std::hint::black_box(0)).is_err());
    Ok(())
}

fn main() -> io::Result<()> {
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "files" => files(),
        "directories" => directories(),
        "times" => times(),
        "sleep" => sleep(),
        "stdin" => stdin(),
        "random" => random(),
        "memory" => memory(),
        "environment" => environment(),
        "error" => Err(io::Error::other("it went wrong")),
        "panic" => panic!("at the disco"),
        "index" => { println!("{}", [1, 2, 3][std::env::args().count() + 7]); Ok(()) }
        "deep" => { println!("{}", deeper(0)); Ok(()) }
        "abort" => std::process::abort(),
        "exit" => std::process::exit(17),
        _ => { eprintln!("usage: std PART"); std::process::exit(2) }
    }
}
