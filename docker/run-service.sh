#!/bin/sh
# Waits until both witnesses of the compose file have told their verifier keys, writes who must cosign
# to the file of WITNESSES, brings the database up to date as its owner, and becomes the command that it
# is given, which does not have the owner's log-in.
set -eu

keys=${WITNESS_KEYS:-/witness-keys}
policy=${WITNESSES:?names the file to write}

until [ -s "$keys/witness-1" ] && [ -s "$keys/witness-2" ]; do sleep 1; done

{
  for name in witness-1 witness-2; do
    echo "witness $name $(cat "$keys/$name") http://$name:7380"
  done
  # With fewer than all of two, each could be shown another story.
  echo 'group both all witness-1 witness-2'
  echo 'quorum both'
} > "$policy.new"
mv "$policy.new" "$policy"

node scripts/run.mjs make-logins
unset DATABASE_OWNER_URL DATABASE_ERASER_URL

exec "$@"
