/**
 * Registers that come in parts, one topic each: phases of a meter, tariffs of a telegram. Their sum
 * is the register, once every part is known.
 */

interface Part {
  value: bigint;
  at: number;
  /** Not yet in a sum that was given. */
  isNew: boolean;
}

/**
 * `round`: devices that send all parts together; a sum needs all of them anew, so that none mixes two
 * moments. `latest`: devices that send what changed; a part that did not come again did not change.
 */
export type Gathering = 'round' | 'latest';

export class Parts {
  private readonly parts = new Map<string, Part>();
  private givenAt = -Infinity;

  constructor(
    private readonly names: readonly string[],
    private readonly gathering: Gathering,
  ) {}

  /** @returns the sum, or null while it waits for other parts */
  add(name: string, value: bigint, atMillis: number): bigint | null {
    this.parts.set(name, { value, at: atMillis, isNew: true });
    const parts = this.names.map((one) => this.parts.get(one));
    if (!parts.every((part) => part !== undefined)) return null;
    if (this.gathering === 'round' && !this.isRound(parts, atMillis)) return null;
    for (const part of parts) part.isNew = false;
    this.givenAt = atMillis;
    return parts.reduce((sum, { value: one }) => sum + one, 0n);
  }

  /** A new round begins: what came before is not summed with what comes now. */
  begin(): void {
    for (const part of this.parts.values()) part.isNew = false;
  }

  private isRound(parts: readonly Part[], atMillis: number): boolean {
    const isTogether = parts.every(({ isNew, at }) => isNew && atMillis - at <= TOGETHER_MILLIS);
    // A device that spreads its parts further apart is not left without a sum for ever.
    const isOverdue = atMillis - this.givenAt > OVERDUE_MILLIS && this.givenAt !== -Infinity;
    return isTogether || (isOverdue && parts.every(({ isNew }) => isNew));
  }
}

const TOGETHER_MILLIS = 20_000;
const OVERDUE_MILLIS = 120_000;
