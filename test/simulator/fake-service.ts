import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
} from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import { Server as SocketServer } from 'socket.io';

/**
 * A service that behaves as far as devices can see: it enrols, keeps a clock that only moves forward,
 * acknowledges a reading a moment after taking it, and settles when the clock passes a slot. It
 * notes everything in the order in which it happened, and keeps it over `restart`.
 */
export class FakeService {
  readonly notes: Note[] = [];
  /** Programs founded, joined and run. */
  readonly rewards: { path: string; body: Record<string, unknown> }[] = [];
  readonly enrolled: { path: string; body: Record<string, unknown> }[] = [];
  readonly limits = new Map<string, unknown>();
  logIns = 0;
  #clock = 0;
  #closedThrough: number | null = null;
  #activeFrom = Infinity;
  #households: string[] = [];
  #secrets = new Map<string, string>();
  #people = new Map<string, { password: string; household: string | null }>([
    ['operator', { password: 'operator-secret', household: null }],
    ['simulator', { password: 'simulator-secret', household: null }],
  ]);
  #tokens = new Map<string, string | null>();
  #http: Server | null = null;
  #tcp: TcpServer | null = null;
  #sockets: SocketServer | null = null;
  #broker: Aedes | null = null;

  constructor(
    private readonly dataDir: string,
    private readonly clock: 'system' | 'simulated' = 'simulated',
  ) {}

  get httpPort(): number {
    return (this.#http!.address() as AddressInfo).port;
  }

  get mqttPort(): number {
    return (this.#tcp!.address() as AddressInfo).port;
  }

  /** Readings that it took, each with what the meter said. */
  get readings(): ReadingNote[] {
    return this.notes.filter((note) => note.kind === 'reading');
  }

  async start(): Promise<void> {
    this.#http = createHttpServer((request, response) => {
      void this.#answer(request).then(([status, body]) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(body === undefined ? '' : JSON.stringify(body));
      });
    });
    this.#listenOnSockets();
    await new Promise<void>((resolve) => this.#http!.listen(0, '127.0.0.1', resolve));
    await this.#startBroker();
    await writeFile(
      join(this.dataDir, 'service.json'),
      JSON.stringify({ httpPort: this.httpPort, mqttPort: this.mqttPort, pid: process.pid }),
    );
    await writeFile(
      join(this.dataDir, 'bootstrap-logins.json'),
      JSON.stringify({
        operator: { user: 'operator', password: 'operator-secret' },
        simulator: { user: 'simulator', password: 'simulator-secret' },
      }),
    );
  }

  async stop(): Promise<void> {
    await this.#sockets?.close();
    this.#http?.closeAllConnections();
    this.#http?.close();
    await new Promise<void>((resolve) => this.#broker!.close(() => resolve()));
    await new Promise<void>((resolve) => this.#tcp!.close(() => resolve()));
  }

  /** Away for a moment, then back on other ports; everybody's tokens are void. */
  async restart(): Promise<void> {
    await this.stop();
    this.#tokens.clear();
    await sleep(200);
    await this.start();
  }

  async #answer(request: IncomingMessage): Promise<[number, unknown]> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const path = request.url!;
    if (path === '/v1/sessions') return this.#logIn(body);
    const token = (request.headers.authorization ?? '').replace('Bearer ', '');
    if (!this.#tokens.has(token)) return [401, { code: 'unauthenticated', detail: 'Log in.' }];
    if (path === '/v1/operator/clock') return this.#moveClock(Date.parse(String(body['now'])));
    if (path === '/v1/operator/people') return this.#addPerson(body);
    if (path.endsWith('/programs') || path.endsWith('/runs')) {
      this.rewards.push({ path, body });
      return [201, { households: this.#households.length }];
    }
    if (path.endsWith('/members')) return this.#enrol(path, body);
    if (path === '/v1/operator/microgrids') {
      this.enrolled.push({ path, body });
      return [201, {}];
    }
    if (path.endsWith('/limits')) {
      // A grant begins with its household, which joins at the next border unless it says otherwise.
      const joinsNow = this.clock === 'simulated' || this.#activeFrom <= Date.now();
      if (!joinsNow) return [403, { code: 'forbidden', detail: 'Your grants do not allow this.' }];
      this.limits.set(path.split('/')[3]!, body);
      return [200, body];
    }
    const closedThrough = this.#closedThrough === null ? null : iso(this.#closedThrough);
    const now = this.clock === 'system' ? Date.now() : this.#clock;
    return [200, { now: iso(now), clock: this.clock, closedThrough }];
  }

  #logIn(body: Record<string, unknown>): [number, unknown] {
    const unknown = Object.keys(body).find((key) => key !== 'user' && key !== 'password');
    if (unknown) return [400, { code: 'invalid_request', detail: `Unrecognized key: ${unknown}` }];
    const person = this.#people.get(String(body['user']));
    if (person?.password !== body['password']) return [401, { code: 'wrong_credentials' }];
    this.logIns += 1;
    const token = randomUUID();
    this.#tokens.set(token, person!.household);
    const expiresAt = iso(Date.now() + 900_000);
    return [201, { token, refreshToken: randomUUID(), expiresAt }];
  }

  #addPerson(body: Record<string, unknown>): [number, unknown] {
    const [grant] = body['grants'] as { household?: string }[];
    const household = grant?.household ?? null;
    this.#people.set(String(body['person']), { password: String(body['password']), household });
    return [201, {}];
  }

  #enrol(path: string, body: Record<string, unknown>): [number, unknown] {
    this.enrolled.push({ path, body });
    const members = body['members'] as Member[];
    this.#activeFrom = Date.parse(members[0]?.activeFrom ?? '9999-01-01T00:00:00Z');
    const gateways = (body['gateways'] ?? []) as { gateway: string }[];
    this.#households.push(...members.map(({ household }) => household));
    const names = [
      ...gateways.map(({ gateway }) => gateway),
      ...members.flatMap(({ meters }) => meters.map(({ meter }) => meter)),
    ];
    const items = names.map((username) => ({ username, kind: 'meter', secret: randomUUID() }));
    for (const { username, secret } of items) this.#secrets.set(username, secret);
    return [201, { items }];
  }

  #moveClock(to: number): [number, unknown] {
    if (to < this.#clock)
      return [409, { code: 'clock_backwards', detail: 'The clock stands later.' }];
    const slot = 900_000;
    const before = Math.floor(this.#clock / slot);
    this.#clock = to;
    this.notes.push({ kind: 'clock', at: to });
    if (before > 0 && Math.floor(to / slot) > before) {
      this.#closedThrough = Math.floor(to / slot) * slot;
      this.#settle(this.#closedThrough - slot);
    }
    const closed = this.#closedThrough;
    return [200, { now: iso(to), closedThrough: closed === null ? null : iso(closed) }];
  }

  /** Everybody sold a little to the grid. */
  #settle(slotStart: number): void {
    const energy = { toNeighborsWh: 0, toGridWh: 50, fromNeighborsWh: 0, fromGridWh: 0 };
    for (const household of this.#households) {
      const event = { household, slot: iso(slotStart), revision: 0, ...energy };
      const frame = [{ type: 'settlement', sequence: slotStart / 1000, ...event }];
      this.#sockets?.of('/feed').to(household).emit('feed', frame);
    }
  }

  #listenOnSockets(): void {
    this.#sockets = new SocketServer(this.#http!, { transports: ['websocket'] });
    const householdOf = (handshake: { auth: Record<string, unknown> }) =>
      this.#tokens.get(String(handshake.auth['token']));
    const feed = this.#sockets.of('/feed');
    feed.use(({ handshake }, next) => {
      if (householdOf(handshake)) return next();
      next(Object.assign(new Error('Log in.'), { data: { code: 'unauthorized' } }));
    });
    feed.on('connection', (socket) => {
      const household = householdOf(socket.handshake)!;
      socket.on('subscribe', (_message: unknown, reply: (answer: unknown) => void) => {
        void socket.join(household);
        reply({ ok: true, sequence: 0, rooms: [] });
      });
    });
  }

  async #startBroker(): Promise<void> {
    const broker = await Aedes.createBroker();
    this.#broker = broker;
    const users = new WeakMap<object, string>();
    broker.authenticate = (client, username, password, done) => {
      const known = this.#secrets.get(username ?? '');
      if (username) users.set(client, username);
      done(null, known !== undefined && known === password?.toString());
    };
    broker.authorizePublish = (client, packet, done) => {
      const { readAt, ...registers } = JSON.parse(packet.payload.toString()) as {
        readAt: string;
        importWh: number;
        exportWh: number;
      };
      // Committed a moment later, and only then acknowledged.
      setTimeout(() => {
        const username = users.get(client!)!;
        const at = Date.parse(readAt);
        this.notes.push({ kind: 'reading', at, username, topic: packet.topic, ...registers });
        done(null);
      }, 3);
    };
    this.#tcp = createTcpServer((socket) => {
      broker.handle(socket);
    });
    await new Promise<void>((resolve) => this.#tcp!.listen(0, '127.0.0.1', resolve));
  }
}

interface Member {
  household: string;
  activeFrom?: string;
  meters: { meter: string }[];
}

export interface ReadingNote {
  kind: 'reading';
  at: number;
  username: string;
  topic: string;
  importWh: number;
  exportWh: number;
}

export type Note = { kind: 'clock'; at: number } | ReadingNote;

function iso(epochMillis: number): string {
  return new Date(epochMillis).toISOString().replace('.000Z', 'Z');
}
