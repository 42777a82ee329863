//! The search: every round trip through the cities is tried. Pure; imports only `cities`.

use crate::cities::City;

/// More cities would take minutes: each one multiplies the routes by their number.
pub const MOST_CITIES: usize = 13;
/// x, y
type Point = (f64, f64);

/// The shortest round trip that starts at city 0, and its length in the unit of the coordinates.
///
/// All (n-1)! orders of the other cities are tried in lexicographic order, each measured in full from the coordinates:
/// no pruning and no tables, a known amount of arithmetic. Of equally long trips the first one stays.
/// The only arithmetic is +, -, * and sqrt on f64, which IEEE 754 defines to the last bit: every host finds the same.
///
/// Panics unless there are 1 to `MOST_CITIES` cities.
pub fn shortest(cities: &[City]) -> (Vec<usize>, f64) {
    assert!((1..=MOST_CITIES).contains(&cities.len()));
    let points: Vec<Point> = cities.iter().map(|city| (city.x, city.y)).collect();
    let mut order: Vec<usize> = (0..points.len()).collect();
    let mut best = order.clone();
    let mut best_length = length(&points, &order);
    while next_order(&mut order[1..]) {
        let length = length(&points, &order);
        if length < best_length && comes_before_its_mirror(&order) {
            best_length = length;
            best.copy_from_slice(&order);
        }
    }
    (best, best_length)
}

/// How many orders `shortest` goes through.
pub fn count(cities: usize) -> u64 {
    (1..cities as u64).product()
}

/// A trip and its mirror image are equally long, but their sums may be rounded apart: the length cannot choose.
fn comes_before_its_mirror(order: &[usize]) -> bool {
    order[1] <= order[order.len() - 1]
}

fn distance(from: Point, to: Point) -> f64 {
    let (x, y) = (from.0 - to.0, from.1 - to.1);
    (x * x + y * y).sqrt()
}

fn length(points: &[Point], order: &[usize]) -> f64 {
    let mut total = 0.0;
    let mut from = points[order[order.len() - 1]];
    for &city in order {
        total += distance(from, points[city]);
        from = points[city];
    }
    total
}

/// Steps to the next permutation in lexicographic order; false after the last one.
fn next_order(order: &mut [usize]) -> bool {
    let Some(pivot) = (1..order.len()).rev().find(|&i| order[i - 1] < order[i]).map(|i| i - 1) else {
        return false;
    };
    let swap = (pivot + 1..order.len()).rev().find(|&i| order[i] > order[pivot]).unwrap_or(pivot);
    order.swap(pivot, swap);
    order[pivot + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cities(points: &[(f64, f64)]) -> Vec<City> {
        points.iter().map(|&(x, y)| City { name: String::new(), x, y }).collect()
    }

    #[test]
    fn every_order_comes_once_and_in_lexicographic_order() {
        let mut order = vec![0, 1, 2, 3, 4];
        let mut seen = vec![order.clone()];
        while next_order(&mut order) {
            seen.push(order.clone());
        }
        assert_eq!(seen.len() as u64, count(6));
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_ring_of_cities_in_a_scrambled_order_is_walked_along_the_ring() {
        let (left, right) = ([(0.0, 0.0), (0.0, 2.0), (0.0, 1.0)], [(2.0, 2.0), (2.0, 0.0), (2.0, 1.0)]);
        let ring = cities(&[left[0], right[0], (1.0, 0.0), left[1], right[1], (1.0, 2.0), left[2], right[2]]);
        let (order, length) = shortest(&ring);
        assert_eq!(order, [0, 2, 4, 7, 1, 5, 3, 6]);
        assert_eq!(length, 8.0);
    }

    #[test]
    fn one_two_and_three_cities_have_one_trip() {
        let three = cities(&[(0.0, 0.0), (3.0, 4.0), (3.0, 0.0)]);
        assert_eq!(shortest(&three[..1]), (vec![0], 0.0));
        assert_eq!(shortest(&three[..2]), (vec![0, 1], 10.0));
        assert_eq!(shortest(&three), (vec![0, 1, 2], 12.0));
    }

    #[test]
    fn of_equal_trips_the_first_stays() {
        let same = cities(&[(1.0, 1.0); 6]);
        assert_eq!(shortest(&same), (vec![0, 1, 2, 3, 4, 5], 0.0));
    }

    #[test]
    fn of_a_trip_and_its_mirror_image_the_first_stays() {
        for seed in 0..200 {
            let (order, _) = shortest(&crate::cities::random(7, seed));
            assert!(order[1] < order[6], "seed {seed}: {order:?}");
        }
    }

    /// Bellman, Held and Karp's dynamic programme: another way to the same length.
    fn held_karp(cities: &[City]) -> f64 {
        let n = cities.len();
        let between = |i: usize, j: usize| distance((cities[i].x, cities[i].y), (cities[j].x, cities[j].y));
        let mut best = vec![vec![f64::INFINITY; n]; 1 << n];
        best[1][0] = 0.0;
        for visited in 1..1usize << n {
            for last in 0..n {
                for next in (0..n).filter(|next| visited >> next & 1 == 0) {
                    let along = best[visited][last] + between(last, next);
                    let there = &mut best[visited | 1 << next][next];
                    *there = there.min(along);
                }
            }
        }
        let home = |last: usize| best[(1 << n) - 1][last] + between(last, 0);
        (1..n).map(home).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn random_cities_agree_with_dynamic_programming() {
        for seed in 0..50 {
            let cities = crate::cities::random(4 + seed as usize % 5, seed);
            let (_, length) = shortest(&cities);
            assert!((length - held_karp(&cities)).abs() < 1e-6, "seed {seed}");
        }
    }
}
