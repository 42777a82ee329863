//! Cities: read from CSV, written as CSV, drawn at random from a seed. Pure; imports `route` for its limit only.

use crate::route::MOST_CITIES;

/// Coordinates beyond this are refused, so that lengths can be printed with three exact decimals.
const FARTHEST: f64 = 1e9;
/// Random cities lie in a square of this many thousandths.
const SQUARE: u64 = 1_000_000;

#[derive(Debug, Clone, PartialEq)]
pub struct City {
    pub name: String,
    pub x: f64,
    pub y: f64,
}

/// Reads `name,x,y` or `x,y` lines. Empty lines, lines that start with `#` and a heading are skipped; a city without
/// a name is called by its number. Err is a sentence that names the line.
pub fn parse(text: &str) -> Result<Vec<City>, String> {
    let mut cities = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (cities.is_empty() && is_heading(line)) {
            continue;
        }
        let city = parse_line(line, cities.len() + 1).map_err(|error| format!("line {}: {error}", index + 1))?;
        cities.push(city);
        if cities.len() > MOST_CITIES {
            return Err(format!("line {}: too many cities, at most {MOST_CITIES} can be searched", index + 1));
        }
    }
    if cities.is_empty() {
        return Err("no cities: expected lines of name,x,y or x,y".into());
    }
    Ok(cities)
}

fn is_heading(line: &str) -> bool {
    matches!(line.to_ascii_lowercase().replace(' ', "").as_str(), "name,x,y" | "x,y")
}

fn parse_line(line: &str, number: usize) -> Result<City, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let (name, x, y) = match fields[..] {
        [name, x, y] => (name.to_string(), x, y),
        [x, y] => (format!("city {number}"), x, y),
        _ => return Err(format!("expected name,x,y or x,y, found {} in {}", fields_in(fields.len()), quoted(line))),
    };
    if name.is_empty() {
        return Err(format!("the name is empty in {}", quoted(line)));
    }
    Ok(City { name, x: coordinate("x", x)?, y: coordinate("y", y)? })
}

fn fields_in(count: usize) -> String {
    if count == 1 {
        "1 field".into()
    } else {
        format!("{count} fields")
    }
}

fn coordinate(axis: &str, text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{axis} is not a number: {}", quoted(text)))?;
    if number.abs() <= FARTHEST {
        Ok(number)
    } else {
        Err(format!("{axis} is out of range (at most {FARTHEST}): {}", quoted(text)))
    }
}

/// The start of the text, made safe for a terminal.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    let more = if start.len() < text.len() { " …" } else { "" };
    format!("{start:?}{more}")
}

/// `count` cities (A, B, C …) with coordinates from 0 to 999.999; the same for the same seed.
pub fn random(count: usize, seed: u64) -> Vec<City> {
    let mut state = seed;
    let mut coordinate = || (split_mix(&mut state) % SQUARE) as f64 / 1000.0;
    let names = ('A'..='Z').map(String::from);
    names.take(count).map(|name| City { name, x: coordinate(), y: coordinate() }).collect()
}

/// One number of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub fn to_csv(cities: &[City]) -> String {
    cities.iter().map(|city| format!("{},{:.3},{:.3}\n", city.name, city.x, city.y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn city(name: &str, x: f64, y: f64) -> City {
        City { name: name.into(), x, y }
    }

    #[test]
    fn both_forms_comments_heading_and_line_ends_are_read() {
        let text = "\u{feff}# cities\r\nName, X, Y\r\n\r\nÅrhus , -1.5,2e1\r\n3,4\r\n";
        assert_eq!(parse(text).unwrap(), [city("Århus", -1.5, 20.0), city("city 2", 3.0, 4.0)]);
    }

    #[test]
    fn bad_lines_are_named() {
        let thirteen = "1,1\n".repeat(13);
        for (text, message) in [
            ("", "no cities: expected lines of name,x,y or x,y"),
            ("# only\n", "no cities: expected lines of name,x,y or x,y"),
            ("1,2\n\n7", "line 3: expected name,x,y or x,y, found 1 field in \"7\""),
            ("a,1,2,3", "line 1: expected name,x,y or x,y, found 4 fields in \"a,1,2,3\""),
            ("a,1,\u{1b}[2J", "line 1: y is not a number: \"\\u{1b}[2J\""),
            ("a,,2", "line 1: x is not a number: \"\""),
            (",1,2", "line 1: the name is empty in \",1,2\""),
            ("a,NaN,2", "line 1: x is out of range (at most 1000000000): \"NaN\""),
            ("a,1,-inf", "line 1: y is out of range (at most 1000000000): \"-inf\""),
            ("a,1,1e10", "line 1: y is out of range (at most 1000000000): \"1e10\""),
            ("1,2\nname,x,y", "line 2: x is not a number: \"x\""),
            (&(thirteen.clone() + "1,1\n"), "line 14: too many cities, at most 13 can be searched"),
        ] {
            assert_eq!(parse(text), Err(message.into()), "{text:?}");
        }
        assert_eq!(parse(&thirteen).unwrap().len(), 13);
    }

    #[test]
    fn a_long_line_is_cut_in_the_message() {
        let message = parse(&"x".repeat(10_000)).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn random_cities_depend_on_the_seed_alone_and_survive_csv() {
        let cities = random(13, 42);
        assert_eq!(cities, random(13, 42));
        assert_ne!(cities, random(13, 43));
        assert_eq!(parse(&to_csv(&cities)).unwrap(), cities);
    }

    #[test]
    fn split_mix_gives_the_published_numbers() {
        let mut state = 1234567;
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423];
        assert_eq!([(); 3].map(|()| split_mix(&mut state)), expected);
    }
}
