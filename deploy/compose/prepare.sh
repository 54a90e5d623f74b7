#!/bin/sh
# Makes the folders and the secrets that .env names; what exists is left alone, so it can be run again.
# As root: the files belong to user 10001, which every container runs as, and nobody else can read them.
set -eu
cd "$(dirname "$0")/../.."
[ -f .env ] || { echo "no .env: copy .env.example and set its paths" >&2; exit 1; }
. ./.env
owner=${AVALANCHE_OWNER:-10001:10001}
umask 077
mkdir -p "$AVALANCHE_DATA" "$AVALANCHE_SECRETS/runs" "$AVALANCHE_SECRETS/proxy"
cd "$AVALANCHE_SECRETS"

[ -s postgres_password ] || openssl rand -hex 24 > postgres_password
[ -s runs/pgpass ] || printf '*:*:dagster:dagster:%s\n' "$(cat postgres_password)" > runs/pgpass
# The source's account and the address of alerts: write them into these files.
for name in cdse_username cdse_password alert_webhook; do
  [ -f "runs/$name" ] || : > "runs/$name"
done
for people in operators viewers; do
  if [ ! -s "proxy/$people" ]; then
    password=$(openssl rand -hex 12)
    printf '%s:%s\n' "$people" "$(printf %s "$password" | openssl passwd -6 -stdin)" > "proxy/$people"
    echo "$people: password $password (shown once; change it with: openssl passwd -6)"
  fi
done
if [ ! -s proxy/tls_certificate ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=$(hostname)" \
    -addext "subjectAltName=DNS:$(hostname),DNS:localhost,IP:127.0.0.1" \
    -keyout proxy/tls_key -out proxy/tls_certificate 2>/dev/null
  echo "proxy/tls_certificate: self-signed for a year; put your own certificate and tls_key there"
fi
if [ "$(id -u)" -eq 0 ]; then
  chown -R "$owner" "$AVALANCHE_SECRETS"
  chown "$owner" "$AVALANCHE_DATA"
fi
