import { ExchangeService } from '../../src/metering/exchange.service.js';
import type { Meters } from './meters.js';
import type { Rooms } from './rooms.js';

/** Fred's meter breaks, and the one in its place has counted before: said a slot later. */

const FREDS = 'fred-grid';
const SHOWS_WH = 12.5;

let oldFinal = { importWh: '0', exportWh: '0' };

export function replaceFreds(meters: Meters): void {
  oldFinal = meters.replace(FREDS, SHOWS_WH);
}

export async function sayFredsIsReplaced(rooms: Rooms, microgridId: string): Promise<void> {
  const { ledger, clock, database } = rooms;
  const microgrid = await rooms.microgrid(microgridId);
  const newFirstWh = String(SHOWS_WH);
  const exchange = {
    exchangedAt: '2026-06-01T09:33:00Z',
    import: { oldFinalWh: oldFinal.importWh, newFirstWh },
    export: { oldFinalWh: oldFinal.exportWh, newFirstWh },
  };
  await database.transaction((sql) =>
    new ExchangeService(ledger, clock).exchange(sql, microgrid, FREDS, exchange, 'otto'),
  );
}
