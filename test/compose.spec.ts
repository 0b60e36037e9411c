import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { parse } from 'yaml';
import { hashSecret } from '../src/broker/mosquitto-password.js';
import { DatabaseService } from '../src/database/database.service.js';
import { freePort } from '../src/database/postgres-folder.service.js';
import { ALGORITHM, formatVerifierKey, verifierKeyOf } from '../src/transparency/signed-note.js';
import { meetsQuorum, parsePolicy } from '../src/transparency/tlog-policy.js';
import { freshDatabase } from './support/database.js';
import { projectPath, readProjectFile } from './support/project.js';
import { hasProgram } from './support/require.js';

/** The compose file, and what make-env.mjs makes for it, as far as they can be checked without Docker. */

interface Service {
  image?: string;
  environment?: Record<string, string>;
  ports?: string[];
  healthcheck?: { test?: string[] };
  restart?: string;
  volumes?: string[];
  profiles?: string[];
  privileged?: boolean;
}

const text = readProjectFile('docker-compose.yml');
const { services, volumes } = parse(text, { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const run = promisify(execFile);

describe('docker-compose.yml', () => {
  it('has the database, the broker, the service and the simulator', () => {
    expect(Object.keys(services)).toEqual(
      expect.arrayContaining([
        'database',
        'broker',
        'service',
        'witness-1',
        'witness-2',
        'simulator',
      ]),
    );
    expect(services['simulator']!.profiles).toEqual(['demo']);
  });

  it.each(Object.entries(services))('pins, watches and restarts %s', (_name, service) => {
    expect(service.image).toMatch(/^[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
    expect(service.healthcheck?.test?.[0]).toBe('CMD');
    expect(service.restart).toBe('unless-stopped');
    expect(service.privileged).toBeUndefined();
  });

  it("runs the project's own version", () => {
    const { version } = JSON.parse(readProjectFile('package.json')) as { version: string };
    expect(services['service']!.image).toBe(`neighborwatt:${version}`);
  });

  it('opens ports to this machine only', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('keeps what must last in named volumes', () => {
    const named = Object.values(services)
      .flatMap((service) => service.volumes ?? [])
      .map((volume) => volume.split(':')[0]!)
      .filter((source) => !source.startsWith('.'));
    expect([...new Set(named)].sort()).toEqual(Object.keys(volumes).sort());
  });

  it('takes every secret from the environment, and none when it is absent', () => {
    const interpolations = [...text.matchAll(/\$\{([^}]*)\}/g)].map(([, inside]) => inside!);
    expect(interpolations.filter((inside) => !/^[A-Z_]+:?\?.+/.test(inside))).toEqual([]);
    const literal = Object.values(services)
      .flatMap((service) => Object.entries(service.environment ?? {}))
      .filter(([name, value]) => /PASSWORD|SECRET|TOKEN|KEY/.test(name) && !value.startsWith('${'));
    expect(literal).toEqual([]);
    expect(text).not.toMatch(/:\/\/[^$\s'"]+:[^$\s'"]+@/);
  });
});

describe('the witnesses', () => {
  it('keep their keys and what they cosigned apart from each other and from the service', () => {
    const [one, two] = [services['witness-1']!, services['witness-2']!];
    expect(one.volumes).toContain('witness-1:/witness');
    expect(two.volumes).toContain('witness-2:/witness');
    for (const [name, { volumes: of = [] }] of Object.entries(services)) {
      const stores = of.filter((volume) => volume.endsWith(':/witness'));
      expect(stores).toEqual(name.startsWith('witness-') ? [`${name}:/witness`] : []);
    }
    // Of the service's files they see the public list of its logs, and no seed.
    expect([one, two].flatMap((of) => of.volumes!.filter((volume) => /data/.test(volume)))).toEqual(
      [],
    );
    expect([one.environment, two.environment, one.ports, two.ports]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('are both asked for, once both have told their keys; then the database has its log-ins', async () => {
    const { url, ownerUrl, drop } = await freshDatabase();
    const login = (user: string) => {
      const own = Object.assign(new URL(url), {
        username: user,
        password: 'a "quoted" \\ $1 word',
      });
      return own.href;
    };
    const [serviceUrl, eraserUrl] = [login('made_service'), login('made_eraser')];
    const folder = await mkdtemp(join(tmpdir(), 'neighborwatt-witnesses-'));
    const [WITNESSES, WITNESS_KEYS] = [join(folder, 'policy'), join(folder, 'keys')];
    await mkdir(WITNESS_KEYS);
    const script = projectPath('docker/run-service.sh');
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => name === 'PATH' || name === 'HOME'),
    );
    const running = run('/bin/sh', [script, 'sh', '-c', `cat ${WITNESSES}; env | grep DATABASE_`], {
      cwd: projectPath(''),
      env: {
        ...inherited,
        WITNESSES,
        WITNESS_KEYS,
        DATABASE_URL: serviceUrl,
        DATABASE_OWNER_URL: ownerUrl,
        DATABASE_ERASER_URL: eraserUrl,
      },
    });
    const keys = ['witness-1', 'witness-2'].map((name) => ({
      name,
      algorithm: ALGORITHM.cosignature,
      publicKey: verifierKeyOf({
        name,
        algorithm: ALGORITHM.cosignature,
        seed: new Uint8Array(32).fill(name.charCodeAt(8)),
      }).publicKey,
    }));
    for (const key of keys) {
      await writeFile(join(WITNESS_KEYS, key.name), `${formatVerifierKey(key)}\n`);
    }
    const { stdout } = await running;
    const has = stdout.split('\n').filter((line) => line.startsWith('DATABASE_'));
    expect(has).toEqual([`DATABASE_URL=${serviceUrl}`]);
    const [made] = /^witness[^]*quorum both$/m.exec(stdout)!;
    const policy = parsePolicy(`${made}\n`);
    expect(policy.witnesses).toEqual(
      keys.map((key) => ({ name: key.name, key, url: `http://${key.name}:7380` })),
    );
    expect(meetsQuorum(policy, ['witness-1'])).toBe(false);
    expect(meetsQuorum(policy, ['witness-1', 'witness-2'])).toBe(true);
    const service = await DatabaseService.open({ url: serviceUrl, poolSize: 1 });
    await expect(service.query('DELETE FROM transfer')).rejects.toThrow('permission denied');
    await expect(service.query('SET ROLE neighborwatt_eraser')).rejects.toThrow(
      'permission denied',
    );
    await service.close();
    const eraser = await DatabaseService.open({ url: eraserUrl, role: 'eraser', poolSize: 1 });
    await expect(eraser.query('DELETE FROM transfer')).rejects.toThrow('permission denied');
    await eraser.close();
    await drop();
    await rm(folder, { recursive: true });
  });
});

describe('the image', () => {
  const dockerfile = readProjectFile('Dockerfile');

  it('is built from pinned images, runs as an ordinary user and says whether it is well', () => {
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image!);
    expect(images.length).toBeGreaterThan(1);
    expect(images.filter((image) => !/^node:\d+\.\d+-bookworm-slim$/.test(image))).toEqual([]);
    expect(dockerfile.match(/^USER .+/gm)?.at(-1)).toBe('USER node');
    expect(dockerfile).toMatch(/^HEALTHCHECK /m);
    expect(dockerfile).not.toMatch(/^(ENV|ARG).*(PASSWORD|SECRET|TOKEN)/m);
  });

  it('is built from nothing but what it names', () => {
    const lines = readProjectFile('.dockerignore').split('\n');
    expect(lines.find((line) => line !== '' && !line.startsWith('#'))).toBe('*');
    expect(readProjectFile('.gitignore').split('\n')).toEqual(
      expect.arrayContaining(['.env', '/docker/access/']),
    );
  });
});

describe('make-env.mjs', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-env-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('makes every variable of the compose file, each time with new secrets, for its owner only', async () => {
    const wanted = [...text.matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name!);
    const [one, other] = [join(folder, 'one'), join(folder, 'other')];
    await Promise.all([one, other].map(async (dir) => makeEnv(dir)));
    const [made, again] = [await readEnv(one), await readEnv(other)];
    expect([...made.keys()].sort()).toEqual([...new Set([...wanted, 'COMPOSE_PROFILES'])].sort());
    for (const name of [
      'POSTGRES_PASSWORD',
      'DATABASE_SERVICE_PASSWORD',
      'DATABASE_ERASER_PASSWORD',
      'MQTT_PASSWORD',
      'METRICS_TOKEN',
    ]) {
      expect(made.get(name)).toMatch(/^[\w-]{43}$/);
      expect(made.get(name)).not.toBe(again.get(name));
    }
    for (const file of ['.env', 'docker/access/passwords', 'docker/access/acl']) {
      expect((await stat(join(one, file))).mode & 0o777).toBe(0o600);
    }
  });

  it('runs the street only in a demo', async () => {
    await makeEnv(folder);
    const made = await readEnv(folder);
    expect([made.get('MARKET_CLOCK'), made.get('COMPOSE_PROFILES')]).toEqual(['system', '']);
    await makeEnv(join(folder, 'demo'), '--demo');
    const demo = await readEnv(join(folder, 'demo'));
    expect([demo.get('MARKET_CLOCK'), demo.get('COMPOSE_PROFILES')]).toEqual(['simulated', 'demo']);
  });

  it('overwrites no secret that is in use', async () => {
    await makeEnv(folder);
    const before = await readFile(join(folder, '.env'), 'utf8');
    await expect(makeEnv(folder)).rejects.toMatchObject({
      stderr: expect.stringContaining('.env exists and stays as it is'),
    });
    expect(await readFile(join(folder, '.env'), 'utf8')).toBe(before);
  });
});

const describeWithMosquitto = hasProgram('mosquitto') ? describe : describe.skip;

describeWithMosquitto('the broker of the compose file', () => {
  let folder: string;
  let port: number;
  let broker: ChildProcess;
  let servicePassword: string;
  const clients: MqttClient[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-compose-'));
    await chmod(folder, 0o755);
    await makeEnv(folder);
    servicePassword = (await readEnv(folder)).get('MQTT_PASSWORD')!;
    for (const name of ['config', 'devices', 'data']) {
      await mkdir(join(folder, name));
      await chmod(join(folder, name), 0o777);
    }
    port = await freePort();
    const config = readProjectFile('docker/mosquitto.conf')
      .replace('listener 1883', `listener ${port} 127.0.0.1`)
      .replaceAll('/mosquitto/', `${folder}/`);
    await writeFile(join(folder, 'mosquitto.conf'), config);
    broker = spawn('/bin/sh', [projectPath('docker/run-mosquitto.sh')], {
      stdio: 'ignore',
      env: {
        ...process.env,
        SERVICE_ACCESS: join(folder, 'docker/access'),
        DEVICE_ACCESS: join(folder, 'devices'),
        MOSQUITTO_ACCESS: join(folder, 'config'),
        MOSQUITTO_CONFIG: join(folder, 'mosquitto.conf'),
      },
    });
    await untilTrue(() => connects('neighborwatt', servicePassword));
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  });

  afterAll(async () => {
    const ended = once(broker, 'exit');
    broker.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  it('lets in nobody without a user', async () => {
    expect(await connects(undefined, undefined)).toBe(false);
    expect(await connects('neighborwatt', 'a wrong one')).toBe(false);
    expect(await connects('m1', 'secret of m1')).toBe(false);
  });

  it('takes up a meter that is enrolled later, and lets it write its own readings only', async () => {
    const hash = await hashSecret('secret of m1', Buffer.from('a salt of m1'));
    await writeFile(join(folder, 'devices/passwords'), `m1:${hash}\n`, { mode: 0o600 });
    await untilTrue(() => connects('m1', 'secret of m1'));
    const service = await connect('neighborwatt', servicePassword);
    const heard: string[] = [];
    service.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    await service.subscribeAsync('microgrids/+/meters/+/readings', { qos: 1 });
    const meter = await connect('m1', 'secret of m1');
    meter.on('message', (topic) => heard.push(`${topic} overheard`));
    // Mosquitto grants the subscription, and delivers nothing that may not be read.
    await meter.subscribeAsync('microgrids/+/meters/+/readings', { qos: 1 });
    const forged = meter.publishAsync('microgrids/street/meters/m2/readings', 'forged', { qos: 1 });
    await expect(forged).rejects.toThrow('Not authorized');
    await meter.publishAsync('microgrids/street/meters/m1/readings', 'own', { qos: 1 });
    await meter.publishAsync('microgrids/street/meters/m1/readings', 'next', { qos: 1 });
    await untilTrue(async () => heard.length >= 2);
    expect(heard).toEqual([
      'microgrids/street/meters/m1/readings own',
      'microgrids/street/meters/m1/readings next',
    ]);
  });

  async function connect(username?: string, password?: string): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      connectTimeout: 5_000,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
    clients.push(client);
    return client;
  }

  function connects(username?: string, password?: string): Promise<boolean> {
    return connect(username, password).then(
      () => true,
      () => false,
    );
  }
});

async function makeEnv(folder: string, ...args: string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run(process.execPath, [projectPath('scripts/make-env.mjs'), '--dir', folder, ...args]);
}

async function readEnv(folder: string): Promise<Map<string, string>> {
  const lines = (await readFile(join(folder, '.env'), 'utf8')).split('\n');
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('nothing came of it in 20 s');
    await sleep(100);
  }
}
