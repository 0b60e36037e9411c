import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import { verifyEd25519 } from './ed25519.js';
import { MalformedError, fromBase64, fromUtf8, toBase64, toUtf8 } from './bytes.js';

/**
 * C2SP signed-note: a text with signature lines beneath, each naming its key. A key that is not
 * known is ignored; a known key whose signature fails spoils the whole note.
 */
export interface SignedNote {
  /** What is signed, ending in a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** The first four bytes of SHA-256(name || "\n" || algorithm || public key). */
  readonly keyId: number;
  readonly signature: Uint8Array;
}

/** Something that can judge the signatures of one key. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: number;
  verify(text: string, signature: Uint8Array): boolean;
}

/** Something that signs with one key. */
export interface NoteSigner {
  readonly name: string;
  readonly keyId: number;
  sign(text: string): Uint8Array;
}

export type NoteVerdict =
  | { readonly outcome: 'verified'; readonly signatures: readonly NoteSignature[] }
  | { readonly outcome: 'bad_signature'; readonly name: string }
  | { readonly outcome: 'no_known_signature' };

const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;
const SIGNATURE_MARK = '\u2014 ';

/** The signatures that known keys made, in the order of the note. */
export function verifyNote(note: SignedNote, verifiers: readonly NoteVerifier[]): NoteVerdict {
  const signatures: NoteSignature[] = [];
  for (const signature of note.signatures) {
    const known = verifiers.filter(
      ({ name, keyId }) => name === signature.name && keyId === signature.keyId,
    );
    if (known.length > 1) throw new RangeError(`two verifiers of one key: ${signature.name}`);
    if (known.length === 0) continue;
    if (!known[0]!.verify(note.text, signature.signature)) {
      return { outcome: 'bad_signature', name: signature.name };
    }
    signatures.push(signature);
  }
  return signatures.length > 0
    ? { outcome: 'verified', signatures }
    : { outcome: 'no_known_signature' };
}

/** The note over `text` with one signature line a signer. @throws MalformedError on unsignable text */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  return addSignatures({ text, signatures: [] }, signers);
}

/** The note with lines of these signers appended; an older line of the same key gives way. */
export function addSignatures(note: SignedNote, signers: readonly NoteSigner[]): string {
  const kept = note.signatures.filter(
    (old) => !signers.some(({ name, keyId }) => name === old.name && keyId === old.keyId),
  );
  const made = signers.map(({ name, keyId, sign }) => ({
    name,
    keyId,
    signature: sign(note.text),
  }));
  return formatNote({ text: note.text, signatures: [...kept, ...made] });
}

/** @throws MalformedError on a note that `parseNote` would refuse */
export function formatNote(note: SignedNote): string {
  const formatted = `${note.text}\n${note.signatures.map(formatSignature).join('')}`;
  parseNote(formatted);
  return formatted;
}

/** One signature line, newline included. */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  return `${SIGNATURE_MARK}${name} ${toBase64(concatBytes(uint32(keyId), signature))}\n`;
}

/** @throws MalformedError on anything `formatNote` does not write */
export function parseNote(note: string | Uint8Array): SignedNote {
  const bytes = typeof note === 'string' ? toUtf8(note) : note;
  if (bytes.length > MAX_NOTE_BYTES)
    throw new MalformedError('a note of more than a million bytes');
  const whole = typeof note === 'string' ? note : fromUtf8(note);
  for (const letter of whole) {
    if (letter < ' ' && letter !== '\n')
      throw new MalformedError('a note with a control character');
  }
  const border = whole.lastIndexOf('\n\n');
  if (border < 0) throw new MalformedError('a note without an empty line before its signatures');
  const block = whole.slice(border + 2);
  if (!block.endsWith('\n')) throw new MalformedError('a note that does not end in a newline');
  const lines = block.slice(0, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new MalformedError('a note with over 100 signatures');
  return { text: whole.slice(0, border + 1), signatures: lines.map(parseSignature) };
}

/** @param line without its newline. @throws MalformedError */
export function parseSignature(line: string): NoteSignature {
  const [name, blob, ...more] = line.slice(SIGNATURE_MARK.length).split(' ');
  if (!line.startsWith(SIGNATURE_MARK) || !blob || more.length > 0) {
    throw new MalformedError('a signature line that is not "\u2014 name base64"');
  }
  assertKeyName(name!);
  const bytes = fromBase64(blob);
  if (bytes.length < 5) throw new MalformedError('a signature shorter than its key id');
  return { name: name!, keyId: readUint32(bytes), signature: bytes.slice(4) };
}

/**
 * Signature types of C2SP signed-note. Keys of ML-DSA-44 cosigners (06) can be named and are carried
 * along; nothing here makes or checks their signatures, which are ignored as those of unknown keys.
 */
export const ALGORITHM = { ed25519: 1, cosignature: 4, mlDsa44: 6 } as const;
export type Algorithm = (typeof ALGORITHM)[keyof typeof ALGORITHM];

export interface VerifierKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly publicKey: Uint8Array;
}

