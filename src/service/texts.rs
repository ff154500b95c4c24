//! What the service says to people, in both languages: the only place of such text.

use crate::config::Language;
use crate::model::AlertState;
use crate::model::definition::{LocalText, Severity};

/// The terminal's texts in one language.
pub struct Texts {
    /// The demo's first line.
    pub demo_title: &'static str,
    /// Before the history is replayed; `{hours}` stands for a number.
    pub demo_history: &'static str,
    /// After it; `{events}`, `{seconds}`, `{windows}`.
    pub demo_replayed: &'static str,
    /// Where to look; `{http}`, `{mqtt}`.
    pub demo_ready: &'static str,
    /// How to stop.
    pub demo_stop: &'static str,
    /// The last line.
    pub demo_stopped: &'static str,
    /// `{rate}`, `{sensors}`, `{firing}`, `{events}`, `{quarantined}`.
    pub demo_status: &'static str,
    /// Words of alert states.
    pub raised: &'static str,
    /// Over.
    pub resolved: &'static str,
    /// Never was.
    pub annulled: &'static str,
    /// Title of the alert that accounts differ.
    pub audit_title: &'static str,
    /// Its message; `{feed}`.
    pub audit_message: &'static str,
    /// Title of the alert that a sink has a gap.
    pub gap_title: &'static str,
    /// Its message; `{sink}`.
    pub gap_message: &'static str,
    severities: [&'static str; 3],
}

const ES: Texts = Texts {
    demo_title: "Sereno: una ciudad simulada en este equipo",
    demo_history: "Reproduciendo las últimas {hours} horas simuladas…",
    demo_replayed: "  {events} eventos en {seconds} s, {windows} resultados de ventanas",
    demo_ready: "Consola: http://{http}   ·   MQTT: {mqtt}",
    demo_stop: "Para salir, pulse Ctrl-C. La próxima vez continúa con los mismos datos.",
    demo_stopped: "Sereno se detuvo. Todo lo recibido quedó guardado.",
    demo_status: "{rate} eventos/s · {sensors} sensores · {firing} alertas activas · {events} eventos · {quarantined} en cuarentena",
    raised: "ALERTA",
    resolved: "TERMINÓ",
    annulled: "ANULADA",
    audit_title: "Las cuentas de un feed no cuadran",
    audit_message: "Sereno recibió por {feed} más o menos de lo que guardó: es un defecto de Sereno. Los datos recibidos están en el diario; avise a quien lo mantiene.",
    gap_title: "A un destino le falta un tramo de datos",
    gap_message: "{sink} estuvo atrasado más de lo que permite journal.behind_max, y lo que no había leído ya se retiró de los registros. Complete el tramo con una copia de respaldo o desde el almacén, o acéptelo, y confírmelo: POST /api/v1/sinks/acknowledge, {\"sink\": \"{sink}\"}.",
    severities: ["informativa", "advertencia", "crítica"],
};

const EN: Texts = Texts {
    demo_title: "Sereno: a simulated city on this machine",
    demo_history: "Replaying the last {hours} simulated hours…",
    demo_replayed: "  {events} events in {seconds} s, {windows} window results",
    demo_ready: "Console: http://{http}   ·   MQTT: {mqtt}",
    demo_stop: "Press Ctrl-C to stop. The next start goes on with the same data.",
    demo_stopped: "Sereno has stopped. Everything received is kept.",
    demo_status: "{rate} events/s · {sensors} sensors · {firing} alerts firing · {events} events · {quarantined} in quarantine",
    raised: "ALERT",
    resolved: "OVER",
    annulled: "ANNULLED",
    audit_title: "The accounts of a feed do not add up",
    audit_message: "Sereno received more or less by {feed} than it stored: this is a defect of Sereno. What came in is in the journal; tell whoever maintains it.",
    gap_title: "A sink lacks a stretch of data",
    gap_message: "{sink} was further behind than journal.behind_max allows, and what it had not read is removed from the logs. Fill the stretch from a backup or from the store, or accept it, and say so: POST /api/v1/sinks/acknowledge, {\"sink\": \"{sink}\"}.",
    severities: ["info", "warning", "critical"],
};

impl Texts {
    /// The texts of a language.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::Es => &ES,
            Language::En => &EN,
        }
    }

    /// A severity's word.
    #[must_use]
    pub fn severity(&self, severity: Severity) -> &'static str {
        let [info, warning, critical] = self.severities;
        match severity {
            Severity::Info => info,
            Severity::Warning => warning,
            Severity::Critical => critical,
        }
    }

    /// The word of a state that people are told of.
    #[must_use]
    pub fn state(&self, state: AlertState) -> Option<&'static str> {
        match state {
            AlertState::Firing => Some(self.raised),
            AlertState::Resolved => Some(self.resolved),
            AlertState::Inactive => Some(self.annulled),
            AlertState::Pending => None,
        }
    }
}

/// A text in both languages.
#[must_use]
pub fn both(text: impl Fn(&Texts) -> String) -> LocalText {
    LocalText { es: text(&ES), en: text(&EN) }
}

/// Fills `{name}` places of a text.
#[must_use]
pub fn fill(text: &str, places: &[(&str, String)]) -> String {
    places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}
