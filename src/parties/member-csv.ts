/** Members and meters out of a CSV file; what does not fit is named by line and column. */

import { parse as parseCsv } from 'csv-parse/sync';
import { MEMBER } from './enrolment.js';
import type { Enrolment, EnrolmentFault, Member } from './enrolment.js';

/** Columns in any order; a household with several meters stands on several lines. */
export const CSV_COLUMNS = [
  'household',
  'alias',
  'meter',
  'role',
  'usable_wh',
  'feeder',
  'share_parts',
  'share_rank',
  'import_limit_w',
  'export_limit_w',
  'active_from',
  'gateway',
  'profile',
  'topic',
] as const;
export type CsvColumn = (typeof CSV_COLUMNS)[number];

/** Where in the file something is wrong, and what to do about it. */
export interface CsvFault {
  line: number;
  column: CsvColumn | null;
  detail: string;
}

export interface CsvMembers {
  enrolment: Enrolment;
  /** Empty when every line could be read. */
  faults: CsvFault[];
  /**
   * The line and column of a fault that the enrolment has beside what is enrolled already; null for
   * a missing meter that stands on a line which could not be read.
   */
  placeOf(fault: EnrolmentFault): CsvFault | null;
}

/**
 * @param text the file
 * @param gateways new gateways to be enrolled with it
 */
export function parseMemberCsv(text: string, gateways: readonly string[]): CsvMembers {
  const members = new Map<string, PlacedMember>();
  const unread = new Set<string | undefined>();
  const faults: CsvFault[] = [];
  for (const row of readRows(text, faults)) {
    const { member, faults: wrong } = parseRow(row);
    faults.push(...wrong);
    if (member === null) {
      unread.add(row.cells.household);
      continue;
    }
    const known = members.get(member.household);
    if (known) faults.push(...addRow(known, member, row.line));
    else members.set(member.household, placed(member, row.line));
  }
  const places = [...members.values()];
  return {
    enrolment: {
      members: places.map((place) => place.member),
      gateways: gateways.map((gateway) => ({ gateway })),
    },
    faults: faults.sort((a, b) => a.line - b.line),
    placeOf: (fault) => {
      const place = fault.member === null ? undefined : places[fault.member];
      if (fault.field === 'meters' && unread.has(place?.member.household)) return null;
      const line = fault.meter === null ? place?.line : place?.meterLines[fault.meter];
      return { line: line ?? 0, column: COLUMN_OF[fault.field] ?? null, detail: fault.detail };
    },
  };
}

interface Row {
  line: number;
  cells: Partial<Record<CsvColumn, string>>;
}

interface PlacedMember {
  member: Member;
  line: number;
  meterLines: number[];
}

/** The lines under the header; a file whose header or quoting is wrong has none. */
function readRows(text: string, faults: CsvFault[]): Row[] {
  let records: { record: string[]; info: { lines: number } }[];
  try {
    records = parseCsv(text, {
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      trim: true,
    }) as unknown as typeof records;
  } catch (error) {
    const lines = error instanceof Error && 'lines' in error ? Number(error.lines) : 1;
    const reason = error instanceof Error ? error.message : String(error);
    faults.push({ line: lines, column: null, detail: `${reason}. Correct the quoting.` });
    return [];
  }
  const [header, ...rest] = records;
  const columns = (header?.record ?? []).map((name) => name.toLowerCase());
  const wrong = headerFault(columns);
  if (wrong) {
    faults.push({ line: header?.info.lines ?? 1, column: null, detail: wrong });
    return [];
  }
  return rest.flatMap(({ record, info }) => {
    if (record.length > columns.length) {
      const detail = `${record.length} cells where the header has ${columns.length}. Quote cells that hold a comma.`;
      faults.push({ line: info.lines, column: null, detail });
      return [];
    }
    const filled = record.flatMap((cell, index) => (cell === '' ? [] : [[columns[index]!, cell]]));
    return [{ line: info.lines, cells: Object.fromEntries(filled) as Row['cells'] }];
  });
}

