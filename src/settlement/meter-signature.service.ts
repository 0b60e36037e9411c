import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGES, type ReceiptMessage } from '../ledger/receipt.js';
import type { StoredRecord } from '../ledger/record.js';
import { MeteringService } from '../metering/metering.service.js';
import { messageFault, readingsSaid, type MeterMessage } from '../metering/vouched-reading.js';
import type { Period } from '../parties/access.js';
import { MeterKeyService } from '../parties/meter-key.service.js';
import type { Json } from '../units/canonical-json.js';
import { parseInstant } from '../units/slot.js';
import { keyRecordOf, signerOf, type KeyRecord } from './meter-signers.js';
import { namesOf } from './receipt-borders.js';
import { isSettlement, settlementOf } from './receipt-facts.js';

/** What meters have signed of a settlement's readings, and the records that registered their keys. */
export interface SignedReadings {
  readonly keys: readonly number[];
  readonly messages: readonly ReceiptMessage[];
}

/**
 * Finds the messages behind a settlement, each with the key that it was signed with. What does not
 * hold, or would tell of another tenancy, is left out: the reading then stands there by its hash alone.
 */
@Injectable()
export class MeterSignatureService {
  constructor(
    private readonly metering: MeteringService,
    private readonly meterKeys: MeterKeyService,
    private readonly ledger: LedgerService,
  ) {}

  /** @param tenancy whose readings may be shown @returns null where there is nothing to show */
  async behind(sql: Sql, record: StoredRecord, tenancy: Period): Promise<SignedReadings | null> {
    const { microgridId } = record;
    const settlement = isSettlement(shownOf(record)) ? settlementOf(shownOf(record)) : null;
    if (!settlement) return null;
    const { registers, slot, slotEnd } = settlement;
    const sent = await this.metering.signedMessages(
      sql,
      microgridId,
      registers.map((one) => ({
        meterId: one.meter,
        register: one.register,
        hashes: namesOf(one),
      })),
      [slot, slotEnd],
    );
    if (sent.length === 0) return null;
    const meters = [...new Set(sent.map(({ meterId }) => meterId))];
    const causes = await this.meterKeys.causes(sql, microgridId, meters);
    const records = await this.ledger.recordsOfCauses(sql, microgridId, causes);
    const known = records
      .filter(({ sequence }) => sequence < record.sequence)
      .flatMap((one) => keyRecordOf(shownOf(one)) ?? [])
      .reverse();
    const named = new Set(registers.flatMap(namesOf));
    const messages: ReceiptMessage[] = [];
    let length = 0;
    for (const { meterId: meter, bytes } of sent) {
      length += bytes.length;
      if (messages.length === MAX_MESSAGES || length > MAX_MESSAGE_BYTES) break;
      const own = known.filter((key) => key.meter === meter);
      const signed = signedWith({ meter, bytes }, own, named, tenancy);
      if (signed) messages.push({ meter, bytes: bytes.toString('base64'), ...signed });
    }
    if (messages.length === 0) return null;
    const keys = messages.flatMap(({ key, device }) => [key, ...(device ? [device] : [])]);
    return { keys: [...new Set(keys)].sort((a, b) => a - b), messages };
  }
}

/** With which of the keys, the latest first, the message leads to readings of the settlement. */
function signedWith(
  message: MeterMessage,
  keys: readonly KeyRecord[],
  named: ReadonlySet<string>,
  tenancy: Period,
): Pick<ReceiptMessage, 'key' | 'device'> | null {
  const devices = keys.filter(({ source }) => source === 'meter-profile');
  for (const key of keys) {
    for (const device of key.source === 'meter-key' ? [null, ...devices] : [null]) {
      const signer = signerOf(key, device);
      if (!signer) continue;
      const readings = readingsSaid(message, signer);
      if (!readings.some(({ hash }) => named.has(hash))) continue;
      // All that was signed is shown with it, what was read before or behind the tenancy too.
      if (!readings.every(({ readAt }) => isWithin(tenancy, readAt))) return null;
      if (messageFault(message, signer) !== null) continue;
      return { key: key.sequence, ...(device ? { device: device.sequence } : {}) };
    }
  }
  return null;
}

function isWithin({ from, until }: Period, at: string): boolean {
  const millis = parseInstant(at);
  return (
    (from === null || millis >= parseInstant(from)) &&
    (until === null || millis <= parseInstant(until))
  );
}

/** A record of ours as a receipt would show it whole. */
function shownOf({ sequence, kind, at, facts }: StoredRecord) {
  const values = new Map<string, Json>([['at', at]]);
  for (const [name, value] of Object.entries(facts)) values.set(`facts.${name}`, value);
  return { sequence, kind, values };
}
