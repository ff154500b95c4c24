#!/usr/bin/env bash
# Checks what building and testing need, and installs what is missing: by apt where this user may,
# otherwise it prints the exact command and stops. Usage: scripts/setup.sh [build|test|mutants]
set -euo pipefail
cd "$(dirname "$0")/.."
goal=${1:-build}
cache=${SERENO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sereno}
node_wanted=20.19.0

say() { printf 'setup: %s\n' "$*" >&2; }
at_least() { printf '%s\n%s\n' "$1" "$2" | sort --version-sort --check=quiet; }

# --- the Rust toolchain -----------------------------------------------------------------------
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
if ! command -v cargo > /dev/null; then
    say "there is no Rust toolchain; install it from https://rustup.rs and call make again"
    exit 1
fi
rust_found=$(rustc --version | cut -d ' ' -f 2)
if ! at_least "$rust_wanted" "$rust_found"; then
    say "Rust $rust_found is older than $rust_wanted; run: rustup update stable"
    exit 1
fi

if [ "$goal" = mutants ] && ! command -v cargo-mutants > /dev/null; then
    say "installing cargo-mutants"
    cargo install --quiet --locked cargo-mutants
fi

# --- system packages --------------------------------------------------------------------------
missing=()
need() { # COMMAND-OR-FILE PACKAGE
    if [ -e "$1" ] || command -v "$1" > /dev/null; then return; fi
    missing+=("$2")
}
need cc build-essential
need pkg-config pkg-config
pkg-config --exists openssl 2> /dev/null || missing+=(libssl-dev)
need npm npm
if [ "$goal" = test ]; then
    need /usr/sbin/mosquitto mosquitto
    need mosquitto_pub mosquitto-clients
    need victoria-metrics victoria-metrics
    need chromium chromium
    need python3 python3
    need faketime faketime
    need /usr/sbin/mkfs.ext4 e2fsprogs
fi
if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get install --yes --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        say "installing ${missing[*]}"
        apt-get update --quiet=2
        DEBIAN_FRONTEND=noninteractive $install > /dev/null
    elif command -v sudo > /dev/null && sudo --non-interactive true 2> /dev/null; then
        say "installing ${missing[*]} with sudo"
        sudo apt-get update --quiet=2
        sudo DEBIAN_FRONTEND=noninteractive $install > /dev/null
    else
        say "missing: ${missing[*]}. Run this, then make again:"
        say "    sudo apt-get update && sudo $install"
        exit 1
    fi
fi

# --- Node for the console: the system's if new enough, else one of our own from npm ---------------
mkdir -p "$cache"
if command -v node > /dev/null && at_least "$node_wanted" "$(node --version | tr -d v)"; then
    rm -f "$cache/node-path"
else
    if [ ! -x "$cache/node/node_modules/node/bin/node" ]; then
        say "the system's Node is older than $node_wanted; fetching one for the console into $cache/node"
        npm install --silent --no-audit --no-fund --prefix "$cache/node" node@22 >&2
    fi
    printf '%s\n' "$cache/node/node_modules/node/bin" > "$cache/node-path"
fi
say "everything needed to $goal is here"
