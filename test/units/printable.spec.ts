import { expect, it } from '@jest/globals';
import { printable } from '../../src/units/printable.js';

it.each([
  ['clears the screen', 'tele/\u001b[2Jx', 'tele/\uFFFD[2Jx'],
  ['names the window', '\u001b]0;root\u0007', '\uFFFD]0;root\uFFFD'],
  ['does so in one character', '\u009b2J', '\uFFFD2J'],
  ['fakes a line', 'a\r\nmeter-test: all is well', 'a\uFFFD\uFFFDmeter-test: all is well'],
  ['turns what follows round', 'a\u202Egnp.exe', 'a\uFFFDgnp.exe'],
  ['is what it seems', 'Müller’s Zähler №1 – 家', 'Müller’s Zähler №1 – 家'],
])('text that %s', (_, text, shown) => {
  expect(printable(text)).toBe(shown);
});
