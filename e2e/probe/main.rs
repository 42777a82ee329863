//! Calls WASI as a script on stdin says, a call a line, and prints what each gave: for comparing hosts.
//!
//! `open 3 0 :a/b 1 0x42 0 f` is path_open(3, 0, "a/b", CREAT, read and write, …), whose descriptor is called f from then on.
//! A path begins with a colon; %xx in it is a byte. What hosts may differ in is left out: times that are now, sizes of directories.
//!
//! Build: rustc --edition 2021 --target wasm32-wasip1 -C opt-level=z -C lto -C panic=abort -C strip=symbols main.rs -o probe.wasm
use std::collections::HashMap;
use std::io::Read;
#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn fd_advise(a: i32, b: i64, c: i64, d: i32) -> i32;
    fn fd_allocate(a: i32, b: i64, c: i64) -> i32;
    fn fd_close(a: i32) -> i32;
    fn fd_datasync(a: i32) -> i32;
    fn fd_fdstat_get(a: i32, p: *mut u8) -> i32;
    fn fd_fdstat_set_flags(a: i32, b: i32) -> i32;
    fn fd_fdstat_set_rights(a: i32, b: i64, c: i64) -> i32;
    fn fd_filestat_get(a: i32, p: *mut u8) -> i32;
    fn fd_filestat_set_size(a: i32, b: i64) -> i32;
    fn fd_filestat_set_times(a: i32, b: i64, c: i64, d: i32) -> i32;
    fn fd_pread(a: i32, p: *const u8, n: i32, off: i64, out: *mut u32) -> i32;
    fn fd_pwrite(a: i32, p: *const u8, n: i32, off: i64, out: *mut u32) -> i32;
    fn fd_read(a: i32, p: *const u8, n: i32, out: *mut u32) -> i32;
    fn fd_write(a: i32, p: *const u8, n: i32, out: *mut u32) -> i32;
    fn fd_prestat_get(a: i32, p: *mut u8) -> i32;
    fn fd_prestat_dir_name(a: i32, p: *mut u8, n: i32) -> i32;
    fn fd_readdir(a: i32, p: *mut u8, n: i32, cookie: i64, out: *mut u32) -> i32;
    fn fd_renumber(a: i32, b: i32) -> i32;
    fn fd_seek(a: i32, b: i64, c: i32, out: *mut u64) -> i32;
    fn fd_sync(a: i32) -> i32;
    fn fd_tell(a: i32, out: *mut u64) -> i32;
    fn path_create_directory(a: i32, p: *const u8, n: i32) -> i32;
    fn path_filestat_get(a: i32, f: i32, p: *const u8, n: i32, out: *mut u8) -> i32;
    fn path_filestat_set_times(a: i32, f: i32, p: *const u8, n: i32, t: i64, u: i64, g: i32) -> i32;
    fn path_link(a: i32, f: i32, p: *const u8, n: i32, b: i32, q: *const u8, m: i32) -> i32;
    fn path_open(a: i32, f: i32, p: *const u8, n: i32, o: i32, r: i64, ri: i64, ff: i32, out: *mut i32) -> i32;
    fn path_readlink(a: i32, p: *const u8, n: i32, q: *mut u8, m: i32, out: *mut u32) -> i32;
    fn path_remove_directory(a: i32, p: *const u8, n: i32) -> i32;
    fn path_rename(a: i32, p: *const u8, n: i32, b: i32, q: *const u8, m: i32) -> i32;
    fn path_symlink(p: *const u8, n: i32, b: i32, q: *const u8, m: i32) -> i32;
    fn path_unlink_file(a: i32, p: *const u8, n: i32) -> i32;
    fn poll_oneoff(a: *const u8, b: *mut u8, n: i32, out: *mut u32) -> i32;
    fn clock_res_get(a: i32, out: *mut u64) -> i32;
    fn clock_time_get(a: i32, p: i64, out: *mut u64) -> i32;
    fn proc_raise(a: i32) -> i32;
    fn sched_yield() -> i32;
    fn random_get(p: *mut u8, n: i32) -> i32;
    fn sock_accept(a: i32, b: i32, out: *mut i32) -> i32;
    fn sock_recv(a: i32, p: *const u8, n: i32, f: i32, o: *mut u32, g: *mut u32) -> i32;
    fn sock_send(a: i32, p: *const u8, n: i32, f: i32, o: *mut u32) -> i32;
    fn sock_shutdown(a: i32, b: i32) -> i32;
}
fn unhex(s: &str) -> Vec<u8> {
    let b = s.as_bytes();
    let mut out = vec![];
    let mut i = 0;
    while i < b.len() {
        if b[i] == b'%' {
            out.push(u8::from_str_radix(&s[i + 1..i + 3], 16).unwrap());
            i += 3
        } else {
            out.push(b[i]);
            i += 1
        }
    }
    out
}
fn time(t: u64) -> String {
    if t == 0 {
        "0".into()
    } else if t < 1_000_000_000_000_000_000 {
        t.to_string()
    } else if t > 1_900_000_000_000_000_000 {
        t.to_string()
    } else {
        "now".into()
    }
}
fn u64at(b: &[u8], i: usize) -> u64 {
    u64::from_le_bytes(b[i..i + 8].try_into().unwrap())
}
fn u32at(b: &[u8], i: usize) -> u32 {
    u32::from_le_bytes(b[i..i + 4].try_into().unwrap())
}
fn iov(bufs: &[(*const u8, usize)]) -> Vec<u32> {
    bufs.iter().flat_map(|(p, n)| [*p as u32, *n as u32]).collect()
}
#[repr(align(8))]
struct Aligned([u8; 64]);

fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr() as *mut u8, words.len() * 8) }
}

struct P {
    fds: HashMap<String, i32>,
    out: String,
}
impl P {
    fn fd(&self, s: &str) -> i32 {
        s.parse::<i64>().map(|x| x as i32).unwrap_or_else(|_| *self.fds.get(s).unwrap_or(&99))
    }
    fn stat(&self, s: &[u8]) -> String {
        let dir = s[16] == 3;
        format!(
            "dev={} type={} nlink={} size={} atim={} mtim={} ctim={}",
            u64at(s, 0),
            s[16],
            if dir { 0 } else { u64at(s, 24) },
            if dir { 0 } else { u64at(s, 32) },
            if dir { "-".into() } else { time(u64at(s, 40)) },
            time(u64at(s, 48)),
            time(u64at(s, 56))
        )
    }
    fn line(&mut self, l: &str) {
        let a: Vec<&str> = l.split(' ').collect();
        let n = |i: usize| -> i64 {
            let s = a[i];
            if let Some(h) = s.strip_prefix("0x") {
                u64::from_str_radix(h, 16).unwrap() as i64
            } else if s.starts_with('-') {
                s.parse().unwrap()
            } else {
                s.parse::<u64>().unwrap() as i64
            }
        };
        let path = |i: usize| unhex(a[i].trim_start_matches(':'));
        let mut more = String::new();
        let mut o32 = 0xdeadu32;
        let mut o64 = 0xdeadu64;
        let mut aligned = Aligned([0xee; 64]);
        let st = &mut aligned.0;
        let e = unsafe {
            match a[0] {
                "advise" => fd_advise(self.fd(a[1]), n(2), n(3), n(4) as i32),
                "allocate" => fd_allocate(self.fd(a[1]), n(2), n(3)),
                "close" => fd_close(self.fd(a[1])),
                "datasync" => fd_datasync(self.fd(a[1])),
                "sync" => fd_sync(self.fd(a[1])),
                "fdstat" => {
                    let e = fd_fdstat_get(self.fd(a[1]), st.as_mut_ptr());
                    if e == 0 {
                        more = format!("type={} flags={} base={:x} inh={:x}", st[0], st[2], u64at(st, 8), u64at(st, 16))
                    }
                    e
                }
                "setflags" => fd_fdstat_set_flags(self.fd(a[1]), n(2) as i32),
                "setrights" => fd_fdstat_set_rights(self.fd(a[1]), n(2), n(3)),
                "fstat" => {
                    let e = fd_filestat_get(self.fd(a[1]), st.as_mut_ptr());
                    if e == 0 {
                        more = self.stat(st)
                    }
                    e
                }
                "setsize" => fd_filestat_set_size(self.fd(a[1]), n(2)),
                "futimes" => fd_filestat_set_times(self.fd(a[1]), n(2), n(3), n(4) as i32),
                "read" | "pread" => {
                    let len = n(2) as usize;
                    let mut b1 = vec![0u8; len / 2];
                    let mut b2 = vec![0u8; len - len / 2];
                    let v = iov(&[(b1.as_mut_ptr(), 0), (b1.as_mut_ptr(), b1.len()), (b2.as_mut_ptr(), b2.len())]);
                    let e = if a[0] == "read" {
                        fd_read(self.fd(a[1]), v.as_ptr() as _, 3, &mut o32)
                    } else {
                        fd_pread(self.fd(a[1]), v.as_ptr() as _, 3, n(3), &mut o32)
                    };
                    b1.extend(b2);
                    if e == 0 {
                        more = format!("{} {:?}", o32, String::from_utf8_lossy(&b1[..b1.len().min(24)]))
                    }
                    e
                }
                "write" | "pwrite" => {
                    let b = path(2);
                    let (x, y) = b.split_at(b.len() / 2);
                    let v = iov(&[(x.as_ptr(), 0), (x.as_ptr(), x.len()), (y.as_ptr(), y.len())]);
                    let e = if a[0] == "write" {
                        fd_write(self.fd(a[1]), v.as_ptr() as _, 3, &mut o32)
                    } else {
                        fd_pwrite(self.fd(a[1]), v.as_ptr() as _, 3, n(3), &mut o32)
                    };
                    if e == 0 {
                        more = format!("{}", o32)
                    }
                    e
                }
                "writen" => {
                    let b = vec![b'x'; n(2) as usize];
                    let v = iov(&[(b.as_ptr(), b.len())]);
                    let e = fd_write(self.fd(a[1]), v.as_ptr() as _, 1, &mut o32);
                    if e == 0 {
                        more = format!("{}", o32)
                    }
                    e
                }
                "readn" => {
                    let mut b = vec![0u8; n(2) as usize];
                    let v = iov(&[(b.as_mut_ptr(), b.len())]);
                    let e = fd_pread(self.fd(a[1]), v.as_ptr() as _, 1, n(3), &mut o32);
                    if e == 0 {
                        more = format!("{}", o32)
                    }
                    e
                }
                "noiov" => {
                    let e = fd_write(self.fd(a[1]), 8 as _, 0, &mut o32);
                    let f = fd_read(self.fd(a[1]), 8 as _, 0, &mut o32);
                    more = format!("{f}");
                    e
                }
                "prestat" => {
                    let e = fd_prestat_get(self.fd(a[1]), st.as_mut_ptr());
                    if e == 0 {
                        more = format!("{} {}", st[0], u32at(st, 4))
                    }
                    e
                }
                "prename" => {
                    let mut b = vec![0u8; n(2) as usize];
                    let e = fd_prestat_dir_name(self.fd(a[1]), b.as_mut_ptr(), n(2) as i32);
                    if e == 0 {
                        more = format!("{:?}", String::from_utf8_lossy(&b))
                    }
                    e
                }
                "readdir" => {
                    let mut b = vec![0u8; n(2) as usize];
                    let e = fd_readdir(self.fd(a[1]), b.as_mut_ptr(), n(2) as i32, n(3), &mut o32);
                    if e == 0 {
                        let mut names = vec![];
                        let mut i = 0;
                        let used = o32 as usize;
                        let mut whole = true;
                        while i < used {
                            if i + 24 > used {
                                whole = false;
                                break;
                            }
                            let l = u32at(&b, i + 16) as usize;
                            if i + 24 + l > used {
                                whole = false;
                                break;
                            }
                            names.push(format!("{}:{}", String::from_utf8_lossy(&b[i + 24..i + 24 + l]), b[i + 20]));
                            i += 24 + l
                        }
                        if whole {
                            names.sort();
                            more = format!("{} {:?}", used, names)
                        } else {
                            more = format!("{} {}", used, names.len())
                        }
                    }
                    e
                }
                "renumber" => fd_renumber(self.fd(a[1]), self.fd(a[2])),
                "seek" => {
                    let e = fd_seek(self.fd(a[1]), n(2), n(3) as i32, &mut o64);
                    if e == 0 {
                        more = o64.to_string()
                    }
                    e
                }
                "tell" => {
                    let e = fd_tell(self.fd(a[1]), &mut o64);
                    if e == 0 {
                        more = o64.to_string()
                    }
                    e
                }
                "mkdir" => {
                    let p = path(2);
                    path_create_directory(self.fd(a[1]), p.as_ptr(), p.len() as i32)
                }
                "stat" => {
                    let p = path(3);
                    let e = path_filestat_get(self.fd(a[1]), n(2) as i32, p.as_ptr(), p.len() as i32, st.as_mut_ptr());
                    if e == 0 {
                        more = self.stat(st)
                    }
                    e
                }
                "same" => {
                    let (p, q) = (path(2), path(3));
                    let mut aligned2 = Aligned([0; 64]);
                    let s2 = &mut aligned2.0;
                    let e = path_filestat_get(self.fd(a[1]), 0, p.as_ptr(), p.len() as i32, st.as_mut_ptr());
                    let f = path_filestat_get(self.fd(a[1]), 0, q.as_ptr(), q.len() as i32, s2.as_mut_ptr());
                    more = format!("{} {}", f, u64at(st, 8) == u64at(s2, 8));
                    e
                }
                "utimes" => {
                    let p = path(3);
                    path_filestat_set_times(
                        self.fd(a[1]),
                        n(2) as i32,
                        p.as_ptr(),
                        p.len() as i32,
                        n(4),
                        n(5),
                        n(6) as i32,
                    )
                }
                "link" => {
                    let (p, q) = (path(3), path(5));
                    path_link(
                        self.fd(a[1]),
                        n(2) as i32,
                        p.as_ptr(),
                        p.len() as i32,
                        self.fd(a[4]),
                        q.as_ptr(),
                        q.len() as i32,
                    )
                }
                "open" => {
                    let p = path(3);
                    let mut f = -1;
                    let e = path_open(
                        self.fd(a[1]),
                        n(2) as i32,
                        p.as_ptr(),
                        p.len() as i32,
                        n(4) as i32,
                        n(5),
                        n(5),
                        n(6) as i32,
                        &mut f,
                    );
                    if e == 0 {
                        self.fds.insert(a[7].into(), f);
                        more = format!("fd={}", f)
                    } else {
                        self.fds.remove(a[7]);
                    }
                    e
                }
                "readlink" => {
                    let p = path(2);
                    let mut b = vec![b'#'; n(3) as usize];
                    let e =
                        path_readlink(self.fd(a[1]), p.as_ptr(), p.len() as i32, b.as_mut_ptr(), n(3) as i32, &mut o32);
                    if e == 0 {
                        more = format!("{} {:?}", o32, String::from_utf8_lossy(&b))
                    }
                    e
                }
                "rmdir" => {
                    let p = path(2);
                    path_remove_directory(self.fd(a[1]), p.as_ptr(), p.len() as i32)
                }
                "rename" => {
                    let (p, q) = (path(2), path(4));
                    path_rename(self.fd(a[1]), p.as_ptr(), p.len() as i32, self.fd(a[3]), q.as_ptr(), q.len() as i32)
                }
                "symlink" => {
                    let (p, q) = (path(1), path(3));
                    path_symlink(p.as_ptr(), p.len() as i32, self.fd(a[2]), q.as_ptr(), q.len() as i32)
                }
                "unlink" => {
                    let p = path(2);
                    path_unlink_file(self.fd(a[1]), p.as_ptr(), p.len() as i32)
                }
                "clockres" => {
                    let e = clock_res_get(n(1) as i32, &mut o64);
                    if e == 0 {
                        more = o64.to_string()
                    }
                    e
                }
                "clock" => {
                    let e = clock_time_get(n(1) as i32, 0, &mut o64);
                    if e == 0 {
                        more = "t".into()
                    }
                    e
                }
                "raise" => proc_raise(n(1) as i32),
                "yield" => sched_yield(),
                "random" => {
                    let mut b = vec![0u8; n(1) as usize];
                    let e = random_get(b.as_mut_ptr(), n(1) as i32);
                    more = format!("{}", b.len() < 64 || b[b.len() - 32..].iter().any(|x| *x != 0));
                    e
                }
                "accept" => {
                    let mut f = 0;
                    sock_accept(self.fd(a[1]), n(2) as i32, &mut f)
                }
                "recv" => sock_recv(self.fd(a[1]), 8 as _, 0, n(2) as i32, &mut o32, &mut o32 as *mut u32),
                "send" => sock_send(self.fd(a[1]), 8 as _, 0, n(2) as i32, &mut o32),
                "shutdown" => sock_shutdown(self.fd(a[1]), n(2) as i32),
                "poll" => {
                    // c:id:timeout:flags r:fd w:fd
                    let mut subs_room = vec![0u64; 6 * a.len()];
                    let subs = bytes_of(&mut subs_room);
                    let mut ev_room = vec![0u64; 4 * a.len()];
                    let ev = bytes_of(&mut ev_room);
                    for (i, s) in a[1..].iter().enumerate() {
                        let f: Vec<&str> = s.split(':').collect();
                        let b = &mut subs[i * 48..];
                        b[..8].copy_from_slice(&(i as u64 + 100).to_le_bytes());
                        match f[0] {
                            "c" => {
                                b[8] = 0;
                                b[16..20].copy_from_slice(&f[1].parse::<u32>().unwrap().to_le_bytes());
                                let mut t: u64 = f[2].parse().unwrap();
                                let fl: u16 = f[3].parse().unwrap();
                                if f.len() > 4 {
                                    clock_time_get(f[1].parse().unwrap(), 0, &mut o64);
                                    t = o64.wrapping_add(t)
                                }
                                b[24..32].copy_from_slice(&t.to_le_bytes());
                                b[40..42].copy_from_slice(&fl.to_le_bytes())
                            }
                            "r" => {
                                b[8] = 1;
                                b[16..20].copy_from_slice(&self.fd(f[1]).to_le_bytes())
                            }
                            "w" => {
                                b[8] = 2;
                                b[16..20].copy_from_slice(&self.fd(f[1]).to_le_bytes())
                            }
                            _ => b[8] = 7,
                        }
                    }
                    let e = poll_oneoff(subs.as_ptr(), ev.as_mut_ptr(), a.len() as i32 - 1, &mut o32);
                    if e == 0 {
                        more = (0..o32 as usize)
                            .map(|i| {
                                let b = &ev[i * 32..];
                                format!(
                                    "[{} err={} type={} n={} fl={}]",
                                    u64at(b, 0),
                                    u32at(b, 8) & 0xffff,
                                    b[10],
                                    u64at(b, 16),
                                    b[24]
                                )
                            })
                            .collect::<Vec<_>>()
                            .join(" ")
                    }
                    e
                }
                x => panic!("{x}"),
            }
        };
        self.out += &format!("{l} -> {e} {more}\n");
    }
}
fn main() {
    let mut s = String::new();
    std::io::stdin().read_to_string(&mut s).unwrap();
    let mut p = P { fds: HashMap::new(), out: String::new() };
    for l in s.lines() {
        if !l.is_empty() && !l.starts_with('#') {
            p.line(l)
        }
    }
    print!("{}", p.out);
}
