//! The uplink envelope of The Things Stack v3, as its MQTT integration publishes it.
//!
//! The event time is `uplink_message.received_at`; the outer one is a little later.

use crate::chirpstack::Location;
use crate::clock;
use crate::geography::Position;
use serde::Serialize;

/// The application and tenant in every topic.
pub(crate) const APPLICATION: &str = "rios";
pub(crate) const TENANT: &str = "valdelomar";

/// What one uplink says; the envelope adds the rest.
pub(crate) struct Uplink<'a, P> {
    pub(crate) device: &'a str,
    pub(crate) dev_eui: &'a str,
    pub(crate) at_ms: i64,
    /// Bits that make the ids of this uplink.
    pub(crate) identity: u64,
    pub(crate) f_cnt: i64,
    pub(crate) frm_payload: String,
    pub(crate) decoded: P,
    pub(crate) place: Position,
    pub(crate) rssi: i64,
    pub(crate) snr: f64,
}

impl<P: Serialize> Uplink<'_, P> {
    /// The topic that the uplink is published on.
    pub(crate) fn topic(device: &str) -> String {
        format!("v3/{APPLICATION}@{TENANT}/devices/{device}/up")
    }

    /// The envelope as JSON.
    pub(crate) fn payload(self) -> Vec<u8> {
        let nanos = (self.identity % 1_000_000) as u32;
        let heard_at = clock::utc_nanos(self.at_ms - 40, nanos, "Z").to_string();
        let timestamp = (self.identity >> 32) as u32;
        let envelope = Envelope {
            end_device_ids: DeviceIds {
                device_id: self.device,
                application_ids: ApplicationIds { application_id: APPLICATION },
                dev_eui: self.dev_eui.to_uppercase(),
                join_eui: "70B3D5E75E000001",
                dev_addr: format!("260{:05X}", self.identity_of_device() & 0xf_ffff),
            },
            correlation_ids: [format!("gs:uplink:{}", ulid(self.at_ms, self.identity))],
            received_at: clock::utc_nanos(self.at_ms + 205, nanos, "Z").to_string(),
            uplink_message: Message {
                session_key_id: format!("AYfqmb0pc/1{:05}", self.identity_of_device() % 100_000),
                f_port: 3,
                f_cnt: self.f_cnt,
                frm_payload: self.frm_payload,
                decoded_payload: self.decoded,
                rx_metadata: [Metadata {
                    gateway_ids: GatewayIds { gateway_id: "valdemar-puente", eui: "58A0CBFFFE80A3C1" },
                    time: heard_at.clone(),
                    timestamp,
                    rssi: self.rssi,
                    channel_rssi: self.rssi,
                    snr: self.snr,
                    channel_index: timestamp % 8,
                    received_at: heard_at.clone(),
                }],
                settings: Settings {
                    data_rate: DataRate {
                        lora: Lora { bandwidth: 125_000, spreading_factor: 8, coding_rate: "4/5" },
                    },
                    frequency: (902_300_000 + 200_000 * (timestamp % 8)).to_string(),
                    timestamp,
                    time: heard_at,
                },
                received_at: clock::utc_nanos(self.at_ms, nanos, "Z").to_string(),
                consumed_airtime: "0.102912s",
                locations: Locations {
                    user: UserLocation { place: self.place.into(), source: "SOURCE_REGISTRY" },
                },
                network_ids: NetworkIds { net_id: "000013", tenant_id: TENANT, cluster_id: "nam1" },
            },
        };
        // Text, finite numbers and lists: writing them cannot fail.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }

    fn identity_of_device(&self) -> u64 {
        self.device
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}

/// A ULID: 48 bits of time and 80 of identity in Crockford's base 32.
fn ulid(at_ms: i64, identity: u64) -> String {
    let value = (u128::from(at_ms.unsigned_abs()) << 80) | (u128::from(identity) << 8);
    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit =
        |shift: u32| digits.get(((value >> shift) & 31) as usize).map_or('0', |digit| char::from(*digit));
    (0..26).rev().map(|place| digit(place * 5)).collect()
}

#[derive(Serialize)]
struct Envelope<'a, P> {
    end_device_ids: DeviceIds<'a>,
    correlation_ids: [String; 1],
    received_at: String,
    uplink_message: Message<P>,
}

#[derive(Serialize)]
struct DeviceIds<'a> {
    device_id: &'a str,
    application_ids: ApplicationIds,
    dev_eui: String,
    join_eui: &'static str,
    dev_addr: String,
}

#[derive(Serialize)]
struct ApplicationIds {
    application_id: &'static str,
}

#[derive(Serialize)]
struct Message<P> {
    session_key_id: String,
    f_port: u8,
    f_cnt: i64,
    frm_payload: String,
    decoded_payload: P,
    rx_metadata: [Metadata; 1],
    settings: Settings,
    received_at: String,
    consumed_airtime: &'static str,
    locations: Locations,
    network_ids: NetworkIds,
}

#[derive(Serialize)]
struct Metadata {
    gateway_ids: GatewayIds,
    time: String,
    timestamp: u32,
    rssi: i64,
    channel_rssi: i64,
    snr: f64,
    channel_index: u32,
    received_at: String,
}

#[derive(Serialize)]
struct GatewayIds {
    gateway_id: &'static str,
    eui: &'static str,
}

#[derive(Serialize)]
struct Settings {
    data_rate: DataRate,
    frequency: String,
    timestamp: u32,
    time: String,
}

#[derive(Serialize)]
struct DataRate {
    lora: Lora,
}

#[derive(Serialize)]
struct Lora {
    bandwidth: u32,
    spreading_factor: u8,
    coding_rate: &'static str,
}

#[derive(Serialize)]
struct Locations {
    user: UserLocation,
}

#[derive(Serialize)]
struct UserLocation {
    #[serde(flatten)]
    place: Location,
    source: &'static str,
}

#[derive(Serialize)]
struct NetworkIds {
    net_id: &'static str,
    tenant_id: &'static str,
    cluster_id: &'static str,
}

#[cfg(test)]
mod tests {
    #[test]
    fn ulids_begin_with_their_time() {
        // The server's own id of an uplink received at 2023-05-19T05:33:35.641Z.
        assert!(super::ulid(1_684_474_415_641, 7).starts_with("01H0S7ZJGS"));
        assert_eq!(super::ulid(0, 1).len(), 26);
    }
}
