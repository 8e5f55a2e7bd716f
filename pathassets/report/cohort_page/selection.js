// Text of the filter -> its conditions: those of selections, joined by "and" alone, and words.
// What is not understood is a Fault, which names the part and what helps.

const LEXEME = new RegExp(
  [
    /(?<space>\s+)/,
    /(?<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/,
    /(?<word>(?:[^\s&|!()<>=:,@"'\\]|\\.)+)/,
    /(?<operator>[<>]=?|=)/,
    /(?<comma>,(?:\s*,)*)/,
    /(?<sign>[&|!()@:])/,
  ].map((one) => one.source).join("|"),
  "suy",
);
const NUMBER = /^[+-]?([0-9]{1,30}([.][0-9]{0,30})?|[.][0-9]{1,30})([eE][+-]?[0-9]{1,2})?$/;
const ESCAPE = /\\(?:([nrt\\"'])|(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|.?)/gsu;
const ESCAPED = { n: "\n", r: "\r", t: "\t" };
const IN_MARKS = "In quotation marks a text is looked for as it is";
const LACKING = {
  "|": "All conditions of the filter must hold: write label:a,b for values of which any will do",
  "(": `The filter knows no brackets. ${IN_MARKS}`,
  ")": `The filter knows no brackets. ${IN_MARKS}`,
  "@": `The filter does not know what was saved. ${IN_MARKS}`,
  ":": `A field stands before it, and a value after it. ${IN_MARKS}`,
};
const MAX_SHOWN = 60;

class Fault extends Error {
  constructor(fact, remedy) {
    super(`${fact}. ${remedy}${/[.?]$/.test(remedy) ? "" : "."}`);
  }
}

function quotedText(text) {
  return `'${shownText(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)} …` : text)}'`;
}

// What cannot be seen is written out, as in all that the page holds.
function shownText(text) {
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) => {
    const code = one.codePointAt(0);
    if (one === "\t" || one === "\r") return one === "\t" ? "\\t" : "\\r";
    const [sign, n] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${sign}${code.toString(16).padStart(n, "0")}`;
  });
}

function lexemes(text) {
  const found = [];
  LEXEME.lastIndex = 0;
  while (LEXEME.lastIndex < text.length) {
    const start = LEXEME.lastIndex;
    const one = LEXEME.exec(text);
    if (!one) {
      const mark = text[start];
      if (mark === "\\") throw new Fault("A backslash that nothing follows", "Write \\\\ for the backslash itself");
      throw new Fault(`A quotation mark that nothing closes: ${quotedText(text.slice(start))}`, `Close it with ${mark}`);
    }
    const [kind] = Object.entries(one.groups).find(([, said]) => said !== undefined);
    if (kind !== "space") found.push({ kind, text: one[0], start, end: LEXEME.lastIndex });
  }
  return found;
}

// What a quoted text says, or a word without its backslashes.
function literalOf({ kind, text }) {
  if (kind === "word") return text.replace(/\\(.)/gsu, "$1");
  return text.slice(1, -1).replace(ESCAPE, (whole, sign, hex) => {
    if (sign) return ESCAPED[sign] ?? sign;
    const code = hex ? parseInt(hex.slice(1), 16) : 0;
    if (code && code <= 0x10ffff) return String.fromCodePoint(code);
    throw new Fault(`${quotedText(whole)} stands for no character`, "Write \\\\ for the backslash itself");
  });
}

function sparedText(text) {
  return shownText(text).replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

// A value as the source of a pattern: in a word, * stands for any characters and ? for one.
function patternOf(token) {
  if (token.kind === "quoted") return sparedText(literalOf(token));
  return token.text.replace(/\\(.)|(\*+)|(\?)|([^\\*?]+)/gsu, (_, spared, many, one, text) =>
    many ? ".*" : one ? "." : sparedText(spared ?? text));
}

function isPattern(token) {
  return token.kind === "word" && /[*?]/.test(token.text.replace(/\\./gsu, ""));
}

// Tokens, read from the first on: conditions as {isNot, words} or {isNot, field, sign, values}.
class Reading {
  constructor(text) {
    this.text = text;
    this.tokens = lexemes(text);
    this.at = 0;
  }

  is(kind, text = null, ahead = 0) {
    const token = this.tokens[this.at + ahead];
    return token !== undefined && token.kind === kind && (text === null || token.text === text);
  }

  conditions() {
    const found = [];
    while (this.at < this.tokens.length) {
      found.push(this.condition());
      if (!this.is("sign", "&")) continue;
      this.at += 1;
      if (this.at === this.tokens.length) throw new Fault("The filter ends after &", "Write a condition after it, or leave it out");
    }
    return found;
  }

  condition() {
    let isNot = false;
    for (; this.is("sign", "!"); this.at += 1) isNot = !isNot;
    const asked = this.asked();
    if (asked) return { isNot, ...asked };
    const words = this.values();
    if (words.length === 1 && words[0].kind === "word" && /^(and|or|not)$/i.test(words[0].text)) {
      throw new Fault(`${quotedText(words[0].text)} joins nothing here`, `All conditions must hold; ! stands for not. ${IN_MARKS}`);
    }
    return { isNot, words };
  }

  // A field and what is asked of it; null where a word stands by itself.
  asked() {
    if (!this.is("word")) return null;
    const word = this.tokens[this.at];
    const more = this.is("quoted", null, 1) && this.tokens[this.at + 1].start === word.end ? 1 : 0;
    const isMatch = this.is("sign", ":", 1 + more);
    if (!isMatch && !this.is("operator", null, 1 + more)) return null;
    const which = more ? literalOf(this.tokens[this.at + 1]) : null;
    const sign = this.tokens[this.at + 1 + more];
    this.at += 2 + more;
    const place = this.text.slice(word.start, sign.end);
    const values = isMatch ? this.values(place) : [this.number(place)];
    return { field: { word: word.text, which, shown: this.text.slice(word.start, sign.start).trim() }, sign: sign.text, values };
  }

  values(after = "") {
    const found = [this.value(after)];
    while (this.is("comma")) {
      this.at += 1;
      if (!this.is("word") && !this.is("quoted")) break;
      found.push(this.value(after));
    }
    return found;
  }

  value(after) {
    const token = this.tokens[this.at];
    this.at += 1;
    if (token && (token.kind === "word" || token.kind === "quoted")) return token;
    if (!token && !after) throw new Fault("The filter ends after !", "Write after it what is not to be");
    if (!token) throw new Fault(`The filter ends after ${quotedText(after)}`, `Write a value after it; ${after}* is every slide that has one`);
    throw new Fault(`${quotedText(token.text)} is not understood here`, LACKING[token.text] ?? IN_MARKS);
  }

  // One word, with what follows a comma: 0,45 is told as a whole.
  number(after) {
    if (this.at === this.tokens.length) throw new Fault(`The filter ends after ${quotedText(after)}`, "Write a number after it, as 0.25");
    const [first, ...more] = this.values(after);
    if (!more.length) return first;
    const end = this.tokens[this.at - 1].end;
    return { kind: "word", text: this.text.slice(first.start, end), start: first.start, end };
  }
}

// ---------------------------------------------------------------------------- names that are near

function distance(a, b) {
  let line = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(line[j] + 1, next[j - 1] + 1, line[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    line = next;
  }
  return line[b.length];
}

// "Did you mean …?" for a name that is none; empty where nothing is like it.
function perhaps(name, known) {
  const short = name.slice(0, MAX_SHOWN).toLowerCase();
  const apart = [...new Set(known)].map((one) => [distance(short, one.slice(0, MAX_SHOWN).toLowerCase()), one]);
  const near = apart.filter(([n, one]) => n <= Math.max(1, Math.floor(Math.max(short.length, Math.min(one.length, MAX_SHOWN)) / 3)));
  const names = near.sort(([a], [b]) => a - b).slice(0, 3).map(([, one]) => quotedText(one));
  return names.length ? `Did you mean ${names.join(" or ")}?` : "";
}
