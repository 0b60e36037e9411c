import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import * as contract from '../../src/feed/feed-event.js';

/** The schemas of `docs/asyncapi.yaml` that are written in code, and must not differ from it. */
const SCHEMAS: Record<string, z.ZodType> = {
  OrderEvent: contract.orderEvent,
  LimitsEvent: contract.limitsEvent,
  GateEvent: contract.gateEvent,
  MatchEvent: contract.matchEvent,
  TradeEvent: contract.tradeEvent,
  SlotClosedEvent: contract.slotClosedEvent,
  SettlementEvent: contract.settlementEvent,
  CorrectionEvent: contract.correctionEvent,
  TrueUpEvent: contract.trueUpEvent,
  AwardEvent: contract.awardEvent,
  DepositEvent: contract.depositEvent,
  TariffEvent: contract.tariffEvent,
  RecordEvent: contract.recordEvent,
  ReadingEvent: contract.readingEvent,
  FirstReadingEvent: contract.firstReadingEvent,
  CheckpointEvent: contract.checkpointEvent,
  FairnessEvent: contract.fairnessEvent,
  Subscribe: contract.subscribeMessage,
  SubscribeAck: contract.subscribeAck,
  Authenticate: contract.authenticateMessage,
  AuthenticateAck: contract.authenticateAck,
  Resync: contract.resyncMessage,
  AuthExpired: contract.authExpiredMessage,
  Settlement: contract.settlementMessage,
};

interface AsyncApi {
  asyncapi: string;
  channels: Record<string, { address: string; messages: Record<string, unknown> }>;
  operations: Record<string, { channel: { $ref: string } }>;
  components: { schemas: Record<string, unknown>; messages: Record<string, unknown> };
}

const document = parse(readFileSync('docs/asyncapi.yaml', 'utf8')) as AsyncApi;

test.each(Object.keys(SCHEMAS))('docs/asyncapi.yaml says what the code says: %s', (name) => {
  expect(document.components.schemas[name]).toEqual(jsonSchemaOf(SCHEMAS[name]!));
});

test('every event has a schema, and the frame lists them all', () => {
  const types = contract.feedEvent.options.flatMap((option) => [...valuesOf(option)]);
  const described = Object.keys(SCHEMAS).filter((name) => name.endsWith('Event'));
  expect(types).toHaveLength(described.length);
  expect(document.components.schemas.Frame).toMatchObject({
    type: 'array',
    minItems: 1,
    items: { oneOf: described.map((name) => ({ $ref: `#/components/schemas/${name}` })) },
  });
});

test('every reference leads somewhere', () => {
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g);
  for (const [, path] of references) {
    const target = path!
      .split('/')
      .reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], document);
    expect({ path, found: target !== undefined }).toEqual({ path, found: true });
  }
  expect(document.asyncapi).toBe('3.0.0');
  expect(Object.values(document.channels).map(({ address }) => address)).toEqual([
    'microgrids/{microgrid}/meters/{meter}/readings',
    'microgrids/{microgrid}/households/{household}/settlements',
    '/feed',
  ]);
});

/** The names that `type` may have in an option of the union. */
function valuesOf(option: z.core.$ZodType): Set<unknown> {
  return new Set(option._zod.propValues?.type);
}

/** As the document writes it: dates by format alone, integers without the bounds they all have. */
function jsonSchemaOf(schema: z.ZodType): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return JSON.parse(JSON.stringify(rest)) as unknown;
}
