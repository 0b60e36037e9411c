import { open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * What a simulated street keeps between runs, as files in the data folder: the log-ins and device
 * secrets it was given, and the state of every household. Files are replaced whole, so that a crash
 * leaves the old or the new one.
 */
export type DemoLogins = z.output<typeof LOGINS>;
export type StreetState = z.output<typeof STATE>;
export type LogIn = z.output<typeof LOG_IN>;

const LOG_IN = z.object({ user: z.string().min(1), password: z.string().min(1) });

const LOGINS = z.looseObject({
  microgrid: z.string(),
  /** False while the people below are still being enrolled. */
  ready: z.boolean().default(true),
  people: z.array(LOG_IN.extend({ role: z.string(), household: z.string().optional() })),
  devices: z.array(z.looseObject({ username: z.string(), kind: z.string(), secret: z.string() })),
});

const WH = z.int().nonnegative();

const STATE = z.object({
  microgrid: z.string(),
  seed: z.string(),
  stepMinutes: z.int().positive(),
  /** Epoch milliseconds of the registers below. */
  at: z.int(),
  households: z.record(
    z.string(),
    z.object({
      registers: z.object({
        importWh: WH,
        exportWh: WH,
        generatedWh: WH,
        chargedWh: WH,
        dischargedWh: WH,
      }),
      battery: z.object({ chargeWh: WH, restPermille: WH }),
      plan: z.object({ chargePermille: WH, dischargePermille: WH }),
      restLoadWattMinutes: WH,
      restSolarWattMinutes: WH,
      powerW: z.object({ grid: z.int(), generation: z.int(), storage: z.int() }),
    }),
  ),
});

const BOOTSTRAP = z.object({ operator: LOG_IN, simulator: LOG_IN });

/** The demo log-ins, or null when the street was not enrolled from this folder. */
export function readDemoLogins(dataDir: string): Promise<DemoLogins | null> {
  return readJson(demoLoginsFile(dataDir), LOGINS);
}

export function writeDemoLogins(dataDir: string, logins: DemoLogins): Promise<void> {
  return replaceFile(demoLoginsFile(dataDir), `${JSON.stringify(logins, null, 2)}\n`);
}

export function demoLoginsFile(dataDir: string): string {
  return join(dataDir, 'demo-logins.json');
}

/** The operator's and the simulator's log-in that the service wrote for `BOOTSTRAP_LOGINS`. */
export function readBootstrapLogins(file: string): Promise<z.output<typeof BOOTSTRAP> | null> {
  return readJson(file, BOOTSTRAP);
}

export function readStreetState(dataDir: string): Promise<StreetState | null> {
  return readJson(stateFile(dataDir), STATE);
}

export function writeStreetState(dataDir: string, state: StreetState): Promise<void> {
  return replaceFile(stateFile(dataDir), JSON.stringify(state));
}

export async function dropStreetState(dataDir: string): Promise<void> {
  await unlink(stateFile(dataDir)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

function stateFile(dataDir: string): string {
  return join(dataDir, 'simulator-state.json');
}

/** @throws Error naming the file when it is there but cannot be used */
async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(`${file} cannot be used: ${reason}`);
  }
}

/** Secrets and states are the owner's alone. */
async function replaceFile(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
