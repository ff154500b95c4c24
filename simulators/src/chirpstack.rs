//! Air stations on LoRaWAN, heard through a ChirpStack v4 server: `up`, `join` and `status` events.
//!
//! The envelope is that of the server's MQTT integration. `data` holds pm25 and pm10 in tenths (two
//! unsigned 16-bit numbers), the temperature in tenths (signed 16 bit) and the humidity in half per cent (8
//! bit), big endian. A device joins anew every day, which sets its frame counter back to 0; one uplink
//! in seventy is lost on the air, which shows as a gap of the counter.

use crate::air::{self, AirReading};
use crate::clock::{self, DAY_MS, HOUR_MS, MINUTE_MS};
use crate::device::{CHIRPSTACK_GATEWAY, Device, Draft, Site, World, tenths};
use crate::names;
use crate::noise::{Kind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Stations on LoRaWAN.
pub(crate) const STATIONS: usize = 20;
/// The id of the application in every topic.
pub(crate) const APPLICATION: &str = "5d2c1a90-7f43-4a1e-9b6d-0c8e4f7a3b21";

const PERIOD_MS: i64 = 60_000;
const STATUS_PERIOD_MS: i64 = 2 * HOUR_MS;
const FIRST_NUMBER: u32 = 1_001;

/// A station that the ChirpStack server speaks for, once a minute.
#[derive(Clone, Debug)]
pub(crate) struct LoraStation {
    name: String,
    dev_eui: String,
    site: Site,
}

impl LoraStation {
    /// The station of the given index: two in each comuna.
    pub(crate) fn new(world: &World, index: usize) -> Self {
        let number = FIRST_NUMBER + index as u32;
        let zone = index % world.ground.zones.len();
        let site = Site {
            number,
            zone,
            position: world.ground.inside_zone(zone, number),
            period_ms: PERIOD_MS,
            phase_ms: world.noise.whole(Stream(Kind::Phase, number), 0, 0, PERIOD_MS),
        };
        Self {
            name: format!("aire-lora-{:02}", index + 1),
            dev_eui: format!("70b3d5e75e{:06x}", 0x4a10 + index),
            site,
        }
    }

    /// When in the day the device joins anew: five seconds before an uplink.
    fn join_phase_ms(&self) -> i64 {
        i64::from(self.site.number) * 71 * MINUTE_MS % DAY_MS + self.site.phase_ms - 5_000
    }

    /// Since when the device has its present session.
    fn joined_ms(&self, at_ms: i64) -> i64 {
        let phase_ms = self.join_phase_ms();
        (at_ms - phase_ms).div_euclid(DAY_MS) * DAY_MS + phase_ms
    }

    fn topic(&self, event: &str) -> String {
        format!("application/{APPLICATION}/device/{}/event/{event}", self.dev_eui)
    }

    fn common(&self, world: &World, at_ms: i64, event: &str) -> Common {
        let salt = event.bytes().fold(0, |sum, byte| sum + i64::from(byte));
        let high = world.noise.bits(Stream(Kind::Identity, self.site.number), at_ms);
        let low = world.noise.bits(Stream(Kind::Identity, self.site.number + 50_000), at_ms + salt);
        let nanos = (low % 1_000_000) as u32;
        Common {
            deduplication_id: uuid(high, low),
            time: clock::utc_nanos(at_ms, nanos, "+00:00").to_string(),
            device_info: DeviceInfo {
                tenant_id: "3c1b7d52-95e0-4c8a-8f11-6a2f0d9be470",
                tenant_name: names::CITY,
                application_id: APPLICATION,
                application_name: "aire",
                device_profile_id: "b7e4f0c6-21ad-4d39-a5c8-93d1e6f02a7b",
                device_profile_name: "estacion-aire",
                device_name: self.name.clone(),
                dev_eui: self.dev_eui.clone(),
                device_class_enabled: "CLASS_A",
                tags: Tags { zone: world.ground.zone_id(self.site.zone).to_owned() },
            },
        }
    }

    fn dev_addr(&self, world: &World, at_ms: i64) -> String {
        let bits = world.noise.bits(Stream(Kind::Identity, self.site.number + 60_000), self.joined_ms(at_ms));
        format!("{:08x}", bits & 0x01ff_ffff)
    }

    fn uplink(&self, world: &World, at_ms: i64) -> Up {
        let reading = air::measure(world, &self.site, at_ms);
        let f_cnt = (at_ms - self.joined_ms(at_ms)) / PERIOD_MS;
        let radio = |slot: i64| world.noise.unit(Stream(Kind::Radio, self.site.number), at_ms * 8 + slot);
        let heard_by = 1 + (radio(0) * 2.4) as i64;
        let common = self.common(world, at_ms, "up");
        let rx_info = (0..heard_by).map(|which| RxInfo {
            gateway_id: format!("24e124fffef{:05x}", (self.site.zone as i64 + which * 3) % 10 + 0x4d20),
            uplink_id: (world.noise.bits(Stream(Kind::Radio, self.site.number), at_ms * 8 + which) >> 32)
                as u32,
            ns_time: common.time.clone(),
            rssi: -72 - (radio(which + 1) * 42.0) as i64 - 6 * which,
            snr: (48.0 * radio(which + 4)).round() / 4.0 - 2.0,
            channel: (radio(3) * 8.0) as u8,
            location: world
                .ground
                .zone_centre((self.site.zone + which.unsigned_abs() as usize * 3) % 10)
                .into(),
            context: "AAAAAA==",
            crc_status: "CRC_OK",
        });
        Up {
            dev_addr: self.dev_addr(world, at_ms),
            adr: true,
            dr: 3,
            f_cnt,
            f_port: 2,
            confirmed: false,
            data: STANDARD.encode(frame(&reading)),
            object: Object { reading, place: self.site.position.into() },
            rx_info: rx_info.collect(),
            tx_info: TxInfo::new(902_300_000 + 200_000 * (radio(3) * 8.0) as u32),
            common,
        }
    }

    fn send(&self, world: &World, at_ms: i64, event: &str, body: &impl Serialize, out: &mut Vec<Draft>) {
        // These structures hold only finite numbers, text and lists: writing them cannot fail.
        let Ok(payload) = serde_json::to_vec(body) else { return };
        let ready_ms = self.site.ready_ms(&world.noise, at_ms) + 200;
        out.push(Draft { ready_ms, kept: true, topic: self.topic(event), payload });
    }
}

impl Device for LoraStation {
    fn gateway(&self) -> u16 {
        CHIRPSTACK_GATEWAY
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        for at_ms in self.site.instants(from_ms, to_ms) {
            let is_lost = world.noise.unit(Stream(Kind::Loss, self.site.number), at_ms) < 1.0 / 70.0;
            if !is_lost {
                self.send(world, at_ms, "up", &self.uplink(world, at_ms), out);
            }
        }
        let joins = Site { period_ms: DAY_MS, phase_ms: self.join_phase_ms(), ..self.site.clone() };
        for at_ms in joins.instants(from_ms, to_ms) {
            let join =
                Join { common: self.common(world, at_ms, "join"), dev_addr: self.dev_addr(world, at_ms) };
            self.send(world, at_ms, "join", &join, out);
        }
        let phase_ms = i64::from(self.site.number) * 17 * MINUTE_MS % STATUS_PERIOD_MS + 1_234;
        let statuses = Site { period_ms: STATUS_PERIOD_MS, phase_ms, ..self.site.clone() };
        for at_ms in statuses.instants(from_ms, to_ms) {
            let days = (at_ms - clock::ORIGIN_MS).div_euclid(DAY_MS) + i64::from(self.site.number) * 13;
            let status = Status {
                common: self.common(world, at_ms, "status"),
                margin: world.noise.whole(Stream(Kind::Radio, self.site.number), at_ms, 4, 15),
                external_power_source: false,
                battery_level_unavailable: false,
                battery_level: tenths(100.0 - days.rem_euclid(400) as f64 * 0.2),
            };
            self.send(world, at_ms, "status", &status, out);
        }
    }
}

/// The bytes that went over the air.
fn frame(reading: &AirReading) -> Vec<u8> {
    let tenths = |value: f64| (value * 10.0).round() as i64;
    let words = [
        tenths(reading.pm25) as u16,
        tenths(reading.pm10) as u16,
        (tenths(reading.temp) as i16).cast_unsigned(),
    ];
    words.iter().flat_map(|word| word.to_be_bytes()).chain([(reading.hum * 2) as u8]).collect()
}

/// A version 4 UUID from 128 random bits.
fn uuid(high: u64, low: u64) -> String {
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, 0x4000 | (high & 0x0fff));
    let (d, e) = (0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    deduplication_id: String,
    time: String,
    device_info: DeviceInfo,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceInfo {
    tenant_id: &'static str,
    tenant_name: &'static str,
    application_id: &'static str,
    application_name: &'static str,
    device_profile_id: &'static str,
    device_profile_name: &'static str,
    device_name: String,
    dev_eui: String,
    device_class_enabled: &'static str,
    tags: Tags,
}

#[derive(Serialize)]
struct Tags {
    zone: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Up {
    #[serde(flatten)]
    common: Common,
    dev_addr: String,
    adr: bool,
    dr: u8,
    f_cnt: i64,
    f_port: u8,
    confirmed: bool,
    data: String,
    object: Object,
    rx_info: Vec<RxInfo>,
    tx_info: TxInfo,
}

struct Object {
    reading: AirReading,
    place: Location,
}

impl Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("pm25", &self.reading.pm25)?;
        map.serialize_entry("pm10", &self.reading.pm10)?;
        map.serialize_entry("temp", &self.reading.temp)?;
        map.serialize_entry("hum", &self.reading.hum)?;
        map.serialize_entry("lat", &self.place.latitude)?;
        map.serialize_entry("lon", &self.place.longitude)?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RxInfo {
    gateway_id: String,
    uplink_id: u32,
    ns_time: String,
    rssi: i64,
    snr: f64,
    channel: u8,
    location: Location,
    context: &'static str,
    crc_status: &'static str,
}

/// A place as both network servers write it.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Location {
    latitude: f64,
    longitude: f64,
}

impl From<crate::geography::Position> for Location {
    fn from(place: crate::geography::Position) -> Self {
        let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
        Self { latitude: round(place.latitude), longitude: round(place.longitude) }
    }
}

#[derive(Serialize)]
struct TxInfo {
    frequency: u32,
    modulation: Modulation,
}

#[derive(Serialize)]
struct Modulation {
    lora: Lora,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lora {
    bandwidth: u32,
    spreading_factor: u8,
    code_rate: &'static str,
}

impl TxInfo {
    fn new(frequency: u32) -> Self {
        let lora = Lora { bandwidth: 125_000, spreading_factor: 7, code_rate: "CR_4_5" };
        Self { frequency, modulation: Modulation { lora } }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    #[serde(flatten)]
    common: Common,
    dev_addr: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(flatten)]
    common: Common,
    margin: i64,
    external_power_source: bool,
    battery_level_unavailable: bool,
    battery_level: f64,
}

#[cfg(test)]
#[path = "chirpstack_tests.rs"]
mod tests;
