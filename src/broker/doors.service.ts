import { readFileSync } from 'node:fs';
import { createServer as createPlain, type Server, type Socket } from 'node:net';
import {
  createServer as createTls,
  type Server as TlsServer,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import { Logger } from '@nestjs/common';
import type { Settings } from '../config.js';
import { BrokerProblem } from './broker-link.js';
import { Addresses, type Tally } from './limits.js';

export type DoorSettings = Pick<
  Settings,
  | 'mqttHost'
  | 'mqttPort'
  | 'mqttTlsHost'
  | 'mqttTlsPort'
  | 'mqttTlsCert'
  | 'mqttTlsKey'
  | 'mqttTlsCa'
  | 'mqttTlsCrl'
  | 'mqttMaxConnections'
  | 'mqttMaxConnectionsPerAddress'
>;

/** A connection that may log in. */
export interface Visitor {
  socket: Socket;
  /** The CN of its certificate, where the door asks for one; null elsewhere. */
  certified: string | null;
  /** It has logged in, and is no longer counted among those who wait. */
  admit(): void;
}

/**
 * The listeners of the embedded broker, a plain one and one with TLS, and how many connections each
 * address may have and keep waiting.
 */
export class Doors {
  private readonly log = new Logger('Broker');
  private readonly addresses: Addresses;
  private readonly visitors = new Map<string, { socket: Socket; waiting: boolean }>();
  private plain: Server | undefined;
  private tls: TlsServer | undefined;
  private renewal: NodeJS.Timeout | undefined;
  private certificates = '';
  private unusable = '';

  constructor(
    private readonly settings: DoorSettings,
    private readonly tally: Tally,
    private readonly welcome: (visitor: Visitor) => void,
  ) {
    this.addresses = new Addresses(settings.mqttMaxConnectionsPerAddress, MAX_WAITING);
  }

  /** @throws BrokerProblem when a port or a certificate cannot be used */
  async open(): Promise<void> {
    const { mqttHost, mqttPort, mqttTlsHost, mqttTlsPort } = this.settings;
    const plain = createPlain(SOCKETS, (socket) => {
      this.count(socket);
      this.greet(socket, null);
    });
    this.plain = plain;
    await this.listen(plain, mqttHost, mqttPort, 'MQTT_PORT');
    if (mqttTlsPort === undefined) return;
    const tls = createTls({ ...SOCKETS, ...this.tlsOptions() }, (socket) => this.greetTls(socket));
    tls.on('connection', (socket) => this.count(socket));
    tls.on('tlsClientError', (error, socket) => {
      this.log.debug(`TLS: ${error.message}`);
      this.tally.add('bad_certificate');
      socket.destroy();
    });
    this.tls = tls;
    await this.listen(tls, mqttTlsHost, mqttTlsPort, 'MQTT_TLS_PORT');
    this.renewal = setInterval(() => this.renew(), RENEWAL_MILLIS).unref();
  }

  get port(): number {
    return portOf(this.plain);
  }

  get tlsPort(): number {
    return portOf(this.tls);
  }

  isOpen(): boolean {
    return this.plain?.listening === true;
  }

  /** Nobody comes in any more. */
  close(): void {
    clearInterval(this.renewal);
    this.plain?.close();
    this.tls?.close();
  }

  /** Also those that had not logged in. */
  clear(): void {
    for (const { socket } of this.visitors.values()) socket.destroy();
  }

  /** Counts a connection before a byte of it is read, and before its TLS begins. */
  private count(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const refusal = this.addresses.enter(address);
    if (refusal) {
      this.tally.add(refusal);
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    const visitor = { socket, waiting: true };
    this.visitors.set(peer, visitor);
    socket.once('close', () => {
      this.visitors.delete(peer);
      this.addresses.leave(address, visitor.waiting);
    });
  }

  private greetTls(socket: TLSSocket): void {
    if (this.settings.mqttTlsCa === undefined) {
      this.greet(socket, null);
      return;
    }
    const name: unknown = socket.getPeerCertificate().subject?.CN;
    if (socket.authorized && typeof name === 'string') {
      this.greet(socket, name);
      return;
    }
    this.tally.add('bad_certificate');
    socket.destroy();
  }

  private greet(socket: Socket, certified: string | null): void {
    const address = socket.remoteAddress ?? '';
    const peer = peerOf(socket);
    const admit = (): void => {
      const visitor = this.visitors.get(peer);
      if (!visitor?.waiting) return;
      visitor.waiting = false;
      this.addresses.admit(address);
    };
    if (!socket.destroyed) this.welcome({ socket, certified, admit });
  }

  private async listen(server: Server, host: string, port: number, name: string): Promise<void> {
    server.maxConnections = this.settings.mqttMaxConnections;
    server.on('drop', () => this.tally.add('too_many_connections'));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new BrokerProblem(whyNot(error, host, port, name)));
      });
      server.listen({ host, port, exclusive: true }, resolve);
    });
    server.on('error', (error) => this.log.error(error.message));
    this.log.log(
      `MQTT broker listens on ${host}:${portOf(server)}${server === this.tls ? ' with TLS' : ''}`,
    );
  }

  /** Reads the files anew: certificates are renewed while the service runs. */
  private tlsOptions(): TlsOptions {
    const { mqttTlsCert, mqttTlsKey, mqttTlsCa, mqttTlsCrl } = this.settings;
    const [cert, key, ca, crl] = [mqttTlsCert, mqttTlsKey, mqttTlsCa, mqttTlsCrl].map(readPem);
    this.certificates = [cert, key, ca, crl].join('\n');
    return {
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MILLIS,
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(crl === undefined ? {} : { crl }),
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
    };
  }

  private renew(): void {
    const before = this.certificates;
    try {
      const options = this.tlsOptions();
      if (this.certificates !== before) this.tls?.setSecureContext(options);
      this.unusable = '';
    } catch (error) {
      this.certificates = before;
      const why = messageOf(error);
      // Several files change one after the other; what stays wrong is said once.
      if (why === this.unusable) return;
      this.unusable = why;
      this.log.error(`Renewed certificates cannot be used; the old ones stay: ${why}`);
    }
  }
}

function readPem(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const what = `${path}, for TLS of the MQTT broker, cannot be read (${messageOf(error)})`;
    throw new BrokerProblem(`${what}: set MQTT_TLS_CERT and MQTT_TLS_KEY to PEM files.`);
  }
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** The same for a socket and the TLS in it. */
function peerOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}

function whyNot(error: NodeJS.ErrnoException, host: string, port: number, name: string): string {
  if (error.code === 'EADDRINUSE') {
    const also = name === 'MQTT_PORT' ? ', or MQTT_URL to use the broker that is there' : '';
    return `Port ${port} on ${host}, for MQTT, is in use by another program: set ${name} to a free port${also}.`;
  }
  if (error.code === 'EACCES') {
    return `Port ${port}, for MQTT, may not be opened by this user: set ${name} to one above 1023.`;
  }
  const settings = `${name.replace('PORT', 'HOST')} and ${name}`;
  return `The MQTT broker cannot listen on ${host}:${port} (${error.message}): set ${settings}.`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Small reads: what one connection has sent and not yet had acknowledged is held in memory. A peer
// that has vanished is noticed within some minutes.
const SOCKETS = {
  highWaterMark: 16_384,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
  noDelay: true,
};

/** Connections of one address that have not logged in: a whole street behind one may come at once. */
const MAX_WAITING = 2_000;
const HANDSHAKE_MILLIS = 10_000;
/** How soon a renewed certificate is shown, and one in the list of revoked ones refused. */
const RENEWAL_MILLIS = 3_000;
