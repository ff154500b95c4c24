//! The city's ground: a mesh of sixty barrios in ten comunas on both banks of a river.
//!
//! The mesh has 6 columns and 10 rows of cells. Its vertices are moved about by the seed and its edges
//! broken into short pieces; two cells always share the very same pieces of an edge, so barrios and
//! comunas tile the city without gap or overlap by construction. The river runs down the middle line
//! of the mesh, creeks and roads along others. Row 0 is the north end, upstream.

use crate::names;
use crate::noise::{Kind, Noise, Stream};
use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

/// Columns of barrios; the river runs along the line between the third and the fourth.
pub(crate) const COLUMNS: i64 = 6;
/// Rows of barrios.
pub(crate) const ROWS: i64 = 10;

const RIVER_COLUMN: i64 = 3;
const CENTRE: Position = Position { latitude: 6.25, longitude: -75.56 };
const KM_PER_DEGREE_LATITUDE: f64 = 110.57;
const KM_PER_DEGREE_LONGITUDE: f64 = 110.66;
const LENGTH_KM: f64 = 14.0;

/// A place on the ground, degrees (WGS 84), rounded to six decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Position {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

impl Position {
    /// Distance over the ground in kilometres; the city is small enough for a plane.
    pub(crate) fn distance_km(&self, other: &Position) -> f64 {
        let north = (self.latitude - other.latitude) * KM_PER_DEGREE_LATITUDE;
        let east = (self.longitude - other.longitude) * KM_PER_DEGREE_LONGITUDE;
        north.hypot(east)
    }
}

/// One comuna: `comuna-01` to `comuna-10`.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Closed ring, clockwise.
    pub(crate) ring: Vec<Position>,
    pub(crate) centre: Position,
}

/// One barrio: a cell of the mesh.
#[derive(Clone, Debug)]
pub(crate) struct Barrio {
    pub(crate) name: String,
    pub(crate) zone: usize,
    /// Closed ring, clockwise.
    pub(crate) ring: Vec<Position>,
}

/// A named line: the river, a creek, a road.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) points: Vec<Position>,
}

/// Everything on the ground.
#[derive(Clone, Debug)]
pub(crate) struct Geography {
    mesh: Mesh,
    pub(crate) zones: Vec<Zone>,
    pub(crate) barrios: Vec<Barrio>,
    pub(crate) lines: Vec<Line>,
}

impl Geography {
    pub(crate) fn new(noise: Noise) -> Self {
        let mesh = Mesh { noise };
        let turn = noise.whole(Stream(Kind::Names, 0), 0, 0, 60).unsigned_abs() as usize;
        let cells: Vec<Cell> =
            (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| Cell { column, row })).collect();
        let barrios = cells.iter().enumerate().map(|(index, cell)| Barrio {
            name: names::barrio(index, turn),
            zone: mesh.zone_of(*cell),
            ring: mesh.outline(&[*cell]),
        });
        let zones = names::COMUNAS.iter().enumerate().map(|(zone, name)| {
            let own: Vec<Cell> = cells.iter().copied().filter(|cell| mesh.zone_of(*cell) == zone).collect();
            Zone {
                id: format!("comuna-{:02}", zone + 1),
                name: (*name).to_owned(),
                centre: mesh.middle(&own),
                ring: mesh.outline(&own),
            }
        });
        Self { mesh, zones: zones.collect(), barrios: barrios.collect(), lines: mesh.lines() }
    }

    /// A place well inside a barrio (the barrio's index, row by row), drawn by `pick`.
    pub(crate) fn inside_barrio(&self, barrio: usize, pick: u32) -> Position {
        let barrio = barrio as i64 % (ROWS * COLUMNS);
        let cell = Cell { column: barrio % COLUMNS, row: barrio / COLUMNS };
        let draw = |slot| self.mesh.noise.within(Stream(Kind::Place, pick), slot, 0.3, 0.7);
        self.mesh.within(cell, draw(0), draw(1))
    }

    /// A place well inside a comuna, drawn by `pick`.
    pub(crate) fn inside_zone(&self, zone: usize, pick: u32) -> Position {
        let own: Vec<usize> = (0..self.barrios.len()).filter(|b| self.zone_of_barrio(*b) == zone).collect();
        let slot = self.mesh.noise.bits(Stream(Kind::Place, pick), 2) as usize;
        let barrio = own.iter().cycle().nth(slot % own.len().max(1)).copied().unwrap_or(0);
        self.inside_barrio(barrio, pick)
    }

    /// The index of the comuna that a barrio belongs to.
    pub(crate) fn zone_of_barrio(&self, barrio: usize) -> usize {
        self.barrios.get(barrio).map_or(0, |barrio| barrio.zone)
    }

    /// The id of a comuna, `comuna-01` for index 0.
    pub(crate) fn zone_id(&self, zone: usize) -> &str {
        self.zones.get(zone).map_or("", |zone| zone.id.as_str())
    }

    /// The middle of a comuna.
    pub(crate) fn zone_centre(&self, zone: usize) -> Position {
        self.zones.get(zone).map_or(CENTRE, |zone| zone.centre)
    }

    /// A place on the east bank of the river, beside the given row of the mesh.
    pub(crate) fn river_bank(&self, row: i64) -> Position {
        self.mesh.within(Cell { column: RIVER_COLUMN, row: row.clamp(0, ROWS - 1) }, 0.16, 0.5)
    }

    /// A place beside a creek, half way down to the river; creeks in the order of [`names::CREEKS`].
    pub(crate) fn creek_bank(&self, creek: usize) -> Position {
        let (row, west) = Mesh::CREEKS.get(creek).copied().unwrap_or((3, true));
        self.mesh.within(Cell { column: if west { 1 } else { 4 }, row }, 0.5, 0.16)
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    column: i64,
    row: i64,
}

