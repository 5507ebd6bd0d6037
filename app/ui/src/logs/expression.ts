/** Regular expressions as the server reads them (RE2), in the browser's dialect. */

const POSIX: Record<string, string> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`\\{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};
// RE2's are ASCII, the browser's not all.
const SPACE = '\\t\\n\\f\\r ';
const REPEATED = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/;

class Differs extends Error {}

/**
 * The expression that matches the same in the browser; undefined for one that the browser has no like of,
 * is none, or might take longer than a reader waits: the browser tries every way through a repeated group
 * that can be cut in several.
 */
export function browserExpression(source: string): RegExp | undefined {
  try {
    const [, flags = '', rest = source] = /^\(\?([ims]+)\)(.*)$/s.exec(source) ?? [];
    const pattern = new Translation(rest, flags).pattern();
    return new RegExp(pattern, `gu${flags.includes('i') ? 'i' : ''}`);
  } catch (error) {
    if (error instanceof Differs || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

class Translation {
  #at = 0;
  #out = '';
  /** Of each open group: whether it can match in several ways. */
  #groups: boolean[] = [];

  constructor(
    readonly source: string,
    readonly flags: string,
  ) {}

  pattern(): string {
    while (this.#at < this.source.length) this.#next();
    return this.#out;
  }

  #next() {
    const rest = this.source.slice(this.#at);
    const repeated = REPEATED.exec(rest)?.[0];
    const letter = rest[0]!;
    if (repeated) {
      this.#take(repeated.length, repeated);
      this.#groups = this.#groups.map(() => true);
    } else if (letter === '\\') this.#escape(rest, false);
    else if (letter === '[') this.#class();
    else if (letter === '(') this.#open(rest);
    else if (letter === ')') this.#close(rest);
    else if (letter === '|') {
      this.#groups = this.#groups.map(() => true);
      this.#take(1, letter);
    } else if (letter === '.') this.#take(1, this.flags.includes('s') ? '[^]' : '[^\\n]');
    else if (letter === '^') this.#take(1, this.flags.includes('m') ? '(?<![^\\n])' : '^');
    else if (letter === '$') this.#take(1, this.flags.includes('m') ? '(?![^\\n])' : '$');
    else this.#literal(rest);
  }

  #take(length: number, pattern: string) {
    this.#at += length;
    this.#out += pattern;
  }

  #literal(rest: string) {
    const point = String.fromCodePoint(rest.codePointAt(0)!);
    this.#take(point.length, literal(point));
  }

  #open(rest: string) {
    const [opening = '', name] = /^\((?:\?:|\?P?<([A-Za-z_]\w*)>)?/.exec(rest)!;
    // Flags of a part, and what RE2 has no like of.
    if (opening === '(' && rest[1] === '?') throw new Differs();
    this.#take(opening.length, name ? `(?<${name}>` : opening);
    this.#groups.push(false);
  }

  #close(rest: string) {
    const several = this.#groups.pop();
    if (several === undefined) throw new Differs();
    const repeated = REPEATED.exec(rest.slice(1))?.[0];
    if (several && repeated && !repeated.startsWith('?')) throw new Differs();
    this.#take(1, ')');
  }

  #escape(rest: string, inClass: boolean) {
    const [letter = ''] = rest.slice(1);
    const property = /^\\([pP])(?:([A-Z])|\{([A-Za-z_]+)\})/.exec(rest);
    const hex = /^\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(rest);
    const quoted = /^\\Q(.*?)(?:\\E|$)/s.exec(rest);
    if (property) {
      const name = property[2] ?? property[3]!;
      const of = name.length <= 2 ? name : `Script=${name}`;
      this.#take(property[0].length, `\\${property[1]}{${of}}`);
    } else if (hex) this.#take(hex[0].length, `\\u{${hex[1] ?? hex[2]}}`);
    else if (quoted && !inClass)
      this.#take(quoted[0].length, [...quoted[1]!].map(literal).join(''));
    else if (/[dDwWtnrfv]/.test(letter)) this.#take(2, `\\${letter}`);
    else if (letter === 's') this.#take(2, inClass ? SPACE : `[${SPACE}]`);
    else if (letter === 'S' && !inClass) this.#take(2, `[^${SPACE}]`);
    else if (letter === 'a') this.#take(2, '\\x07');
    else if (/[bBAz]/.test(letter) && !inClass)
      this.#take(2, letter === 'A' ? '^' : letter === 'z' ? '$' : `\\${letter}`);
    else if (letter && /[!-/:-@[-`{-~]/.test(letter))
      this.#take(2, inClass ? inSet(letter) : literal(letter));
    else throw new Differs();
  }

  #class() {
    this.#take(1, '[');
    if (this.source[this.#at] === '^') this.#take(1, '^');
    for (let first = true; ; first = false) {
      const rest = this.source.slice(this.#at);
      if (!rest) throw new Differs();
      const posix = /^\[:(\w+):\]/.exec(rest);
      if (rest[0] === ']' && !first) break;
      if (posix) this.#take(posix[0].length, POSIX[posix[1]!] ?? differs());
      else if (rest.startsWith('[:')) throw new Differs();
      else if (rest[0] === '\\') this.#escape(rest, true);
      else if (rest[0] === '-') this.#take(1, this.#between(rest, first) ? '-' : '\\-');
      else {
        const point = String.fromCodePoint(rest.codePointAt(0)!);
        this.#take(point.length, inSet(point));
      }
    }
    this.#take(1, ']');
  }

  /** Whether a `-` is between the ends of a range. */
  #between = (rest: string, first: boolean) => !first && rest[1] !== ']';
}

const differs = (): never => {
  throw new Differs();
};

/** This character and no other. */
export const literal = (point: string) => point.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
const inSet = (point: string) => point.replace(/[\\^\-[\]]/g, '\\$&');
