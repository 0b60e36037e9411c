import { parseInstant, type Instant } from '../units/slot.js';

/**
 * Rows in PostgreSQL's binary COPY format: a signature, then each row as its number of fields and
 * each field behind its length, minus one for null. Neither side has to write or read numbers, bytes
 * and instants as text.
 */
export class CopyRows {
  private bytes = Buffer.allocUnsafe(1 << 16);
  private length = 0;

  /** @param fields a row */
  constructor(private readonly fields: number) {
    this.length = SIGNATURE.copy(this.bytes);
  }

  /** Begins a row; its fields follow in the order of the statement's columns. */
  row(): this {
    this.reserve(2);
    this.length = this.bytes.writeInt16BE(this.fields, this.length);
    return this;
  }

  text(value: string | null): this {
    if (value === null) return this.null();
    this.reserve(4 + 3 * value.length);
    const written =
      value.length > MAX_SHORT
        ? this.bytes.write(value, this.length + 4, 'utf8')
        : this.short(value, this.length + 4);
    this.length = this.bytes.writeInt32BE(written, this.length) + written;
    return this;
  }

  bytea(value: Uint8Array): this {
    this.reserve(4 + value.length);
    this.length = this.bytes.writeInt32BE(value.length, this.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
    return this;
  }

  /** A bytea given as the text whose characters are its bytes. */
  latin1(value: string): this {
    this.reserve(4 + value.length);
    const { bytes } = this;
    let at = bytes.writeInt32BE(value.length, this.length);
    for (let index = 0; index < value.length; index += 1) bytes[at++] = value.charCodeAt(index);
    this.length = at;
    return this;
  }

  int2(value: number): this {
    this.reserve(6);
    this.length = this.bytes.writeInt32BE(2, this.length);
    this.length = this.bytes.writeInt16BE(value, this.length);
    return this;
  }

  int4(value: number | null): this {
    if (value === null) return this.null();
    this.reserve(8);
    this.length = this.bytes.writeInt32BE(4, this.length);
    this.length = this.bytes.writeInt32BE(value, this.length);
    return this;
  }

  /** @param value a safe integer */
  int8(value: number): this {
    this.reserve(12);
    this.length = this.bytes.writeInt32BE(8, this.length);
    this.length = this.bytes.writeInt32BE(Math.floor(value / 2 ** 32), this.length);
    this.length = this.bytes.writeUInt32BE(value >>> 0, this.length);
    return this;
  }

  /** Microseconds since 2000. */
  timestamptz(value: Instant): this {
    return this.epochMillis(parseInstant(value));
  }

  /** A timestamptz. */
  epochMillis(value: number): this {
    return this.int8(1_000 * (value - EPOCH_2000_MILLIS));
  }

  /**
   * A numeric with six decimals: five digits to the base 10,000, of which the last two are the fraction.
   * @param millionths 0 to 10^18 - 1
   */
  numeric6(millionths: bigint): this {
    const safe = Number(millionths);
    const isSafe = safe <= Number.MAX_SAFE_INTEGER;
    const fraction = isSafe ? safe % 1e6 : Number(millionths % 1_000_000n);
    const whole = isSafe ? (safe - fraction) / 1e6 : Number(millionths / 1_000_000n);
    this.reserve(22);
    const { bytes } = this;
    let at = bytes.writeInt32BE(18, this.length);
    for (const field of [5, 2, 0, 6]) at = bytes.writeInt16BE(field, at);
    at = bytes.writeInt16BE(Math.floor(whole / 1e8), at);
    at = bytes.writeInt16BE(Math.floor(whole / 1e4) % 1e4, at);
    at = bytes.writeInt16BE(whole % 1e4, at);
    at = bytes.writeInt16BE(Math.floor(fraction / 100), at);
    this.length = bytes.writeInt16BE(100 * (fraction % 100), at);
    return this;
  }

  get isEmpty(): boolean {
    return this.length === SIGNATURE.length;
  }

  /** The whole, with its end. */
  end(): Uint8Array {
    this.reserve(2);
    this.length = this.bytes.writeInt16BE(-1, this.length);
    return this.bytes.subarray(0, this.length);
  }

  /** An id is written sooner than the engine is asked to write it. @returns its bytes */
  private short(value: string, at: number): number {
    const { bytes } = this;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code > LAST_ASCII) return bytes.write(value, at, 'utf8');
      bytes[at + index] = code;
    }
    return value.length;
  }

  private null(): this {
    this.reserve(4);
    this.length = this.bytes.writeInt32BE(-1, this.length);
    return this;
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.length + bytes));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

/** `PGCOPY\n\377\r\n\0`, no flags, no extension. */
const SIGNATURE = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');

/** Characters up to which a loop is faster than a call. */
const MAX_SHORT = 32;
const LAST_ASCII = 0x7f;

const EPOCH_2000_MILLIS = Date.UTC(2000, 0, 1);
