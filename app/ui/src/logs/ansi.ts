/** Terminal escapes in messages: colours and weights become classes, all others go. */

import Anser from 'anser';

/** A piece of text that looks the same throughout. Of the 256 colours, `foreground` and `background`
 * are CSS colours; the 16 named ones are classes, so that they fit the theme. */
export interface Piece {
  text: string;
  classes: string[];
  foreground?: string;
  background?: string;
}

const ESCAPE = '\u001b';
// Cursor moves, titles, links, charset switches: whatever is no colour. The text of a link stays.
const OTHERS =
  // eslint-disable-next-line no-control-regex
  /\u001b\[[0-9;?<>=]*[ -/]*[@-ln-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[PX^_][^\u001b]*(?:\u001b\\)?|\u001b[ -/]*[0-Z\\^-~]|\u001b(?!\[[0-9;]*m)/g;
// eslint-disable-next-line no-control-regex
const COLOURS = /\u001b\[[0-9;]*m/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

/** The text without any escape: what is searched, copied and folded. */
export function plain(text: string): string {
  if (!text.includes(ESCAPE)) return clean(text);
  return clean(text.replace(OTHERS, '').replace(COLOURS, ''));
}

/** The text in pieces whose texts, joined, are `plain(text)`. */
export function pieces(text: string): Piece[] {
  if (!text.includes(ESCAPE)) return [{ text: clean(text), classes: [] }];
  const known = text.replace(OTHERS, '');
  return Anser.ansiToJson(known, { json: true, use_classes: true, remove_empty: true })
    .map((entry): Piece => {
      const piece: Piece = { text: clean(entry.content), classes: [...entry.decorations] };
      colour(entry.fg, entry.fg_truecolor, (named, value) => {
        if (named) piece.classes.push(named);
        else piece.foreground = value;
      });
      colour(entry.bg, entry.bg_truecolor, (named, value) => {
        if (named) piece.classes.push(`on-${named}`);
        else piece.background = value;
      });
      return piece;
    })
    .filter((piece) => piece.text);
}

function clean(text: string): string {
  return text.replace(CONTROLS, '').replaceAll('\r\n', '\n').replaceAll('\r', '\n');
}

function colour(
  name: string | null,
  exact: string | null,
  use: (named: string, value: string) => void,
) {
  if (name === 'ansi-truecolor' && exact) use('', `rgb(${exact})`);
  else if (name?.startsWith('ansi-palette-')) use('', ofPalette(Number(name.slice(13))));
  else if (name) use(name, '');
}

/** Colours 16 to 255 of the terminal's palette: a cube of 6 × 6 × 6, and 24 greys. */
function ofPalette(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey}, ${grey}, ${grey})`;
  }
  const step = (value: number) => (value ? 55 + value * 40 : 0);
  const at = index - 16;
  return `rgb(${step(Math.floor(at / 36))}, ${step(Math.floor(at / 6) % 6)}, ${step(at % 6)})`;
}