export interface SignerKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  /** The Ed25519 seed, 32 bytes, secret. */
  readonly seed: Uint8Array;
}

/** @throws MalformedError for an algorithm that nothing here signs with */
export function verifierKeyOf({ name, algorithm, seed }: SignerKey): VerifierKey {
  if (algorithm === ALGORITHM.mlDsa44) throw new MalformedError('no private keys of ML-DSA-44');
  return { name, algorithm, publicKey: ed25519.getPublicKey(seed) };
}

export function keyIdOf({ name, algorithm, publicKey }: VerifierKey): number {
  const head = concatBytes(toUtf8(`${name}\n`), Uint8Array.of(algorithm));
  return readUint32(sha256(concatBytes(head, publicKey)));
}

/** `name+hex8+base64`, the "vkey" by which a key is handed to others. */
export function formatVerifierKey(key: VerifierKey): string {
  assertKeyName(key.name);
  return `${key.name}+${hex8(keyIdOf(key))}+${keyMaterial(key.algorithm, key.publicKey)}`;
}

/** @throws MalformedError on a vkey that is not canonical, whose id is wrong, or of another algorithm */
export function parseVerifierKey(text: string): VerifierKey {
  const [name, material, id] = splitKey(text);
  const key: VerifierKey = { name, ...parseKeyMaterial(material) };
  if (id !== hex8(keyIdOf(key))) throw new MalformedError('a key whose id does not fit');
  return key;
}

/** `PRIVATE+KEY+name+hex8+base64`; the id is that of the public key. */
export function formatSignerKey(key: SignerKey): string {
  assertKeyName(key.name);
  const id = hex8(keyIdOf(verifierKeyOf(key)));
  return `${PRIVATE_KEY}${key.name}+${id}+${keyMaterial(key.algorithm, key.seed)}`;
}

/** @throws MalformedError; its message never repeats the key */
export function parseSignerKey(text: string): SignerKey {
  if (!text.startsWith(PRIVATE_KEY)) throw new MalformedError('not a private key of a note');
  const [name, material, id] = splitKey(text.slice(PRIVATE_KEY.length));
  const { algorithm, publicKey: seed } = parseKeyMaterial(material);
  const key: SignerKey = { name, algorithm, seed };
  if (id !== hex8(keyIdOf(verifierKeyOf(key))))
    throw new MalformedError('a key whose id does not fit');
  return key;
}

/** Judges plain Ed25519 signatures over the note's text (type 01). */
export function ed25519Verifier(key: VerifierKey): NoteVerifier {
  if (key.algorithm !== ALGORITHM.ed25519) throw new RangeError(`${key.name} is of another type`);
  return {
    name: key.name,
    keyId: keyIdOf(key),
    verify: (text, signature) => verifyEd25519(key.publicKey, toUtf8(text), signature),
  };
}

/** Signs the note's text with plain Ed25519 (type 01). */
export function ed25519Signer(key: SignerKey): NoteSigner {
  if (key.algorithm !== ALGORITHM.ed25519) throw new RangeError(`${key.name} is of another type`);
  return {
    name: key.name,
    keyId: keyIdOf(verifierKeyOf(key)),
    sign: (text) => ed25519.sign(toUtf8(text), key.seed),
  };
}

const PRIVATE_KEY = 'PRIVATE+KEY+';
const ML_DSA_44_KEY_BYTES = 1312;

function splitKey(text: string): [name: string, material: string, id: string] {
  const [name, id, ...rest] = text.split('+');
  assertKeyName(name!);
  // The base64 may itself contain "+": only the first two separate.
  return [name!, rest.join('+'), id ?? ''];
}

function keyMaterial(algorithm: Algorithm, key: Uint8Array): string {
  return toBase64(concatBytes(Uint8Array.of(algorithm), key));
}

function parseKeyMaterial(material: string): Omit<VerifierKey, 'name'> {
  const bytes = fromBase64(material);
  const algorithm = Object.values(ALGORITHM).find((known) => known === bytes[0]);
  if (algorithm === undefined) throw new MalformedError('a key of an algorithm not supported');
  const length = algorithm === ALGORITHM.mlDsa44 ? ML_DSA_44_KEY_BYTES : 32;
  if (bytes.length !== 1 + length) {
    throw new MalformedError(`a key that is not ${length} bytes long`);
  }
  return { algorithm, publicKey: bytes.slice(1) };
}

function assertKeyName(name: string): void {
  if (name === '' || !name.isWellFormed() || /[\p{White_Space}\p{Cc}+]/u.test(name)) {
    throw new MalformedError('a key name that is empty or holds a space or "+"');
  }
}

function hex8(id: number): string {
  return bytesToHex(uint32(id));
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function readUint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}
