import ts from 'typescript';
import { eachNode, type Import } from './project.js';

/**
 * What a pure file may not do: know the time, chance, the environment or the network, wait, hold SQL,
 * or import what does. Types are free: they are gone when it runs.
 */

/** @returns the imports that bring an effect along */
export function impureImports(path: string, imports: readonly Import[]): string[] {
  return imports
    .filter(({ target, typeOnly }) => !typeOnly && !isPureImport(path, target))
    .map(({ target }) => target);
}

/** @returns the effects that the file itself names */
export function impurities(source: ts.SourceFile): string[] {
  const excepted = EXCEPTED[source.fileName];
  const found: string[] = [];
  eachNode(source, (node) => {
    if (ts.isIdentifier(node) && isFree(node)) {
      if (GLOBALS.has(node.text)) found.push(node.text);
      if (RANDOM.test(node.text) && ts.isImportSpecifier(node.parent)) found.push(node.text);
    }
    if (ts.isPropertyAccessExpression(node) && CLOCKS.has(node.getText())) {
      found.push(node.getText());
    }
    if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
      if (!node.arguments?.length) found.push('new Date()');
    }
    const text = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) ? node.text : '';
    if (
      /\b(SELECT\b.+\bFROM|INSERT INTO|DELETE FROM|UPDATE \w+\s+SET|CREATE TABLE)\b/s.test(text)
    ) {
      found.push('SQL');
    }
  });
  return found.filter((effect) => effect !== excepted?.effect);
}

/** One effect of one file that is none: why. */
const EXCEPTED: Readonly<Record<string, { effect: string; because: string }>> = {
  'src/transparency/sha256.ts': {
    effect: 'process',
    because: 'it asks for the built-in SHA-256, which gives the same bytes as the portable one',
  },
  'src/transparency/ed25519.ts': {
    effect: 'process',
    because: 'it asks for the built-in verifier, which gives the same verdicts as the portable one',
  },
};

const PURE_PACKAGES =
  /^(zod|lossless-json|csv-parse\/sync|csv-stringify\/sync|sparkplug-payload\/.+|node:crypto|node:util|@noble\/.+)$/;
const RANDOM = /^(random|generate|webcrypto|subtle|getRandomValues)/;
const GLOBALS = new Set(
  'process performance fetch console setTimeout setInterval setImmediate'.split(' '),
);
const CLOCKS = new Set(['Date.now', 'Math.random', 'crypto.randomUUID', 'crypto.getRandomValues']);

function isPureImport(path: string, target: string): boolean {
  if (target.startsWith('src/')) {
    return /\/[^/.]+\.ts$/.test(target) && target !== 'src/config.ts';
  }
  // What checks the log's proofs also runs in a browser.
  const forNodeOnly = path.includes('/transparency/') && target.startsWith('node:');
  return PURE_PACKAGES.test(target) && !forNodeOnly;
}

/** A name by itself, not a member or a key of something else. */
function isFree(node: ts.Identifier): boolean {
  const { parent } = node;
  const isMember = ts.isPropertyAccessExpression(parent) && parent.name === node;
  return !isMember && !ts.isPropertyAssignment(parent) && !ts.isPropertySignature(parent);
}
