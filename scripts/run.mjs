#!/usr/bin/env node
/**
 * node scripts/run.mjs <command> [arguments]: runs a command of the built program in this process,
 * after building what is missing or older than its sources. The output of builds goes to standard
 * error. Where the sources or the build tools are absent, as in an image, what is built is used.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = resolve(fileURLToPath(import.meta.url), '../..');
const LOCK = join(ROOT, 'dist/.building');

const PROGRAM = {
  name: 'program',
  marker: 'dist/src/main.js',
  sources: [
    'src',
    'simulator',
    'bench',
    'nest-cli.json',
    'tsconfig.json',
    'tsconfig.build.json',
    '.swcrc',
  ],
  tool: ['node_modules/@nestjs/cli/bin/nest.js', 'build'],
};
const PAGES = {
  name: 'web pages',
  marker: 'web/dist/index.html',
  sources: [
    'web',
    'src/feed/feed-event.ts',
    'src/units',
    'src/transparency',
    'src/ledger',
    'src/settlement',
    'src/metering',
  ],
  tool: ['node_modules/vite/bin/vite.js', 'build', 'web', '--logLevel', 'warn'],
};
const WITH_PAGES = new Set(['start', 'serve']);
/** Where the commands lie that are not the service's own. */
const FOLDERS = {
  simulate: 'dist/simulator',
  replay: 'dist/simulator',
  bench: 'dist/bench',
  backtest: 'dist/bench',
};

await main(process.argv[2], process.argv.slice(3));

async function main(command, args) {
  if (!/^[a-z][a-z-]*$/.test(command ?? '')) {
    return fail('Usage: node scripts/run.mjs <command> [arguments]');
  }
  try {
    for (const part of WITH_PAGES.has(command) ? [PROGRAM, PAGES] : [PROGRAM]) await ensure(part);
  } catch (error) {
    return fail(error.message);
  }
  const folder = Object.hasOwn(FOLDERS, command) ? FOLDERS[command] : 'dist/src/commands';
  const file = join(ROOT, folder, `${command}.js`);
  if (!existsSync(file)) return fail(`There is no command ${command}.`);
  process.setSourceMapsEnabled(true);
  process.argv = [process.argv[0], file, ...args];
  await import(pathToFileURL(file).href);
}

/** Builds one part unless it is newer than its sources. Two builds never run at once. */
async function ensure(part) {
  if (await isFresh(part)) return;
  if (!existsSync(join(ROOT, part.tool[0]))) {
    if (existsSync(join(ROOT, part.marker))) return;
    throw new Error(`The ${part.name} is not built: run npm ci and npm run build.`);
  }
  await whileLocked(async () => {
    if (await isFresh(part)) return;
    process.stderr.write(`Building the ${part.name} ...\n`);
    const code = await run(part.tool);
    if (code !== 0) throw new Error(`Building the ${part.name} failed; see above.`);
  });
}

async function isFresh({ marker, sources }) {
  const built = await stat(join(ROOT, marker)).catch(() => undefined);
  if (!built) return false;
  const times = await Promise.all(sources.map((source) => newest(join(ROOT, source))));
  return Math.max(...times) <= built.mtimeMs;
}

/** When a file or anything in a folder last changed; a folder's own time tells of removed files. */
async function newest(path) {
  const status = await stat(path).catch(() => undefined);
  if (!status) return 0;
  if (!status.isDirectory()) return status.mtimeMs;
  const entries = await readdir(path, { withFileTypes: true });
  const inside = entries
    .filter(({ name }) => name !== 'dist' && name !== 'node_modules')
    .map(({ name }) => newest(join(path, name)));
  // The pages' own output lies in their folder and would make it look changed.
  const own = entries.some(({ name }) => name === 'dist') ? 0 : status.mtimeMs;
  return Math.max(own, 0, ...(await Promise.all(inside)));
}

function run([tool, ...args]) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [join(ROOT, tool), ...args], {
      cwd: ROOT,
      // A build is the same whoever asks for it: under another NODE_ENV the pages carry React's
      // development half.
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', 2, 2],
    });
    child.once('error', failed);
    child.once('close', (code) => done(code ?? 1));
  });
}

async function whileLocked(work) {
  await mkdir(join(ROOT, 'dist'), { recursive: true });
  for (;;) {
    try {
      const file = await open(LOCK, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      await waitForHolder();
    }
  }
  try {
    await work();
  } finally {
    await rm(LOCK, { force: true });
  }
}

async function waitForHolder() {
  const written = await stat(LOCK).catch(() => undefined);
  const holder = Number(await readFile(LOCK, 'utf8').catch(() => ''));
  const justMade = written !== undefined && Date.now() - written.mtimeMs < 5_000;
  if (written && !(holder > 0 ? isAlive(holder) : justMade)) await rm(LOCK, { force: true });
  await sleep(100);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}
