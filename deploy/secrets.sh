#!/usr/bin/env bash
# Makes the secrets of the compose stack in deploy/secrets/, one folder per reader, files of mode 0600.
#
#   deploy/secrets.sh              # then: docker compose up -d
#
# Run it as often as you like: a secret that exists is kept. To renew one, delete its file (and its
# twin, where two readers share it) and tell the service that already knows the old one.
#
# The containers run as users of their own and see a secret file as it lies here, so each file is
# handed to the user of its reader. This takes root, or Docker, which this script then asks.
set -euo pipefail
umask 077

cd "$(dirname "$0")"
readonly secrets=secrets
mosquitto_image=$(sed -n 's/^ *image: *\(eclipse-mosquitto:[^ ]*\).*/\1/p' ../docker-compose.yml)
readonly mosquitto_image

# The users that the images run as; docker-compose.yml names the same.
readonly mosquitto_uid=1883 sereno_uid=10001 influxdb_uid=1000 grafana_uid=472

die() { printf 'secrets.sh: %s\n' "$*" >&2; exit 1; }

# 256 bits from the kernel, in hexadecimal: no character that any file format would mind.
random() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# keep_or_write FILE: standard input becomes FILE, whole or not at all, unless FILE exists.
keep_or_write() {
    local draft
    [ ! -e "$secrets/$1" ] || { cat > /dev/null; return 0; }
    draft=$(mktemp "$secrets/.draft.XXXXXX")
    cat > "$draft"
    mv -n "$draft" "$secrets/$1"
    rm -f "$draft"
    printf 'made  %s\n' "$secrets/$1"
}

# twin ONE OTHER: the same secret for two readers.
twin() {
    local one=$secrets/$1 other=$secrets/$2
    if [ -e "$one" ] && [ -e "$other" ]; then return 0; fi
    if [ ! -e "$one" ] && [ ! -e "$other" ]; then random | keep_or_write "$1"; fi
    if [ ! -e "$one" ]; then local swap=$one; one=$other; other=$swap; fi
    [ -r "$one" ] || die "$other is missing and $one belongs to another user: sudo cp $one $other, then run this again"
    keep_or_write "${other#"$secrets"/}" < "$one"
}

# hash FILE: replaces the passwords of a mosquitto password file by their hashes.
hash() {
    if command -v mosquitto_passwd > /dev/null; then
        mosquitto_passwd -U "$1"
    elif command -v docker > /dev/null; then
        docker run --rm --network none --user "$(id -u):$(id -g)" --tmpfs /tmp --volume "$PWD/$(dirname "$1"):/hash" \
            --entrypoint mosquitto_passwd "$mosquitto_image" -U "/hash/$(basename "$1")"
    else
        die "needs mosquitto_passwd or docker to hash the broker's passwords"
    fi
}

# The broker's users, hashed; Sereno and the devices get their password in the clear.
write_password_file() {
    local folder name
    [ ! -e "$secrets/mosquitto/passwd" ] || return 0
    for name in sereno/mqtt_password devices/mqtt_password mosquitto/health; do
        [ -r "$secrets/$name" ] || die "cannot read $secrets/$name: run this as root to renew $secrets/mosquitto/passwd"
    done
    folder=$(mktemp -d "$secrets/.hash.XXXXXX")
    {
        printf 'sereno:%s\n' "$(cat "$secrets/sereno/mqtt_password")"
        printf 'devices:%s\n' "$(cat "$secrets/devices/mqtt_password")"
        printf 'health:%s\n' "$(sed -n 's/^-P //p' "$secrets/mosquitto/health")"
    } > "$folder/passwd"
    hash "$folder/passwd"
    # shellcheck disable=SC2016  # the mark of a hash, not a variable
    [ "$(grep -c ':\$7\$' "$folder/passwd")" -eq 3 ] || { rm -rf "$folder"; die "mosquitto_passwd left a password unhashed"; }
    keep_or_write mosquitto/passwd < "$folder/passwd"
    rm -rf "$folder"
}

# hand_over: every file to the user of the container that reads it.
hand_over() {
    local script="chown $mosquitto_uid mosquitto/* && chown $sereno_uid sereno/* && chown $influxdb_uid influxdb/* && chown $grafana_uid grafana/*"
    if [ "$(id -u)" -eq 0 ]; then
        (cd "$secrets" && sh -c "$script")
    elif command -v docker > /dev/null; then
        docker run --rm --network none --volume "$PWD/$secrets:/secrets" --workdir /secrets \
            --entrypoint sh "$mosquitto_image" -c "$script"
    else
        die "the files are made, but only root or Docker can hand them to the containers' users"
    fi
}

mkdir -p "$secrets"/{mosquitto,sereno,influxdb,grafana,devices}
chmod 0700 "$secrets" "$secrets"/*/

random | keep_or_write sereno/mqtt_password
random | keep_or_write devices/mqtt_password
# Options of mosquitto_sub, so that the password stands on no command line.
printf -- '-u health\n-P %s\n' "$(random)" | keep_or_write mosquitto/health
write_password_file

random | keep_or_write influxdb/admin_password
twin influxdb/admin_token sereno/influxdb_token
twin influxdb/grafana_password grafana/influxdb_password

random | keep_or_write grafana/admin_password
# Signs webhooks (HMAC-SHA256); the receiver needs the same text.
random | keep_or_write sereno/webhook_secret

hand_over
printf 'ready: Grafana admin password: docker compose exec grafana cat /run/secrets/grafana_admin_password\n'
printf '       MQTT user devices:      cat deploy/%s/devices/mqtt_password\n' "$secrets"
