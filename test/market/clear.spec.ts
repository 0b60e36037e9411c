import { readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { clear } from '../../src/market/clear.js';
import { clearInput } from '../../src/market/clear-input.js';
import { readBook } from '../../src/market/clear-text.js';
import { clearOutput, sharingOutput } from '../../src/market/clear-output.js';
import { anyBook } from './network-books.js';

const SEED = Number(process.env['CLEAR_SEED'] ?? Date.now() % 2 ** 31);

const order = (id: string, price: number, quantity: number, trader = id) => ({
  id,
  trader,
  price,
  quantity,
});
const bids = [order('b1', 180, 50), order('b2', 175, 40), order('b3', 172, 30)];
const asks = [order('a1', 100, 60), order('a2', 120, 25)];
const tariffs = { retail: 300, feedIn: 50 };

/** One of each mechanism; the documentation shows the first. */
const EXAMPLES: Readonly<Record<string, object>> = {
  'call-auction': { mechanism: 'call-auction', params: { k: 500, rationing: 'time' }, bids, asks },
  'pay-as-bid': { mechanism: 'pay-as-bid', bids, asks },
  'mid-market': { mechanism: 'mid-market', params: tariffs, bids, asks },
  'supply-demand-ratio': { mechanism: 'supply-demand-ratio', params: tariffs, bids, asks },
  mcafee: {
    mechanism: 'mcafee',
    bids: bids.map((one) => ({ ...one, quantity: 1 })),
    asks: asks.map((one) => ({ ...one, quantity: 1 })),
  },
  continuous: {
    mechanism: 'continuous',
    orders: [
      { ...asks[0], side: 'ask' },
      { ...bids[0], side: 'bid' },
      { ...bids[1], side: 'bid', timeInForce: 'IOC' },
    ],
  },
  sharing: {
    mechanism: 'sharing',
    params: { ...tariffs, key: 'static', pricing: 'mid-market' },
    supply: [{ id: 'roof', quantity: 900 }],
    demand: [
      { id: 'a', quantity: 600, key: 1 },
      { id: 'b', quantity: 500, key: 3 },
    ],
  },
  network: {
    mechanism: 'call-auction',
    bids: bids.map((one) => ({ ...one, node: 'east' })),
    asks: asks.map((one) => ({ ...one, node: 'west' })),
    network: {
      nodes: [
        { id: 'substation', parent: null, feePerUnit: 0 },
        { id: 'east', parent: 'substation', feePerUnit: 5, capacityDown: 70 },
        { id: 'west', parent: 'substation', feePerUnit: 5 },
      ],
    },
  },
};

const cleared = (document: object) => {
  const result = clear(clearInput.parse(document));
  if ('allocations' in result) throw new Error('shared, not cleared');
  return result;
};
const reasonsOf = (document: object) =>
  Object.fromEntries(cleared(document).orders.map(({ id, reason }) => [id, reason]));

describe('what is printed', () => {
  test('for a call auction is the contract', () => {
    expect(cleared(EXAMPLES['call-auction']!)).toEqual({
      mechanism: 'call-auction',
      trades: [
        { bid: 'b1', ask: 'a1', quantity: 50, price: 175 },
        { bid: 'b2', ask: 'a1', quantity: 10, price: 175 },
        { bid: 'b2', ask: 'a2', quantity: 25, price: 175 },
      ],
      clearingPrice: 175,
      priceInterval: [175, 175],
      volume: 85,
      welfare: 6125,
      maximumWelfare: 6125,
      orders: [
        { id: 'b1', side: 'bid', filled: 50, reason: 'filled: you bid 180, the price is 175' },
        {
          id: 'b2',
          side: 'bid',
          filled: 35,
          reason:
            'filled 35 of 40: you bid 175, as the last bid served; of 40 at that price 35 could be served, first come first',
        },
        {
          id: 'b3',
          side: 'bid',
          filled: 0,
          reason: 'not filled: you bid 172, the last bid served was 175',
        },
        { id: 'a1', side: 'ask', filled: 60, reason: 'filled: you asked 100, the price is 175' },
        { id: 'a2', side: 'ask', filled: 25, reason: 'filled: you asked 120, the price is 175' },
      ],
    });
  });

  test('for sharing is the contract', () => {
    expect(clear(clearInput.parse(EXAMPLES['sharing']))).toEqual({
      mechanism: 'sharing',
      allocations: [
        { id: 'roof', own: 725, surplus: 175, receives: 725 * 175 + 175 * 50 },
        { id: 'a', own: 225, fromGrid: 375, pays: 225 * 175 + 375 * 300 },
        { id: 'b', own: 500, fromGrid: 0, pays: 500 * 175 },
      ],
      prices: { buy: 217, sell: 150, shared: 175 },
      volume: 725,
      pairs: [
        { from: 'roof', to: 'a', quantity: 225 },
        { from: 'roof', to: 'b', quantity: 500 },
      ],
    });
  });

  test.each(Object.keys(EXAMPLES))('for %s fits its schema', (name) => {
    const output = clear(clearInput.parse(EXAMPLES[name]));
    const schema = name === 'sharing' ? sharingOutput : clearOutput;
    expect(schema.parse(output)).toEqual(output);
  });

  test('says why nothing was traded', () => {
    const call = { mechanism: 'call-auction' };
    const far = { ...call, bids: [order('b', 10, 5)], asks: [order('a', 12, 5)] };
    expect(cleared(far)).toMatchObject({ clearingPrice: null, priceInterval: null, volume: 0 });
    expect(reasonsOf(far)).toEqual({
      b: 'not filled: you bid 10, the lowest ask was 12',
      a: 'not filled: you asked 12, the highest bid was 10',
    });
    expect(reasonsOf({ ...call, bids: [order('b', 10, 5)], asks: [] })).toEqual({
      b: 'not filled: you bid 10, nobody sells',
    });
    const own = { ...call, bids: [order('b', 10, 5, 'A')], asks: [order('a', 8, 5, 'A')] };
    expect(reasonsOf(own)['b']).toBe(
      'not filled: you bid 10, the lowest ask was 8, but of your own',
    );
  });

  test('says which wire was full', () => {
    expect(reasonsOf(EXAMPLES['network']!)).toMatchObject({
      b1: 'filled: you bid 180, the price at east is 175',
      b2: 'filled 20 of 40: you bid 175, the price at east is 175; the wire of east is full',
      b3: 'not filled: you bid 172, the price at east is 175; the wire of east is full',
    });
  });

  test('bounds a price at both ends, also where a wire lets only out', () => {
    const nodes = [{ id: 'substation' }, { id: 'east', parent: 'substation', capacityDown: 0 }];
    const book = {
      mechanism: 'call-auction',
      bids: [{ ...order('b', 180, 5), node: 'east' }],
      asks: [{ ...order('a', 100, 5), node: 'east' }],
      network: { nodes },
    };
    expect(cleared(book)).toMatchObject({ clearingPrice: 140, priceInterval: [100, 180] });
  });

  test('in any network is whole: nothing of it is lost in JSON, and the price lies in its interval', () => {
    fc.assert(
      fc.property(anyBook(), ({ network, bids, asks, kThousandths: k, rationing }) => {
        const rows = (all: typeof bids) =>
          all.map(({ price, quantity, ...rest }) => ({
            ...rest,
            price: Math.max(0, price),
            quantity: Math.max(1, quantity),
          }));
        const result = cleared({
          mechanism: 'call-auction',
          params: { k, rationing },
          bids: rows(bids),
          asks: rows(asks),
          network: { nodes: network },
        });
        expect(clearOutput.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
        const { clearingPrice: price, priceInterval } = result;
        expect(priceInterval === null).toBe(price === null);
        if (price === null || priceInterval === null) return;
        expect(priceInterval[0]).toBeLessThanOrEqual(price);
        expect(priceInterval[1]).toBeGreaterThanOrEqual(price);
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  test('says what became of orders that do not rest, and of those that met their own', () => {
    const flow = [
      { ...order('a1', 8, 5, 'A'), side: 'ask' },
      { ...order('a2', 9, 5), side: 'ask' },
      { ...order('b1', 9, 7, 'A'), side: 'bid', timeInForce: 'IOC' },
      { ...order('b2', 9, 7), side: 'bid', timeInForce: 'FOK' },
      { ...order('b3', 7, 7), side: 'bid' },
    ];
    expect(reasonsOf({ mechanism: 'continuous', orders: flow })).toEqual({
      a1: 'not filled: you asked 8; your own order b1 came to meet it, and the newer one counts',
      a2: 'filled: you asked 9',
      b1: 'filled 5 of 7: you bid 9; immediate or cancel, and no more was within your limit at once',
      b2: 'not filled: you bid 9; fill or kill, and there was not enough within your limit at once',
      b3: 'not filled: you bid 7; it rests, and nobody sells now',
    });
  });

  test('prices a trader apart whose two sides have no common price, and says so', () => {
    const result = cleared({
      mechanism: 'call-auction',
      bids: [order('d1', 10, 10, 'D'), order('o1', 3, 5)],
      asks: [order('d2', 1, 10, 'D'), order('o2', 8, 4)],
    });
    expect(result.trades).toEqual([
      { bid: 'o1', ask: 'd2', quantity: 5, price: 1 },
      { bid: 'd1', ask: 'o2', quantity: 4, price: 10 },
    ]);
    expect(result).toMatchObject({ welfare: 18, splitBy: 'D', clearingPrice: 1, volume: 9 });
  });
});

describe('the schemas in docs/', () => {
  const published = {
    'clear-input.schema.json': z.toJSONSchema(clearInput, { io: 'input' }),
    'clear-output.schema.json': z.toJSONSchema(z.union([clearOutput, sharingOutput])),
  };
  test.each(Object.entries(published))('%s is that of the program', (name, schema) => {
    const file = new URL(`../../docs/${name}`, import.meta.url);
    if (process.env['UPDATE_SCHEMA'] === '1') {
      writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
    }
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(schema);
  });
});

describe('npm run clear', () => {
  const run = (input: string, ...args: string[]) =>
    new Promise<{ status: number | null; output: string; errors: string }>((resolve, reject) => {
      const child = spawn(process.execPath, ['scripts/run.mjs', 'clear', ...args]);
      let [output, errors] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, output, errors }));
      child.stdin.end(input);
    });

  test('prints one document, of the mechanism that the command line names', async () => {
    const { status, output } = await run(
      JSON.stringify(EXAMPLES['call-auction']),
      '--mechanism',
      'pay-as-bid',
      '--json',
    );
    expect([status, JSON.parse(output)]).toEqual([
      0,
      cleared({ ...EXAMPLES['call-auction'], mechanism: 'pay-as-bid' }),
    ]);
  }, 300_000);

  test('refuses what it cannot read with status 2, and says nothing on standard output', async () => {
    const { status, output, errors } = await run('{"mechanism":"auction"}', '--json');
    expect({ status, output }).toEqual({ status: 2, output: '' });
    expect(errors).toContain('clear: line 1: mechanism: must be one of call-auction');
  }, 300_000);
});

describe('bad input is named by line and field:', () => {
  const call = (bids: string) => `{"mechanism":"call-auction","asks":[],\n"bids":[${bids}]}`;
  const wired = (nodes: string, node = 'x') =>
    `{"mechanism":"call-auction","asks":[],"bids":[{"id":"b","trader":"B","price":1,"quantity":1,` +
    `"node":"${node}"}],\n"network":{"nodes":[${nodes}]}}`;
  const unit = '"price":1,"quantity":1';
  const table: [string, string][] = [
    ['', 'line 1: not JSON: expected a value, not the end'],
    ['[]', 'line 1: the document: '],
    [call(','), 'line 2: not JSON: expected a value'],
    [call(`{"id":"b",\n"trader":"B","price":1.5,"quantity":1}`), 'line 3: bids[0].price: '],
    [call(`{"id":"b","trader":"B","price":-1,"quantity":1}`), 'line 2: bids[0].price: '],
    [call(`{"id":"b","trader":"B","price":1,"quantity":0}`), 'line 2: bids[0].quantity: '],
    [call(`{"id":"b","trader":"B","price":"1","quantity":1}`), 'line 2: bids[0].price: '],
    [call(`{"id":"b","trader":"B","price":9007199254740993,"quantity":1}`), 'bids[0].price: '],
    [call(`\n{"id":"b",${unit}}`), 'line 3: bids[0].trader: '],
    [
      call(`{"id":"b","trader":"B",${unit}},\n{"id":"b","trader":"B",${unit}}`),
      'line 3: bids[1].id: is used twice: also by bids[0]',
    ],
    ['{"mechanism":"call-auction","bids":[]}', 'line 1: asks: '],
    [
      '{"mechanism":"call-auction","bids":[],"asks":[],\n"parms":{}}',
      'line 2: parms: is not known',
    ],
    [
      '{"mechanism":"call-auction","bids":[],"asks":[],\n"params":{"k":1001}}',
      'line 2: params.k: ',
    ],
    [
      '{"mechanism":"mid-market","bids":[],"asks":[],"params":{"feedIn":1}}',
      'line 1: params.retail: is required by mid-market',
    ],
    [
      '{"mechanism":"sharing","supply":[],"demand":[],"params":{"retail":1,\n"feedIn":2}}',
      'line 2: params.feedIn: must not be above retail, 1',
    ],
    [
      `{"mechanism":"mcafee","asks":[],"bids":[{"id":"b","trader":"B",${unit}},\n` +
        '{"id":"c","trader":"C","price":1,"quantity":2}]}',
      'line 2: bids[1].quantity: must be the same in all orders of mcafee',
    ],
    [wired('{"id":"x"}', 'y'), 'line 1: bids[0].node: is not among the nodes'],
    [
      wired('{"id":"x"}').replace(
        '"asks":[]',
        `"asks":[{"id":"a","trader":"B","node":"x",${unit}}]`,
      ),
      'line 1: asks[0].trader: trader_on_both_sides: is among the bids too',
    ],
    [wired('{"id":"x"},{"id":"x"}'), 'line 2: network.nodes[1].id: is used twice'],
    [wired('{"id":"x"},\n{"id":"y","parent":"z"}'), 'line 3: network.nodes[1].parent: '],
    [
      wired('{"id":"x"},{"id":"y","parent":"z"},{"id":"z","parent":"y"}'),
      'line 2: network.nodes: node y does not lead to the root',
    ],
  ];
  test.each(table)('%j: %s', (text, expected) => {
    const book = readBook(text);
    expect('faults' in book ? book.faults.join('\n') : 'nothing').toContain(expected);
  });

  test('no more of them than a person reads', () => {
    const book = readBook(call(Array.from({ length: 50 }, () => '{}').join(',')));
    expect('faults' in book && [book.faults.length, book.faults.at(-1)]).toEqual([
      11,
      'and 190 more',
    ]);
  });
});
