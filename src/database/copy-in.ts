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
    wire.query(this.copies.map(({ text }) => text).join(';'));
    for (const { rows } of this.copies) {
      for (let at = 0; at < rows.length; at += CHUNK_BYTES) {
        wire.sendCopyFromChunk(rows.subarray(at, at + CHUNK_BYTES));
      }
      wire.endCopyFrom();
    }
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

/** The serialiser of `pg` keeps a buffer as long as the longest message. */
const CHUNK_BYTES = 1 << 17;

interface CopyConnection {
  sendCopyFromChunk(rows: Uint8Array): void;
  endCopyFrom(): void;
}
