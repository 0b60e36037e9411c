import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/**
 * A WebSocket client by hand, so that it can stop reading as a hung device does: nothing is taken
 * from the connection any more, not even by the operating system once its buffers are full.
 */
export async function connectRaw(url: string, token: string): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const client = new RawClient(socket);
  socket.write(
    [
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
      `Host: ${hostname}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      '\r\n',
    ].join('\r\n'),
  );
  await client.received('"sid"');
  client.write(`40/feed,${JSON.stringify({ token })}`);
  await client.received('40/feed,');
  return client;
}

export class RawClient {
  private text = '';

  constructor(private readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    socket.on('error', () => undefined);
  }

  async received(text: string): Promise<void> {
    const end = Date.now() + 5_000;
    while (!this.text.includes(text)) {
      if (Date.now() > end) throw new Error(`waited in vain for ${text}: ${this.text.slice(-200)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** One text frame, masked as RFC 6455 5.3 wants it from clients; the mask is zero. */
  write(text: string): void {
    const payload = Buffer.from(text);
    const long = payload.length > 125;
    const header = Buffer.alloc(long ? 8 : 6);
    header[0] = 0x81;
    header[1] = 0x80 | (long ? 126 : payload.length);
    if (long) header.writeUInt16BE(payload.length, 2);
    this.socket.write(Buffer.concat([header, payload]));
  }

  freeze(): void {
    this.socket.pause();
  }

  destroy(): void {
    this.socket.destroy();
  }
}
