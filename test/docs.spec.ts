import { expect, it } from '@jest/globals';
import { loadSettings } from '../src/config.js';
import { OPERATOR_COMMANDS } from '../src/operator-commands.js';
import { CSV_COLUMNS } from '../src/parties/member-csv.js';
import { projectFiles, readProjectFile } from './support/project.js';

/** The documents list what the code has, no more and no less. */

const SETTINGS_PAGE = 'docs/settings.md';

it('docs/settings.md lists every setting of the service with its default', () => {
  const settings = loadSettings({ DATA_DIR: '/data' });
  const defaults = Object.entries(settings).map(([name, value]) => [
    variableOf(name),
    name === 'dataDir' ? './data' : textOf(value),
  ]);
  const listed = rowsOf('## The service').map(([name, value]) => [name, value]);
  expect(listed.sort()).toEqual(defaults.sort());
});

it('docs/settings.md tells of every other variable that the code reads', () => {
  const listed = new Set(
    [...rowsOf('## The service'), ...rowsOf('## Around it')].map(([name]) => name),
  );
  const read = projectFiles()
    .filter((path) => /^(src|simulator|web|scripts|test)\/.*\.(ts|tsx|mjs)$/.test(path))
    .flatMap((path) => [
      ...readProjectFile(path).matchAll(/\b(?:process\.)?env(?:\.|\[')([A-Z][A-Z_]+)\b/g),
    ])
    .map(([, name]) => name!);
  expect([...new Set(read)].filter((name) => !listed.has(name))).toEqual([]);
});

it('docs/settings.md lists each setting once', () => {
  const names = [...rowsOf('## The service'), ...rowsOf('## Around it')].map(([name]) => name);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});

it('operator import --help tells of every column', () => {
  // Behind the list of all columns, each is told of by itself.
  const told = OPERATOR_COMMANDS['import']!.help!.split('\n').slice(2).join('\n');
  expect(CSV_COLUMNS.filter((column) => !new RegExp(`\\b${column}\\b`).test(told))).toEqual([]);
});

/** `httpPort` is read from `HTTP_PORT`. */
function variableOf(setting: string): string {
  return setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  return value === undefined ? '' : String(value);
}

/** The rows of the table under a heading: the name without its backticks, then the other cells. */
function rowsOf(heading: string): string[][] {
  const section = readProjectFile(SETTINGS_PAGE).split(heading)[1]!.split('\n## ')[0]!;
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1))
    .map(([name, ...cells]) => [
      name!.trim().replaceAll('`', ''),
      ...cells.map((cell) => cell.trim()),
    ]);
}