type Vertex = (i64, i64);

/// The mesh as a function of the seed: nothing is stored.
#[derive(Clone, Copy, Debug)]
struct Mesh {
    noise: Noise,
}

impl Mesh {
    /// Each creek's row line and whether it comes down from the west.
    const CREEKS: [(i64, bool); 3] = [(3, true), (6, false), (8, true)];

    /// Kilometres east and north of the centre.
    fn plane(&self, (column, row): Vertex) -> (f64, f64) {
        let down = row as f64 / ROWS as f64;
        let half_width = 2.2 + 2.0 * (PI * (0.15 + 0.75 * down)).sin();
        let sway = self.noise.within(Stream(Kind::Bend, 0), 0, 0.0, 2.0 * PI);
        let bend = 0.9 * (2.2 * PI * down + sway).sin();
        let id = vertex_id((column, row));
        let shift_east = self.noise.within(Stream(Kind::VertexEast, id), 0, -0.22, 0.22) * half_width / 3.0;
        let shift_north =
            self.noise.within(Stream(Kind::VertexNorth, id), 0, -0.2, 0.2) * LENGTH_KM / ROWS as f64;
        let across = (column - RIVER_COLUMN) as f64 / RIVER_COLUMN as f64;
        (bend + half_width * across + shift_east, LENGTH_KM * (0.5 - down) + shift_north)
    }

    /// The shared pieces of the edge between two neighbouring vertices, from `a` (included) to `b` (not).
    fn edge(&self, a: Vertex, b: Vertex) -> Vec<Position> {
        let forward = a < b;
        let (low, high) = if forward { (a, b) } else { (b, a) };
        let stream = Stream(Kind::Edge, vertex_id(low) * 512 + vertex_id(high));
        let (first, last) = (self.plane(low), self.plane(high));
        let middle = halfway(first, last, self.noise.within(stream, 0, -0.09, 0.09));
        let quarter = halfway(first, middle, self.noise.within(stream, 1, -0.07, 0.07));
        let three_quarters = halfway(middle, last, self.noise.within(stream, 2, -0.07, 0.07));
        let mut points = vec![first, quarter, middle, three_quarters, last];
        if !forward {
            points.reverse();
        }
        points.pop();
        points.into_iter().map(to_degrees).collect()
    }

    /// The closed outline of cells that hang together without holes, clockwise.
    fn outline(&self, cells: &[Cell]) -> Vec<Position> {
        let edges: BTreeSet<(Vertex, Vertex)> = cells.iter().flat_map(|cell| cell.edges()).collect();
        let outer: BTreeMap<Vertex, Vertex> =
            edges.iter().copied().filter(|(a, b)| !edges.contains(&(*b, *a))).collect();
        let Some(start) = outer.keys().next().copied() else { return Vec::new() };
        let mut ring = Vec::new();
        let mut at = start;
        for _ in 0..outer.len() {
            let Some(next) = outer.get(&at).copied() else { break };
            ring.extend(self.edge(at, next));
            at = next;
        }
        ring.extend(ring.first().copied());
        ring
    }

