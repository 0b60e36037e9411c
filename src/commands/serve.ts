import { parseArgs } from 'node:util';

/** `npm run serve`: the service alone, with settings from the environment. */

const HELP = `npm run serve

Runs the service alone, on the system clock unless MARKET_CLOCK=simulated: HTTP, sockets and pages on
HTTP_PORT, an embedded PostgreSQL and broker in DATA_DIR unless DATABASE_URL and MQTT_URL name others.
Every setting is an environment variable, see docs/settings.md. Stop it with Ctrl-C or SIGTERM.
`;

const { values } = parseArgs({ options: { help: { type: 'boolean', default: false } } });
if (values.help) process.stdout.write(HELP);
else await import('../main.js');
