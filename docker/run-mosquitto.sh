#!/bin/sh
# Runs Mosquitto with the users of two folders: the service's own, written once by make-env.mjs, and
# the devices', written again and again by `operator mosquitto`. When either changes, Mosquitto takes
# up the new users and ends the access of old ones, without ending connections.
set -eu

service=${SERVICE_ACCESS:-/docker/access}
devices=${DEVICE_ACCESS:-/devices}
target=${MOSQUITTO_ACCESS:-/mosquitto/config}
config=${MOSQUITTO_CONFIG:-/docker/mosquitto.conf}

main() {
  take_over
  mosquitto -c "$config" &
  broker=$!
  trap 'kill -TERM "$broker"' TERM INT
  while kill -0 "$broker" 2>/dev/null; do
    sleep 2 &
    wait $! || true
    if changed; then
      take_over
      kill -HUP "$broker" 2>/dev/null || true
    fi
  done
  wait "$broker"
}

# Mosquitto reads the files anew under its own account.
take_over() {
  umask 077
  for name in passwords acl; do
    merged "$name" >"$target/$name.new"
    if [ "$(id -u)" = 0 ]; then chown mosquitto "$target/$name.new"; fi
    mv "$target/$name.new" "$target/$name"
  done
}

changed() {
  for name in passwords acl; do
    if ! merged "$name" | cmp -s - "$target/$name"; then return 0; fi
  done
  return 1
}

# The devices' file is absent until the service has written it for the first time.
merged() {
  cat "$service/$1"
  if [ -f "$devices/$1" ]; then
    echo
    cat "$devices/$1"
  fi
}

main
