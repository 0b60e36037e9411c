import { readAddresses } from './service.process.js';

/**
 * Where the service is to be reached: the addresses given, or else the ports that it wrote into its
 * data folder at its last start, looked up again while it cannot be reached.
 */
export class ServiceWhereabouts {
  #http: string;
  #mqtt: string;
  #timer: NodeJS.Timeout;

  constructor(private readonly given: { dataDir: string; url?: string; mqttUrl?: string }) {
    this.#http = given.url ?? 'http://127.0.0.1:3000';
    this.#mqtt = given.mqttUrl ?? 'mqtt://127.0.0.1:1883';
    // Sockets and MQTT reconnect on their own: they find the new ports here.
    this.#timer = setInterval(() => void this.look(), 1_000);
    this.#timer.unref();
  }

  readonly httpUrl = (): string => this.#http;
  readonly mqttUrl = (): string => this.#mqtt;

  async look(): Promise<void> {
    if (this.given.url !== undefined && this.given.mqttUrl !== undefined) return;
    const addresses = await readAddresses(this.given.dataDir);
    if (!addresses) return;
    if (this.given.url === undefined) this.#http = `http://127.0.0.1:${addresses.httpPort}`;
    if (this.given.mqttUrl === undefined && addresses.mqttPort) {
      this.#mqtt = `mqtt://127.0.0.1:${addresses.mqttPort}`;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
