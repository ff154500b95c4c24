//! The invented names of the city: its comunas, barrios, streams and roads.

/// The city's name.
pub(crate) const CITY: &str = "Valdelomar";

/// Names of the ten comunas, north to south, west before east.
pub(crate) const COMUNAS: [&str; 10] = [
    "Mirador Alto",
    "Cantarrana",
    "Los Ceibales",
    "Piedra Mora",
    "Centro Viejo",
    "La Alameda",
    "Tejares",
    "Monteluz",
    "Aguazul",
    "Puerta del Valle",
];

/// The river and the three creeks, in the order of [`crate::geography::Geography::creeks`].
pub(crate) const RIVER: &str = "Río Valdemar";
pub(crate) const CREEKS: [&str; 3] = ["Quebrada La Mirla", "Quebrada Piedragorda", "Quebrada Saltarina"];

/// Main roads: two lengthwise, three across.
pub(crate) const ROADS: [&str; 5] = [
    "Autopista del Oeste",
    "Avenida de los Samanes",
    "Calle de los Molinos",
    "Avenida del Puente Mayor",
    "Circunvalar del Sur",
];

const BARRIO_FIRST: [&str; 10] = [
    "Alto de",
    "Villa",
    "Lomas de",
    "Prado",
    "Ciudadela",
    "Brisas de",
    "Portal de",
    "Vega de",
    "Balcones de",
    "Rincón de",
];
const BARRIO_LAST: [&str; 12] = [
    "Arrayán",
    "Guadual",
    "Turpial",
    "Yarumo",
    "Cámbulo",
    "Sirirí",
    "Almendro",
    "Barranquero",
    "Cardonal",
    "Nogal",
    "Azulejo",
    "Sauce",
];

/// The name of one of the sixty barrios; different for each index below sixty.
pub(crate) fn barrio(index: usize, turn: usize) -> String {
    // 60 = lcm of the two list lengths, so the pairs do not repeat within one turn of the city.
    let index = index + turn;
    let first = BARRIO_FIRST.iter().cycle().nth(index % 60).unwrap_or(&"Barrio");
    let last = BARRIO_LAST.iter().cycle().nth(index % 60).unwrap_or(&"Nuevo");
    format!("{first} {last}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn sixty_barrios_have_sixty_names() {
        let names: BTreeSet<_> = (0..60).map(|index| super::barrio(index, 17)).collect();
        assert_eq!(names.len(), 60);
    }
}
