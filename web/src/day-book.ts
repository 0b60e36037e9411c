/** A household's settlements added up: where its energy came from, where it went, what it saved. */
import type { Settlement } from './answers.js';

/** One source of energy used, or one taker of energy produced. */
export interface Share {
  kind: 'own' | 'neighbor' | 'grid';
  /** Of a neighbor; empty for the others. */
  alias: string;
  energyWh: number;
  /** What was paid to or received from that neighbor; null where the bill holds no such line. */
  micro: number | null;
}

export interface DayBook {
  slots: number;
  used: Share[];
  usedWh: number;
  produced: Share[];
  producedWh: number;
  /** Earned (+) or paid (−) in all, and the same net imports and exports without neighbors. */
  netMicro: number;
  tariffMicro: number;
  savedMicro: number;
  /** Slots whose energy was not measured but estimated or missing. */
  estimatedSlots: number;
}

/** Adds settlements up; shares stand own first, then neighbors by energy, then the grid. */
export function addUp(settlements: readonly Settlement[]): DayBook {
  const bought = new Map<string, Share>();
  const sold = new Map<string, Share>();
  const book = { netMicro: 0, tariffMicro: 0, savedMicro: 0, estimatedSlots: 0 };
  let [own, fromGrid, toGrid, fromNeighbors, toNeighbors] = [0, 0, 0, 0, 0];
  for (const settlement of settlements) {
    own += settlement.selfWh;
    fromGrid += settlement.fromGridWh;
    toGrid += settlement.toGridWh;
    fromNeighbors += settlement.fromNeighborsWh;
    toNeighbors += settlement.toNeighborsWh;
    book.netMicro += settlement.netMicro;
    book.tariffMicro += settlement.tariffMicro;
    book.savedMicro += settlement.savedMicro;
    if (settlement.quality === 'estimated' || settlement.quality === 'missing') {
      book.estimatedSlots += 1;
    }
    for (const line of settlement.neighbors) {
      const side = line.side === 'bought' ? bought : sold;
      const share = side.get(line.alias) ?? {
        kind: 'neighbor',
        alias: line.alias,
        energyWh: 0,
        micro: 0,
      };
      share.energyWh += line.energyWh;
      share.micro = (share.micro ?? 0) + line.micro;
      side.set(line.alias, share);
    }
  }
  const used = shares(own, neighborsOf(bought, fromNeighbors), fromGrid);
  const produced = shares(own, neighborsOf(sold, toNeighbors), toGrid);
  return {
    slots: settlements.length,
    used,
    usedWh: totalWh(used),
    produced,
    producedWh: totalWh(produced),
    ...book,
  };
}

/** Keeps an ordered list of the largest shares; the others become one, named by how many they are. */
export function largest(all: readonly Share[], kept: number): Share[] {
  const neighbors = all.filter((share) => share.kind === 'neighbor');
  if (neighbors.length <= kept) return [...all];
  const rest = neighbors.slice(kept - 1);
  const others: Share = {
    kind: 'neighbor',
    alias: `${rest.length} more neighbors`,
    energyWh: totalWh(rest),
    micro: rest.reduce<number | null>(
      (sum, share) => (sum === null || share.micro === null ? null : sum + share.micro),
      0,
    ),
  };
  return [
    ...all.filter((share) => share.kind === 'own'),
    ...neighbors.slice(0, kept - 1),
    others,
    ...all.filter((share) => share.kind === 'grid'),
  ];
}

function shares(ownWh: number, neighbors: Share[], gridWh: number): Share[] {
  return [
    { kind: 'own' as const, alias: '', energyWh: ownWh, micro: null },
    ...neighbors,
    { kind: 'grid' as const, alias: '', energyWh: gridWh, micro: null },
  ].filter((share) => share.energyWh > 0);
}

/** The named neighbors, and what the settlements gave to neighbors beyond those named. */
function neighborsOf(named: Map<string, Share>, claimedWh: number): Share[] {
  const list = [...named.values()].sort(
    (a, b) => b.energyWh - a.energyWh || (a.alias < b.alias ? -1 : 1),
  );
  const unnamedWh = claimedWh - totalWh(list);
  if (unnamedWh > 0) {
    list.push({ kind: 'neighbor', alias: 'Neighbors', energyWh: unnamedWh, micro: null });
  }
  return list;
}

function totalWh(list: readonly Share[]): number {
  return list.reduce((sum, share) => sum + share.energyWh, 0);
}
