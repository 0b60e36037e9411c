import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The project's own files and what they import, for tests that look at the code itself. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** An import or re-export of a module. */
export interface Import {
  /** Path within the project for a relative import, else the package's name as written. */
  readonly target: string;
  /** Whether it is gone once compiled. */
  readonly typeOnly: boolean;
}

/** All files of the project with `/` in their paths, sorted; not what `.gitignore` names. */
export function projectFiles(): string[] {
  const ignored = ignoredNames();
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(posix.join(ROOT, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      const isFolder = entry.isDirectory() || entry.isSymbolicLink();
      if (entry.name === '.git' || ignored(entry.name, path, isFolder)) continue;
      if (entry.isDirectory()) walk(path);
      else found.push(path);
    }
  };
  walk('');
  return found.sort();
}

export function readProjectFile(path: string): string {
  return readFileSync(posix.join(ROOT, path), 'utf8');
}

/** Absolute path of a project file. */
export function projectPath(path: string): string {
  return posix.join(ROOT, path);
}

/** The file as TypeScript's tree, with links to parents. */
export function parseSource(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readProjectFile(path), ts.ScriptTarget.Latest, true);
}

export function importsOf(source: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Expression | undefined, typeOnly: boolean): void => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    found.push({ target: resolved(source.fileName, specifier.text), typeOnly });
  };
  eachNode(source, (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isErased(node.importClause));
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
  });
  return found;
}

export function eachNode(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => eachNode(child, visit));
}

/** `import type`, or braces around nothing but types. */
function isErased(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = clause;
  return (
    name === undefined &&
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.length > 0 &&
    namedBindings.elements.every((element) => element.isTypeOnly)
  );
}

function resolved(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  const path = posix.join(posix.dirname(from), specifier);
  return path.replace(/\.js$/, '.ts');
}

/** The patterns of `.gitignore`: folders as `name/`, names, and paths from the root as `/path`. */
function ignoredNames(): (name: string, path: string, isFolder: boolean) => boolean {
  const patterns = readProjectFile('.gitignore')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const rules = patterns.map((pattern) => {
    const folder = pattern.endsWith('/');
    const rooted = pattern.startsWith('/');
    const text = pattern.replace(/^\/|\/$/g, '');
    const escaped = text.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
    return { folder, rooted, matches: new RegExp(`^${escaped}$`) };
  });
  return (name, path, isFolder) =>
    rules.some(
      ({ folder, rooted, matches }) => (isFolder || !folder) && matches.test(rooted ? path : name),
    );
}
