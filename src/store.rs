//! Where results lie: the embedded store and InfluxDB 2.
