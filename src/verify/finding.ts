/** What does not fit: where it stands, what it should be, and what is there instead. */
export interface Finding {
  table: string;
  /** The key of the row, or the record's sequence. */
  row: string;
  field: string;
  expected: string;
  found: string;
}

/** A row by column: expected ones in the program's types, found ones as PostgreSQL writes them. */
export type Row = Readonly<Record<string, unknown>>;

const SHOWN = 200;

/** Findings in the order in which they turn up; the first is the one to start with. */
export class Findings {
  readonly all: Finding[] = [];

  constructor(private readonly limit: number) {}

  get full(): boolean {
    return this.all.length >= this.limit;
  }

  /** Takes findings of which nobody is told. */
  silenced(): Findings {
    return new Findings(0);
  }

  add(table: string, row: string | number, field: string, expected: unknown, found: unknown): void {
    if (this.full) return;
    this.all.push({ table, row: String(row), field, expected: show(expected), found: show(found) });
  }

  /** Adds a finding unless the two are equal. @returns whether they are */
  same(
    table: string,
    row: string | number,
    field: string,
    expected: unknown,
    found: unknown,
  ): boolean {
    const equal = expected === found || comparable(expected) === comparable(found);
    if (!equal) this.add(table, row, field, expected, found);
    return equal;
  }

  /**
   * Compares two sets of rows by key, column by column. A column that a row expects as undefined is
   * held against something else; one that no row expects and that is not `uncovered` is a finding:
   * a new column needs a rule.
   */
  sameRows(
    { table, key, uncovered }: { table: string; key: readonly string[]; uncovered: object },
    expected: readonly Row[],
    found: readonly Row[],
  ): void {
    const nameOf = (row: Row) => key.map((column) => comparable(row[column])).join(' ');
    const open = new Map(expected.map((row) => [nameOf(row), row]));
    for (const row of found) {
      const name = nameOf(row);
      const wanted = open.get(name);
      open.delete(name);
      if (!wanted) {
        this.add(table, name, key.join(', '), 'no such row', 'a row that no record made');
        continue;
      }
      for (const column of Object.keys(row)) {
        if (column === 'microgrid_id' || column in uncovered) continue;
        if (!(column in wanted)) this.add(table, name, column, 'a rule of verify', 'none');
        else if (wanted[column] !== undefined) {
          this.same(table, name, column, wanted[column], row[column]);
        }
      }
    }
    for (const name of open.keys()) this.add(table, name, key.join(', '), 'a row', 'none');
  }
}

/** One text per value, whatever type the driver gives it; nothing that is text equals null. */
function comparable(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return null;
  if (typeof value !== 'object') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return `{${value.map(comparable).join(',')}}`;
  return String(value);
}

function show(value: unknown): string {
  return (comparable(value) ?? 'null').slice(0, SHOWN);
}