function headerFault(columns: readonly string[]): string | null {
  const unknown = columns.filter((name) => !CSV_COLUMNS.includes(name as CsvColumn));
  if (!columns.includes('household')) {
    return `The first line must name the columns, household among them: ${CSV_COLUMNS.join(',')}.`;
  }
  if (unknown.length > 0) {
    return `Unknown column ${unknown.join(', ')}. Known are ${CSV_COLUMNS.join(', ')}.`;
  }
  if (new Set(columns).size < columns.length) return 'A column is named twice. Remove one.';
  return null;
}

const COLUMN_OF: Readonly<Record<string, CsvColumn>> = {
  household: 'household',
  alias: 'alias',
  meter: 'meter',
  meters: 'meter',
  role: 'role',
  usableWh: 'usable_wh',
  feeder: 'feeder',
  shareParts: 'share_parts',
  shareRank: 'share_rank',
  importLimitW: 'import_limit_w',
  exportLimitW: 'export_limit_w',
  activeFrom: 'active_from',
  gateway: 'gateway',
  profile: 'profile',
  topic: 'topic',
};

type WholeColumn = 'usable_wh' | 'share_parts' | 'share_rank' | 'import_limit_w' | 'export_limit_w';

/** The member of one line with its one meter, or null when the line is wrong. */
function parseRow({ line, cells }: Row): { member: Member | null; faults: CsvFault[] } {
  const faults: CsvFault[] = [];
  const whole = (column: WholeColumn): number | null => {
    const cell = cells[column];
    if (cell === undefined) return null;
    if (/^\d{1,15}$/.test(cell)) return Number(cell);
    faults.push({ line, column, detail: `"${cell}" must be a whole number without unit` });
    return null;
  };
  const of = (column: CsvColumn): string | null => cells[column] ?? null;
  const { meter } = cells;
  if (meter === undefined) {
    for (const column of ['role', 'usable_wh', 'gateway', 'profile', 'topic'] as const) {
      if (cells[column] === undefined) continue;
      const detail = 'belongs to a meter; name the meter too or leave it empty';
      faults.push({ line, column, detail });
    }
  }
  const usableWh = whole('usable_wh');
  const read = MEMBER.safeParse({
    household: cells.household ?? '',
    alias: of('alias'),
    feeder: of('feeder'),
    shareParts: whole('share_parts'),
    shareRank: whole('share_rank'),
    importLimitW: whole('import_limit_w'),
    exportLimitW: whole('export_limit_w'),
    activeFrom: of('active_from'),
    meters:
      meter === undefined
        ? []
        : [
            {
              meter,
              role: of('role'),
              usableWh,
              gateway: of('gateway'),
              profile: of('profile'),
              topic: of('topic'),
            },
          ],
  });
  for (const issue of read.error?.issues ?? []) {
    const field = String(issue.path[0] === 'meters' ? issue.path[2] : issue.path[0]);
    faults.push({ line, column: COLUMN_OF[field] ?? null, detail: issue.message });
  }
  return { member: faults.length === 0 && read.success ? read.data : null, faults };
}

function placed(member: Member, line: number): PlacedMember {
  return { member, line, meterLines: member.meters.map(() => line) };
}

/** A further line of a household: what it says of the household again must be the same. */
function addRow(known: PlacedMember, further: Member, line: number): CsvFault[] {
  const faults: CsvFault[] = [];
  const fields = [
    'alias',
    'feeder',
    'shareParts',
    'shareRank',
    'importLimitW',
    'exportLimitW',
    'activeFrom',
  ] as const;
  for (const field of fields) {
    const said = further[field] ?? null;
    if (said === null || said === known.member[field]) continue;
    const detail = `differs from line ${known.line}; say it once for ${further.household}`;
    faults.push({ line, column: COLUMN_OF[field]!, detail });
  }
  if (further.meters.length === 0) {
    const detail = `${further.household} stands on line ${known.line} already; name a further meter`;
    faults.push({ line, column: 'meter', detail });
  }
  known.member.meters.push(...further.meters);
  known.meterLines.push(...further.meters.map(() => line));
  return faults;
}
