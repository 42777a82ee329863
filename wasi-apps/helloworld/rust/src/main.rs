//! The hello world of wasi-apps in Rust: shows arguments and environment, then does what the arguments say.
//! The commands are described in ../../README.md; the Go and C versions behave the same. Uses std only.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// What ends the program early: a message for stderr and the exit code that goes with it.
struct Failure {
    message: String,
    code: u8,
}

fn usage(message: String) -> Failure {
    Failure { message, code: 2 }
}

fn cannot(verb: &str, path: &str, error: &io::Error) -> Failure {
    let message = format!("cannot {verb} {path}: {}", reason(error));
    Failure { message, code: 1 }
}

/// The same words in every language, by the numbers of WASI preview 1's `errno`.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(44) => "no such file or directory".into(),
        Some(31) => "is a directory".into(),
        Some(54) => "not a directory".into(),
        Some(8) => "not a file".into(), // a directory opens, but does not read
        Some(2 | 63 | 76) => "not permitted".into(),
        Some(number) => format!("errno {number}"),
        None => error.to_string(),
    }
}

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = run(&mut out);
    let flushed = out.flush().map_err(|error| cannot("write", "stdout", &error));
    match outcome.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("helloworld: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(out: &mut impl Write) -> Result<u8, Failure> {
    let args: Vec<OsString> = env::args_os().collect();
    introduce(out, &args).map_err(|error| cannot("write", "stdout", &error))?;
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        // An argument that is not UTF-8 cannot be a command.
        let Some(arg) = arg.to_str() else { continue };
        if let Some(path) = arg.strip_prefix("ls:") {
            list(out, path)?;
        } else if let Some(path) = arg.strip_prefix("cat:") {
            print(out, path)?;
        } else if let Some(path) = arg.strip_prefix("write:") {
            let text = rest.next().ok_or_else(|| usage(format!("write:{path} needs a TEXT after it")))?;
            write(out, path, text.as_encoded_bytes())?;
        } else if arg == "stdin" {
            io::copy(&mut io::stdin(), out).map_err(|error| cannot("copy", "stdin", &error))?;
        } else if let Some(number) = arg.strip_prefix("exit:") {
            return exit_code(number);
        }
    }
    Ok(0)
}

fn introduce(out: &mut impl Write, args: &[OsString]) -> io::Result<()> {
    writeln!(out, "Hello from Rust!")?;
    for (index, arg) in args.iter().enumerate() {
        write!(out, "arg {index}: ")?;
        out.write_all(arg.as_encoded_bytes())?;
        writeln!(out)?;
    }
    for (name, value) in env::vars_os() {
        write!(out, "env ")?;
        out.write_all(name.as_encoded_bytes())?;
        write!(out, "=")?;
        out.write_all(value.as_encoded_bytes())?;
        writeln!(out)?;
    }
    Ok(())
}

/// One name a line, sorted by bytes because hosts differ in their order; directories end in a slash.
fn list(out: &mut impl Write, path: &str) -> Result<(), Failure> {
    let names = names(path).map_err(|error| cannot("list", path, &error))?;
    for name in names {
        writeln!(out, "{name}").map_err(|error| cannot("write", "stdout", &error))?;
    }
    Ok(())
}

fn names(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

fn print(out: &mut impl Write, path: &str) -> Result<(), Failure> {
    let mut file = fs::File::open(path).map_err(|error| cannot("read", path, &error))?;
    io::copy(&mut file, out).map_err(|error| cannot("read", path, &error))?;
    Ok(())
}

fn write(out: &mut impl Write, path: &str, text: &[u8]) -> Result<(), Failure> {
    let line = [text, b"\n"].concat();
    fs::write(path, &line).map_err(|error| cannot("write", path, &error))?;
    writeln!(out, "wrote {} bytes to {path}", line.len()).map_err(|error| cannot("write", "stdout", &error))
}

fn exit_code(number: &str) -> Result<u8, Failure> {
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let code = if digits { number.parse().ok() } else { None };
    code.ok_or_else(|| usage(format!("exit:{number} needs a number from 0 to 255")))
}
