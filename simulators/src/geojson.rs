//! The ground as GeoJSON (RFC 7946): one FeatureCollection.
//!
//! Comunas carry `zone` and `name`; everything else carries `kind` (`barrio`, `river`, `creek`, `road`)
//! and `name`, barrios also the `comuna` they belong to. Exterior rings run counter-clockwise.

use crate::geography::{Geography, Position};
use crate::message::quoted;
use std::fmt::Write as _;

/// The whole city as the text of one FeatureCollection.
pub(crate) fn feature_collection(ground: &Geography) -> String {
    let zones = ground.zones.iter().map(|zone| {
        feature(&format!("\"zone\":\"{}\",\"name\":{}", zone.id, quoted(&zone.name)), &polygon(&zone.ring))
    });
    let barrios = ground.barrios.iter().map(|barrio| {
        let comuna = ground.zone_id(barrio.zone);
        let properties =
            format!("\"kind\":\"barrio\",\"name\":{},\"comuna\":\"{comuna}\"", quoted(&barrio.name));
        feature(&properties, &polygon(&barrio.ring))
    });
    let lines = ground.lines.iter().map(|line| {
        let properties = format!("\"kind\":\"{}\",\"name\":{}", line.kind, quoted(line.name));
        feature(
            &properties,
            &format!("{{\"type\":\"LineString\",\"coordinates\":{}}}", coordinates(line.points.iter())),
        )
    });
    let features: Vec<String> = zones.chain(barrios).chain(lines).collect();
    format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}", features.join(",\n"))
}

fn feature(properties: &str, geometry: &str) -> String {
    format!("{{\"type\":\"Feature\",\"properties\":{{{properties}}},\"geometry\":{geometry}}}")
}

/// The ring is clockwise in memory; RFC 7946 section 3.1.6 wants it counter-clockwise.
fn polygon(ring: &[Position]) -> String {
    format!("{{\"type\":\"Polygon\",\"coordinates\":[{}]}}", coordinates(ring.iter().rev()))
}

fn coordinates<'a>(points: impl Iterator<Item = &'a Position>) -> String {
    let mut text = String::from("[");
    for (index, point) in points.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}[{:.6},{:.6}]", point.longitude, point.latitude);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;
    use serde_json::Value;

    #[test]
    fn comunas_are_closed_counter_clockwise_polygons_with_zone_and_name() {
        let value: Value = serde_json::from_str(&feature_collection(&Geography::new(Noise::new(1)))).unwrap();
        let features = value["features"].as_array().unwrap();
        let zones: Vec<&Value> = features.iter().filter(|f| f["properties"]["zone"].is_string()).collect();
        assert_eq!(zones.len(), 10);
        for zone in &zones {
            assert!(zone["properties"]["name"].is_string());
            let ring = zone["geometry"]["coordinates"][0].as_array().unwrap();
            assert_eq!(ring.first(), ring.last());
            let at = |p: &Value, i: usize| p[i].as_f64().unwrap();
            let area: f64 =
                ring.windows(2).map(|w| at(&w[0], 0) * at(&w[1], 1) - at(&w[1], 0) * at(&w[0], 1)).sum();
            assert!(area > 0.0, "counter-clockwise");
        }
        for kind in ["barrio", "river", "creek", "road"] {
            assert!(features.iter().any(|f| f["properties"]["kind"] == kind), "{kind}");
        }
    }
}
