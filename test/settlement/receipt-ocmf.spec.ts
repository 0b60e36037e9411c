import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { OpeningService } from '../../src/ledger/opening.service.js';
import type { Receipt } from '../../src/ledger/receipt.js';
import { decodedReadings } from '../../src/metering/device-readings.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { PROFILES } from '../../src/metering/profiles/profile.js';
import { MeterSignatureService } from '../../src/settlement/meter-signature.service.js';
import { checkReceipt } from '../../src/settlement/receipt-check.js';
import { ReceiptService } from '../../src/settlement/receipt.service.js';
import { parseInstant } from '../../src/units/slot.js';
import { openRooms, type Rooms } from '../verify/rooms.js';
import { ocmf, payloadOf } from './signed-street.js';

/**
 * Receipts of a household whose meters speak OCMF, out of a database: the one at the grid has a registered
 * key, and its mapping came twice; the one of the panels has none but its mapping's, and is mounted the
 * other way round.
 */

const at = (time: string): string => `2026-06-01T${time}:00Z`;
const [grid, panels] = ['secp256k1', 'secp384r1'].map((namedCurve) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
  return { privateKey, spki: publicKey.export({ format: 'der', type: 'spki' }) };
});
const METERS = {
  'wanda-grid': {
    ...grid!,
    algorithm: 'ECDSA-secp256k1-SHA256',
    mapping: { publicKey: grid!.spki.toString('hex') },
  },
  'wanda-pv': {
    ...panels!,
    algorithm: 'ECDSA-secp384r1-SHA256',
    mapping: { publicKey: panels!.spki.toString('base64'), invert: true, meter: 'M1' },
  },
};

let rooms: Rooms;
let receipts: ReceiptService;

beforeAll(async () => {
  rooms = await openRooms();
  const { database, parties, log, settlement, metering, meterKeys, ledger } = rooms;
  const signatures = new MeterSignatureService(metering, meterKeys, ledger);
  const openings = new OpeningService(log);
  receipts = new ReceiptService(database, parties, log, openings, settlement, signatures);
  await found();
}, 60_000);
afterAll(() => rooms?.close());

test('each meter is shown with what it signs with, and its documents lead to the settlement', async () => {
  await say('wanda-grid', 'T1', '08:00', '10.25');
  await say('wanda-pv', 'F1', '08:00', '5');
  await rooms.slots.advance(at('08:00'));
  await say('wanda-grid', 'T2', '08:15', '10.75');
  await say('wanda-pv', 'F2', '08:15', '5.4');
  await rooms.slots.advance(at('08:20'));
  const [row] = await rooms.database.query<{ sequence: number; produced: number }>(
    `SELECT sequence, produced_wh AS produced FROM settlement WHERE household_id = 'wanda'`,
  );
  expect(row!.produced).toBe(400);
  const [record] = await rooms.ledger.recordsAt(rooms.database, 'street', [row!.sequence]);
  const made = await receipts.receipt(record!, 'wanda', { from: null, until: null });
  const { text } = made as Extract<typeof made, { outcome: 'made' }>;
  const report = checkReceipt(text, rooms.log.policy('street'));
  expect(report.misfit).toBeNull();
  // The grid meter's export was never read: its register has no value.
  expect(report.steps.at(-1)!.says).toMatch(
    /^The meters' own signatures vouch for 4 of 4 readings, and 4 of 4 register values follow/,
  );
  const { signed } = JSON.parse(text) as Receipt;
  expect(signed!.messages.map(({ meter }) => meter).sort()).toEqual([
    'wanda-grid',
    'wanda-grid',
    'wanda-pv',
    'wanda-pv',
  ]);
  // One record that registered the grid meter's key, and one that says how the panels' is read.
  expect(signed!.keys).toHaveLength(2);
  expect(signed!.messages.every(({ device }) => device === undefined)).toBe(true);
  expect(text).not.toContain('"otto"');
});

async function found(): Promise<void> {
  const { database, parties, profiles, meterKeys } = rooms;
  const band = {
    fromMinute: 0,
    retailMicroPerKwh: 300_000,
    feedInMicroPerKwh: 50_000,
    gridFeeMicroPerKwh: 0,
  };
  await database.transaction(async (sql) => {
    const street = { microgrid: 'street', name: 'Street', currency: 'EUR', startsAt: at('08:00') };
    await parties.createMicrogrid(sql, { ...street, tariff: { bands: [band] } }, 'otto');
    const device = (meter: string) => ({ meter, profile: 'ocmf' as const, topic: `ocmf/${meter}` });
    const meters = [
      { ...device('wanda-grid'), role: 'grid' as const },
      { ...device('wanda-pv'), role: 'generation' as const },
    ];
    await parties.enrolMembers(
      sql,
      'street',
      { members: [{ household: 'wanda', activeFrom: at('08:00'), meters }] },
      'otto',
    );
    for (const meter of ['wanda-grid', 'wanda-grid', 'wanda-pv'] as const) {
      const { mapping } = METERS[meter];
      const request = { profile: 'ocmf' as const, topic: `ocmf/${meter}`, mapping };
      await profiles.set(sql, 'street', meter, request, 'otto');
    }
    const publicKey = grid!.spki.toString('base64');
    await meterKeys.register(sql, 'street', 'wanda-grid', { publicKey }, 'otto');
  });
}

/** A document as the device sends it, through its profile's session and the intake. */
async function say(
  meterId: keyof typeof METERS,
  page: string,
  time: string,
  kwh: string,
): Promise<void> {
  const { database, clock } = rooms;
  await clock.advance(database, at(time));
  const { algorithm, privateKey, mapping } = METERS[meterId];
  const payload = ocmf(
    payloadOf(page, `2026-06-01T${time}:00,000+0000 S`, kwh),
    algorithm,
    privateKey,
  );
  const message = { topic: `ocmf/${meterId}`, payload, retained: false };
  const session = PROFILES.ocmf.open({ mapping, timeZone: 'UTC' });
  const output = session.take({ ...message, receivedAtMillis: parseInstant(at(time)) });
  const intake = new IntakeService(database, clock, { maxClockAheadSeconds: 300 });
  await intake.keep({
    topic: message.topic,
    payload,
    microgridId: 'street',
    meterId,
    readings: decodedReadings(output.readings, null),
    rejections: output.rejections,
    signed: output.signed ?? null,
    mayRepeat: false,
  });
}
