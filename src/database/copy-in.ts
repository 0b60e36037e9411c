import type { Duplex } from 'node:stream';
import type pg from 'pg';

/** Rows for one table. */
export interface Copy {
  /** `COPY table (columns) FROM STDIN (FORMAT binary)` */
  readonly text: string;
  /** As `CopyRows` writes them. */
  readonly rows: Uint8Array;
}

/**
 * Several COPY statements in one round trip, by the hooks that `pg` calls on a query. The data is sent
 * behind the statements without waiting to be asked for: the server takes it in its turn, and after an
 * error passes over what is left (PostgreSQL, "COPY Operations" of the message flow).
 */
export class CopyIn implements pg.Submittable {
  readonly done: Promise<void>;
  private settle!: (error?: Error) => void;

  constructor(private readonly copies: readonly Copy[]) {
    this.done = new Promise((resolve, reject) => {
      this.settle = (error) => (error ? reject(error) : resolve());
    });
  }

  submit(connection: pg.Connection): void {
    const wire = connection as pg.Connection & CopyConnection;
    const { stream } = wire;
    // In one write; and past the serialiser of `pg`, which would copy the rows, and from then on
    // allocate as much for every message of any connection.
    stream.cork();
    wire.query(this.copies.map(({ text }) => text).join(';'));
    for (const { rows } of this.copies) {
      for (let at = 0; at < rows.length; at += CHUNK_BYTES) {
        const chunk = rows.subarray(at, at + CHUNK_BYTES);
        stream.write(copyDataHeader(chunk.length));
        stream.write(chunk);
      }
      wire.endCopyFrom();
    }
    stream.uncork();
  }

  handleCopyInResponse(): void {}

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.settle();
  }

  handleError(error: Error): void {
    this.settle(error);
  }
}

/** Of a CopyData message: its type, and its length with that of itself. */
function copyDataHeader(bytes: number): Buffer {
  const header = Buffer.allocUnsafe(5);
  header.write('d', 'latin1');
  header.writeInt32BE(bytes + 4, 1);
  return header;
}

/** The server holds a message in memory as a whole. */
const CHUNK_BYTES = 1 << 20;

interface CopyConnection {
  readonly stream: Duplex;
  endCopyFrom(): void;
}