    /// The comuna of a cell. On each bank comuna k holds the odd row 2k+1 of every column and, column by
    /// column, the even row above or below it as the seed says: pieces that always hang together.
    fn zone_of(&self, cell: Cell) -> usize {
        let bank = i64::from(cell.column >= RIVER_COLUMN);
        let band = cell.row / 2;
        let lent_to_the_north = self.noise.bits(Stream(Kind::Border, cell.column as u32), band) & 1 == 1;
        let band = if cell.row % 2 == 0 && band > 0 && lent_to_the_north { band - 1 } else { band };
        (band * 2 + bank).unsigned_abs() as usize
    }

    /// A place in a cell, `east` and `south` in [0, 1] from its north-west corner.
    fn within(&self, cell: Cell, east: f64, south: f64) -> Position {
        let corner = |c, r| self.plane((cell.column + c, cell.row + r));
        let mix = |a: (f64, f64), b: (f64, f64), t: f64| (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t);
        let north_side = mix(corner(0, 0), corner(1, 0), east);
        let south_side = mix(corner(0, 1), corner(1, 1), east);
        to_degrees(mix(north_side, south_side, south))
    }

    fn middle(&self, cells: &[Cell]) -> Position {
        let count = cells.len().max(1) as f64;
        let places: Vec<Position> = cells.iter().map(|cell| self.within(*cell, 0.5, 0.5)).collect();
        Position {
            latitude: places.iter().map(|place| place.latitude).sum::<f64>() / count,
            longitude: places.iter().map(|place| place.longitude).sum::<f64>() / count,
        }
    }

    /// A line through consecutive vertices of the mesh.
    fn path(&self, vertices: &[Vertex]) -> Vec<Position> {
        let steps = vertices.iter().zip(vertices.iter().skip(1));
        let mut points: Vec<Position> = steps.flat_map(|(a, b)| self.edge(*a, *b)).collect();
        points.extend(vertices.last().map(|last| to_degrees(self.plane(*last))));
        points
    }

    fn lines(&self) -> Vec<Line> {
        let lengthwise = |column: i64| (0..=ROWS).map(move |row| (column, row)).collect::<Vec<_>>();
        let across = |row: i64| (0..=COLUMNS).map(move |column| (column, row)).collect::<Vec<_>>();
        let mut lines =
            vec![Line { kind: "river", name: names::RIVER, points: self.path(&lengthwise(RIVER_COLUMN)) }];
        for ((row, west), name) in Self::CREEKS.iter().zip(names::CREEKS) {
            let columns = if *west { 0..=RIVER_COLUMN } else { RIVER_COLUMN..=COLUMNS };
            let mut vertices: Vec<Vertex> = columns.map(|column| (column, *row)).collect();
            if !west {
                vertices.reverse();
            }
            lines.push(Line { kind: "creek", name, points: self.path(&vertices) });
        }
        let courses = [lengthwise(1), lengthwise(5), across(2), across(5), across(9)];
        let roads = courses.iter().zip(names::ROADS);
        lines.extend(roads.map(|(course, name)| Line { kind: "road", name, points: self.path(course) }));
        lines
    }
}

impl Cell {
    /// The four sides, clockwise.
    fn edges(self) -> [(Vertex, Vertex); 4] {
        let Cell { column, row } = self;
        let (nw, ne) = ((column, row), (column + 1, row));
        let (sw, se) = ((column, row + 1), (column + 1, row + 1));
        [(nw, ne), (ne, se), (se, sw), (sw, nw)]
    }
}

fn vertex_id((column, row): Vertex) -> u32 {
    (row * (COLUMNS + 1) + column).unsigned_abs() as u32
}

/// The middle of a piece, pushed aside by a share of its length.
fn halfway(a: (f64, f64), b: (f64, f64), aside: f64) -> (f64, f64) {
    let (east, north) = (b.0 - a.0, b.1 - a.1);
    (a.0 + east / 2.0 - north * aside, a.1 + north / 2.0 + east * aside)
}

fn to_degrees((east_km, north_km): (f64, f64)) -> Position {
    let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
    Position {
        latitude: round(CENTRE.latitude + north_km / KM_PER_DEGREE_LATITUDE),
        longitude: round(CENTRE.longitude + east_km / KM_PER_DEGREE_LONGITUDE),
    }
}

#[cfg(test)]
#[path = "geography_tests.rs"]
mod tests;
