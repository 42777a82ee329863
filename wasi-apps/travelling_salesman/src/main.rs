//! Travelling salesman for WASI: arguments and streams here, cities in `cities`, the search in `route`. std only.

mod cities;
mod route;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::process::ExitCode;

use cities::City;
use route::MOST_CITIES;

const USAGE: &str = "\
usage: tsp read            shortest round trip through the cities on stdin, lines of name,x,y or x,y
       tsp rand N [SEED]   shortest round trip through N random cities
       tsp write N [SEED]  N random cities as CSV, input for tsp read
N is 1 to 13; SEED is a whole number, without it the host's random numbers are used.
";
/// Thirteen cities need far less.
const MOST_INPUT: u64 = 1 << 20;

/// What ends the program early, in words: wrong arguments (exit code 2), or input or output that failed (1).
enum Failure {
    Usage(String),
    Data(String),
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args).and_then(|answer| print(&answer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprint!("tsp: {message}\n{USAGE}");
            ExitCode::from(2)
        }
        Err(Failure::Data(message)) => {
            eprintln!("tsp: {message}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &[&str]) -> Result<String, Failure> {
    match args {
        ["read"] => Ok(solve(&cities::parse(&stdin()?).map_err(Failure::Data)?)),
        ["rand", rest @ ..] => Ok(solve(&drawn(rest)?)),
        ["write", rest @ ..] => Ok(cities::to_csv(&drawn(rest)?)),
        ["help" | "--help" | "-h"] => Ok(USAGE.into()),
        [] => Err(Failure::Usage("what shall I do?".into())),
        ["read", ..] => Err(Failure::Usage("read takes no arguments, it reads stdin".into())),
        [other, ..] => Err(Failure::Usage(format!("there is no command {other:?}"))),
    }
}

fn print(answer: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(answer.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::Data(format!("cannot write stdout: {error}")))
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    match io::stdin().lock().take(MOST_INPUT + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MOST_INPUT => Err(Failure::Data("stdin is longer than 1 MiB".into())),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::Data(format!("cannot read stdin: {error}"))),
    }
}

/// The random cities that `N [SEED]` asks for.
fn drawn(args: &[&str]) -> Result<Vec<City>, Failure> {
    let (count, seed) = match args {
        [count] => (count, None),
        [count, seed] => (count, Some(seed)),
        _ => return Err(Failure::Usage("expected N or N SEED".into())),
    };
    let count = number(count).ok_or_else(|| Failure::Usage(format!("N is not a whole number: {count:?}")))?;
    if count == 0 || count > MOST_CITIES as u64 {
        return Err(Failure::Usage(format!(
            "N is {count}, it must be 1 to {MOST_CITIES}: each city more multiplies the routes"
        )));
    }
    let seed = match seed {
        Some(seed) => number(seed).ok_or_else(|| Failure::Usage(format!("SEED is not a whole number: {seed:?}")))?,
        None => RandomState::new().build_hasher().finish(), // its keys come from WASI's random_get
    };
    Ok(cities::random(count as usize, seed))
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn solve(cities: &[City]) -> String {
    let (order, length) = route::shortest(cities);
    let there = order.iter().map(|&city| cities[city].name.as_str());
    let trip: Vec<&str> = there.chain([cities[0].name.as_str()]).collect();
    let (count, routes) = (cities.len(), route::count(cities.len()));
    format!("cities {count}\nroutes {routes}\nlength {length:.3}\nroute {}\n", trip.join(" -> "))
}
