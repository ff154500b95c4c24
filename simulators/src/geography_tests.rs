//! The ground tiles: areas add up, no ring crosses itself, every place lies in exactly one comuna.

use super::*;

fn twice_area(ring: &[Position]) -> f64 {
    ring.windows(2)
        .map(|w| w[0].longitude * w[1].latitude - w[1].longitude * w[0].latitude)
        .sum::<f64>()
        .abs()
}

pub(crate) fn contains(ring: &[Position], place: &Position) -> bool {
    let mut inside = false;
    for w in ring.windows(2) {
        let (a, b) = (w[0], w[1]);
        if (a.latitude > place.latitude) != (b.latitude > place.latitude) {
            let share = (place.latitude - a.latitude) / (b.latitude - a.latitude);
            inside ^= place.longitude < a.longitude + share * (b.longitude - a.longitude);
        }
    }
    inside
}

fn crosses(a: Position, b: Position, c: Position, d: Position) -> bool {
    let side = |p: Position, q: Position, r: Position| {
        (q.longitude - p.longitude) * (r.latitude - p.latitude)
            - (q.latitude - p.latitude) * (r.longitude - p.longitude)
    };
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

fn is_simple(ring: &[Position]) -> bool {
    let pieces: Vec<_> = ring.windows(2).map(|w| (w[0], w[1])).collect();
    pieces
        .iter()
        .enumerate()
        .all(|(i, (a, b))| pieces.iter().skip(i + 1).all(|(c, d)| !crosses(*a, *b, *c, *d)))
}

#[test]
fn ten_comunas_tile_the_city_for_any_seed() {
    for seed in 0..40 {
        let ground = Geography::new(Noise::new(seed));
        assert_eq!((ground.zones.len(), ground.barrios.len()), (10, 60));
        let all: Vec<Cell> =
            (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| Cell { column, row })).collect();
        let whole = ground.mesh.outline(&all);
        assert!(is_simple(&whole), "seed {seed}");
        let zones: f64 = ground.zones.iter().map(|zone| twice_area(&zone.ring)).sum();
        let barrios: f64 = ground.barrios.iter().map(|barrio| twice_area(&barrio.ring)).sum();
        assert!((zones / twice_area(&whole) - 1.0).abs() < 1e-9, "seed {seed}");
        assert!((barrios / zones - 1.0).abs() < 1e-9, "seed {seed}");
        assert!(ground.zones.iter().all(|zone| is_simple(&zone.ring)), "seed {seed}");
        assert!(ground.barrios.iter().all(|barrio| is_simple(&barrio.ring)), "seed {seed}");
    }
}

#[test]
fn every_place_of_the_city_is_in_one_comuna_and_one_barrio_of_it() {
    let ground = Geography::new(Noise::new(1));
    let mut inside = 0;
    for step in 0..10_000 {
        let place = Position {
            latitude: 6.18 + 0.14 * f64::from(step % 100) / 100.0 + 1e-7,
            longitude: -75.60 + 0.09 * f64::from(step / 100) / 100.0 + 1e-7,
        };
        let zones: Vec<usize> = (0..10).filter(|z| contains(&ground.zones[*z].ring, &place)).collect();
        let barrios: Vec<usize> = (0..60).filter(|b| contains(&ground.barrios[*b].ring, &place)).collect();
        assert!(zones.len() <= 1 && zones.len() == barrios.len(), "{place:?} {zones:?} {barrios:?}");
        if let (Some(zone), Some(barrio)) = (zones.first(), barrios.first()) {
            assert_eq!(ground.barrios[*barrio].zone, *zone);
            inside += 1;
        }
    }
    assert!(inside > 4_000, "{inside}");
}

#[test]
fn places_drawn_in_a_zone_lie_in_it() {
    for seed in 0..20 {
        let ground = Geography::new(Noise::new(seed));
        for zone in 0..10 {
            for pick in 0..20 {
                assert!(
                    contains(&ground.zones[zone].ring, &ground.inside_zone(zone, pick)),
                    "seed {seed} {zone} {pick}"
                );
            }
        }
        for barrio in 0..60 {
            assert!(contains(&ground.barrios[barrio].ring, &ground.inside_barrio(barrio, 3)));
        }
        let gauges =
            (0..9).map(|row| ground.river_bank(row)).chain((0..3).map(|creek| ground.creek_bank(creek)));
        for gauge in gauges {
            assert_eq!(
                ground.zones.iter().filter(|zone| contains(&zone.ring, &gauge)).count(),
                1,
                "seed {seed}"
            );
        }
    }
}
