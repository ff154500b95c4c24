#!/bin/bash
# Runs once, inside the fresh InfluxDB container: a user for Grafana who can read one bucket and
# nothing else. InfluxQL reaches it as a database of the same name.
set -euo pipefail

influx v1 dbrp create \
    --org "$DOCKER_INFLUXDB_INIT_ORG" --bucket-id "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
    --db "$DOCKER_INFLUXDB_INIT_BUCKET" --rp autogen --default
influx v1 auth create \
    --org "$DOCKER_INFLUXDB_INIT_ORG" --read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
    --username grafana --password "$(cat /run/secrets/influxdb_grafana_password)" \
    --description "Grafana, read only" > /dev/null
