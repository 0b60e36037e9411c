import type { Client } from 'aedes';
import type { BrokerRefusal } from './limits.js';

/**
 * Stands before the parser of a connection: refuses a packet by its announced length, before its
 * bytes are collected, and ends the connection at whatever the parser cannot take.
 */
export function guardPackets(
  client: Client,
  mostBytes: number,
  refuse: (reason: BrokerRefusal) => void,
): void {
  const { _parser: parser } = client as unknown as { _parser: PacketParser };
  const { parse, _parseLength: parseLength } = parser;
  let tooLarge = false;
  parser._parseLength = function limited(this: PacketParser): boolean {
    const complete = parseLength.call(this);
    if (complete && this.packet.length > mostBytes) {
      tooLarge = true;
      refuse('too_large');
      client.conn.destroy(new Error(`a packet of ${this.packet.length} bytes is too large`));
      // Parsing stops here: the bytes that follow belong to the refused packet.
      return false;
    }
    return complete;
  };
  parser.on('error', () => {
    if (!tooLarge) refuse('malformed_packet');
  });
  // Some malformed packets are thrown rather than emitted, and would end the process.
  parser.parse = function guarded(this: PacketParser, bytes: Buffer): number {
    try {
      return parse.call(this, bytes);
    } catch (error) {
      refuse('malformed_packet');
      client.conn.destroy(error instanceof Error ? error : new Error('a malformed packet'));
      return 0;
    }
  };
}

interface PacketParser {
  readonly packet: { readonly length: number };
  _parseLength(): boolean;
  parse(bytes: Buffer): number;
  on(event: 'error', listener: (error: Error) => void): void;
}
