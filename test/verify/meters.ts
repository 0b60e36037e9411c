import { MICRO_WH_PER_WH, formatRegisterWh } from '../../src/units/energy.js';
import { Signer } from '../support/signing.js';
import type { Rooms } from './rooms.js';

/** The meters of a microgrid: they add up what flows and say it over the intake. */
export class Meters {
  private readonly registers = new Map<string, { importMicroWh: bigint; exportMicroWh: bigint }>();

  private readonly signers = new Map<string, { signer: Signer; counter: number }>();

  constructor(
    private readonly rooms: Pick<Rooms, 'metering'>,
    private readonly microgrid: string,
  ) {}

  /** What flowed since the last time, in Wh. */
  flow(meter: string, importWh: number, exportWh = 0): void {
    const register = this.of(meter);
    register.importMicroWh += microWh(importWh);
    register.exportMicroWh += microWh(exportWh);
  }

  /** Publishes the registers; a generation meter only what it generated. */
  async read(meter: string, readAt: string, powerW?: number): Promise<void> {
    await this.publish(meter, this.say(meter, readAt, powerW));
  }

  /** The payload of a reading. */
  say(meter: string, readAt: string, powerW?: number): string {
    const { importMicroWh, exportMicroWh } = this.of(meter);
    const power = powerW === undefined ? '' : `,"powerW":${powerW}`;
    const exported = `"exportWh":${formatRegisterWh(exportMicroWh)}`;
    const both = meter.endsWith('-pv')
      ? exported
      : `"importWh":${formatRegisterWh(importMicroWh)},${exported}`;
    return `{"readAt":"${readAt}",${both}${power}}`;
  }

  /** From now on the meter signs, with another key than before. @returns its public key */
  signs(meter: string, seed: number): string {
    const signer = new Signer(seed);
    this.signers.set(meter, { signer, counter: 0 });
    return signer.publicKey;
  }

  /** Another meter, which shows as much on both registers. @returns what the old one showed last */
  replace(meter: string, showsWh: number): { importWh: string; exportWh: string } {
    const { importMicroWh, exportMicroWh } = this.of(meter);
    const shows = microWh(showsWh);
    this.registers.set(meter, { importMicroWh: shows, exportMicroWh: shows });
    return {
      importWh: formatRegisterWh(importMicroWh),
      exportWh: formatRegisterWh(exportMicroWh),
    };
  }

  async publish(meter: string, payload: string): Promise<void> {
    await this.rooms.metering.intake({
      topic: `microgrids/${this.microgrid}/meters/${meter}/readings`,
      payload: Buffer.from(this.signed(meter, payload)),
      retained: false,
    });
  }

  private signed(meter: string, payload: string): string {
    const own = this.signers.get(meter);
    if (!own) return payload;
    own.counter += 1;
    return own.signer.reading(JSON.parse(payload) as object, own.counter);
  }

  private of(meter: string): { importMicroWh: bigint; exportMicroWh: bigint } {
    let register = this.registers.get(meter);
    if (!register) {
      register = { importMicroWh: 1_000n * MICRO_WH_PER_WH, exportMicroWh: 0n };
      this.registers.set(meter, register);
    }
    return register;
  }
}

function microWh(energyWh: number): bigint {
  return BigInt(Math.round(energyWh * 1_000_000));
}
