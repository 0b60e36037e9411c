import { resolve } from 'node:path';
import { Module, type DynamicModule } from '@nestjs/common';
import { z } from 'zod';

/**
 * The settings of the service: read once from the environment, checked completely before anything
 * starts, and handed to whoever needs them under the token `SETTINGS`.
 */
export type Settings = Readonly<z.output<typeof ENVIRONMENT>>;

/** Injects `Settings`. */
export const SETTINGS = Symbol('SETTINGS');

/** One line that names every setting that cannot be used, and why. */
export class InvalidSettings extends Error {
  override name = 'InvalidSettings';
}

/**
 * Settings from environment variables; an empty variable counts as absent.
 * @throws InvalidSettings naming every bad setting in one line
 * @example loadSettings({ HTTP_PORT: '8080' }).httpPort === 8080
 */
export function loadSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const present = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined || value.trim() === '' ? [] : [[name, value.trim()]],
    ),
  );
  const result = ENVIRONMENT.safeParse(present);
  if (result.success) return Object.freeze(result.data);
  const faults = result.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
  throw new InvalidSettings(`Settings cannot be used: ${faults.join('; ')}.`);
}

/** Provides the settings to every module of an application. */
@Module({})
export class SettingsModule {
  static of(settings: Settings): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      providers: [{ provide: SETTINGS, useValue: settings }],
      exports: [SETTINGS],
    };
  }
}

function whole(fallback: number, least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, message)
    .transform(Number)
    .refine((value) => value >= least && value <= most, message)
    .default(fallback);
}

function address(schemes: readonly string[], example: string) {
  const message = `must be an address like ${example}`;
  return z.string().refine((text) => {
    const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : '';
    return schemes.includes(scheme);
  }, message);
}

function oneOf<const Choices extends readonly [string, ...string[]]>(choices: Choices) {
  return z.enum(choices, { error: `must be one of ${choices.join(', ')}` });
}

const HOST = z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'must be a host name or an IP address');

const PATH = z.string().transform((path) => resolve(path));

const ORIGINS = z.string().transform((text, context) => {
  const origins = text
    .split(',')
    .map((origin) => origin.trim())
    .filter(Boolean);
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      context.addIssue({
        code: 'custom',
        message: `must be origins separated by commas, like https://grid.example, not ${origin}`,
      });
    }
  }
  return origins;
});

const DATABASE = address(['postgres', 'postgresql'], 'postgres://user:secret@host:5432/database');

/** Each of these is of no use without the other. */
const TLS_NEEDS = [
  ['MQTT_TLS_PORT', 'MQTT_TLS_CERT'],
  ['MQTT_TLS_CERT', 'MQTT_TLS_KEY'],
  ['MQTT_TLS_KEY', 'MQTT_TLS_CERT'],
  ['MQTT_TLS_CERT', 'MQTT_TLS_PORT'],
  ['MQTT_TLS_CA', 'MQTT_TLS_PORT'],
  ['MQTT_TLS_CRL', 'MQTT_TLS_CA'],
] as const;

/** OWASP password storage: N = 2^15. Less is for streets in which nobody lives. */
const PASSWORD_COST_LOG2 = 15;

const ENVIRONMENT = z
  .object({
    // Absent: an embedded PostgreSQL in DATA_DIR.
    DATABASE_URL: DATABASE.optional(),
    // Log-ins of the database's owner, for migrations, and of the eraser. Absent: one serves for all.
    DATABASE_OWNER_URL: DATABASE.optional(),
    DATABASE_ERASER_URL: DATABASE.optional(),
    DATABASE_POOL_SIZE: whole(10, 2, 500),
    // Absent: an embedded broker on MQTT_HOST and MQTT_PORT.
    MQTT_URL: address(['mqtt', 'mqtts', 'ws', 'wss'], 'mqtts://broker.example:8883').optional(),
    MQTT_USERNAME: z.string().max(64, 'must have at most 64 characters').optional(),
    MQTT_PASSWORD: z.string().optional(),
    // Names the session that an external broker keeps for this instance: one per instance.
    MQTT_CLIENT_ID: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must match [A-Za-z0-9_-]{1,64}')
      .default('neighborwatt'),
    MQTT_HOST: HOST.default('127.0.0.1'),
    MQTT_PORT: whole(1883, 0, 65_535),
    // Another listener of the embedded broker, with TLS. A CA asks for client certificates.
    MQTT_TLS_HOST: HOST.default('0.0.0.0'),
    MQTT_TLS_PORT: whole(0, 0, 65_535).removeDefault().optional(),
    MQTT_TLS_CERT: PATH.optional(),
    MQTT_TLS_KEY: PATH.optional(),
    MQTT_TLS_CA: PATH.optional(),
    MQTT_TLS_CRL: PATH.optional(),
    MQTT_MAX_PAYLOAD_BYTES: whole(1_048_576, 1_024, 16_777_216),
    MQTT_MAX_CONNECTIONS: whole(20_000, 1, 1_000_000),
    MQTT_MAX_CONNECTIONS_PER_ADDRESS: whole(5_000, 1, 1_000_000),
    MQTT_CONNECT_TIMEOUT_SECONDS: whole(10, 1, 300),
    MQTT_MAX_MESSAGES_PER_SECOND: whole(1_000, 1, 1_000_000),
    MQTT_MAX_IN_FLIGHT: whole(10_000, 1, 65_535),
    HTTP_HOST: HOST.default('127.0.0.1'),
    HTTP_PORT: whole(3000, 0, 65_535),
    HTTP_MAX_CONNECTIONS: whole(20_000, 1, 1_000_000),
    // How many proxies stand in front and may say whom they speak for.
    TRUST_PROXY: whole(0, 0, 10),
    DATA_DIR: z
      .string()
      .default('./data')
      .transform((path) => resolve(path)),
    MARKET_CLOCK: oneOf(['system', 'simulated']).default('system'),
    // The name of this deployment's logs in checkpoints; must never change once logs exist.
    LOG_ORIGIN: z
      .string()
      .regex(/^[\x21-\x2a\x2c-\x7e]{1,200}$/, 'must be up to 200 characters without spaces or +')
      .default('neighborwatt.local'),
    // A file: C2SP tlog-policy with witnesses and their quorum. Absent: nobody cosigns.
    WITNESSES: z
      .string()
      .transform((path) => resolve(path))
      .optional(),
    // Where the public keys of all logs are written for witnesses. Absent: logs.policy in DATA_DIR.
    LOGS_FILE: z
      .string()
      .transform((path) => resolve(path))
      .optional(),
    WITNESS_TIMEOUT_MILLIS: whole(2_000, 50, 60_000),
    ALLOWED_ORIGINS: ORIGINS.default([]),
    MAX_CLOCK_AHEAD_SECONDS: whole(300, 0, 86_400),
    SLOT_INTERVAL_MILLIS: whole(1_000, 20, 600_000),
    // Of scrypt: twice the work for each one more.
    PASSWORD_COST_LOG2: whole(PASSWORD_COST_LOG2, 4, 20),
    TOKEN_MINUTES: whole(15, 1, 1_440),
    REFRESH_DAYS: whole(30, 1, 365),
    METRICS_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
    LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default(
      'info',
    ),
  })
  .superRefine((env, context) => {
    for (const name of ['DATABASE_OWNER_URL', 'DATABASE_ERASER_URL'] as const) {
      if (env[name] !== undefined && env.DATABASE_URL === undefined) {
        context.addIssue({
          code: 'custom',
          path: [name],
          message: 'is for a database of your own and needs DATABASE_URL',
        });
      }
    }
    if (env.PASSWORD_COST_LOG2 < PASSWORD_COST_LOG2 && env.MARKET_CLOCK !== 'simulated') {
      const message = `may be below ${PASSWORD_COST_LOG2} only with MARKET_CLOCK=simulated`;
      context.addIssue({ code: 'custom', path: ['PASSWORD_COST_LOG2'], message });
    }
    for (const [name, needed] of TLS_NEEDS) {
      if (env[name] !== undefined && env[needed] === undefined) {
        const message = `needs ${needed}`;
        context.addIssue({ code: 'custom', path: [name], message });
      }
    }
    if (env.MQTT_TLS_PORT !== undefined && env.MQTT_URL !== undefined) {
      const message = 'is for the embedded broker, and MQTT_URL names another';
      context.addIssue({ code: 'custom', path: ['MQTT_TLS_PORT'], message });
    }
    for (const name of ['MQTT_USERNAME', 'MQTT_PASSWORD'] as const) {
      if (env[name] !== undefined && env.MQTT_URL === undefined) {
        context.addIssue({
          code: 'custom',
          path: [name],
          message: 'is for an external broker and needs MQTT_URL',
        });
      }
    }
  })
  .transform((env) => ({
    databaseUrl: env.DATABASE_URL,
    databaseOwnerUrl: env.DATABASE_OWNER_URL,
    databaseEraserUrl: env.DATABASE_ERASER_URL,
    databasePoolSize: env.DATABASE_POOL_SIZE,
    mqttUrl: env.MQTT_URL,
    mqttUsername: env.MQTT_USERNAME,
    mqttPassword: env.MQTT_PASSWORD,
    mqttClientId: env.MQTT_CLIENT_ID,
    mqttHost: env.MQTT_HOST,
    mqttPort: env.MQTT_PORT,
    mqttTlsHost: env.MQTT_TLS_HOST,
    mqttTlsPort: env.MQTT_TLS_PORT,
    mqttTlsCert: env.MQTT_TLS_CERT,
    mqttTlsKey: env.MQTT_TLS_KEY,
    mqttTlsCa: env.MQTT_TLS_CA,
    mqttTlsCrl: env.MQTT_TLS_CRL,
    mqttMaxPayloadBytes: env.MQTT_MAX_PAYLOAD_BYTES,
    mqttMaxConnections: env.MQTT_MAX_CONNECTIONS,
    mqttMaxConnectionsPerAddress: env.MQTT_MAX_CONNECTIONS_PER_ADDRESS,
    mqttConnectTimeoutSeconds: env.MQTT_CONNECT_TIMEOUT_SECONDS,
    mqttMaxMessagesPerSecond: env.MQTT_MAX_MESSAGES_PER_SECOND,
    mqttMaxInFlight: env.MQTT_MAX_IN_FLIGHT,
    httpHost: env.HTTP_HOST,
    httpPort: env.HTTP_PORT,
    httpMaxConnections: env.HTTP_MAX_CONNECTIONS,
    trustProxy: env.TRUST_PROXY,
    dataDir: env.DATA_DIR,
    marketClock: env.MARKET_CLOCK,
    logOrigin: env.LOG_ORIGIN,
    witnesses: env.WITNESSES,
    logsFile: env.LOGS_FILE,
    witnessTimeoutMillis: env.WITNESS_TIMEOUT_MILLIS,
    allowedOrigins: env.ALLOWED_ORIGINS,
    maxClockAheadSeconds: env.MAX_CLOCK_AHEAD_SECONDS,
    slotIntervalMillis: env.SLOT_INTERVAL_MILLIS,
    passwordCostLog2: env.PASSWORD_COST_LOG2,
    tokenMinutes: env.TOKEN_MINUTES,
    refreshDays: env.REFRESH_DAYS,
    metricsToken: env.METRICS_TOKEN,
    logLevel: env.LOG_LEVEL,
  }));
