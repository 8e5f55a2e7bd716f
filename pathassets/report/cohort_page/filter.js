// What is typed -> which slides are meant. Fields mean what they mean in a selection (selection.js);
// words are looked for in all that is said of a slide.

function labelsOf(slide, name) {
  const sources = [name === "label" ? slide.facts : slide.labels, slide.covered];
  return sources.filter((one) => Object.hasOwn(one, name)).map((one) => one[name]);
}

function assetsAsked(slide, of) {
  return of ? slide.assets.filter(([key]) => key === of) : slide.assets;
}

// What the page holds of each field of a selection; of numbers of assets, all by their names.
const SAID = {
  id: (s) => [s.id],
  patient: (s) => [s.facts.patient],
  site: (s) => [s.facts.site],
  cohort: (s) => s.cohorts,
  tag: (s) => s.tags,
  label: (s, of) => labelsOf(s, of || "label"),
  stain: (s) => [s.facts.stain],
  scanner: (s) => [s.facts.scanner],
  vendor: (s) => [s.vendor],
  mpp: (s) => [s.mpp],
  objective_power: (s) => [s.power],
  verdict: (s) => [s.verdict?.word],
  path: (s) => s.paths,
  annotated: (s) => s.annotated,
  state: (s, of) => assetsAsked(s, of).map(([, state]) => state),
  reason: (s, of) => assetsAsked(s, of).map(([, , reason]) => reason),
  n_bad_tiles: (s) => [s.tiles],
};
const MEASURED = ["n_patches", "tissue_mm2", "coverage", "focus", "blurred_share", "ink_share", "fold_share"];
for (const name of MEASURED) SAID[name] = (s, of) => assetsAsked(s, of).map(([, , , numbers]) => numbers[name]);

// Fields that the page has beside them.
const TEXT = { isText: true, isNumber: false, which: "", values: [] };
const COUNTED = { ...TEXT, isText: false, isNumber: true };
const OWN_FIELDS = {
  odd: [TEXT, (s) => s.odd],
  worst: [TEXT, (s) => [s.state]],
  mm2: [COUNTED, (s) => [s.mm2]],
  patches: [COUNTED, (s) => [s.patches]],
  bad: [COUNTED, (s) => [s.bad]],
  survey_focus: [COUNTED, (s) => [page.isSurveyed ? s.focus : null]],
};

const COMPARE = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => a === b,
};

function wordsOf(slide) {
  const said = [slide.id, slide.state, slide.reason, slide.message, ...slide.tags, ...slide.cohorts];
  const verdict = slide.verdict ? [slide.verdict.word, slide.verdict.who, slide.verdict.why] : [];
  const words = [...said, ...Object.values(slide.facts), ...Object.values(slide.labels)];
  return [...words, ...Object.values(slide.covered), ...slide.odd, ...verdict].join("\n").toLowerCase();
}

function labelNames(slides) {
  return new Set(slides.flatMap((s) => [...Object.keys(s.labels), ...Object.keys(s.covered)]));
}

// What a field is: its name, kind, and what a slide has of it.
function fieldOf({ word, which, shown }, slides) {
  const dot = word.search(/\./);
  const name = dot < 0 ? word : word.slice(0, dot);
  const asks = dot >= 0 || which !== null;
  const of = (dot < 0 ? "" : literalOf({ kind: "word", text: word.slice(dot + 1) })) + (which ?? "");
  if (Object.hasOwn(page.fields, name)) return ofSelection(name, of, asks, slides);
  if (Object.hasOwn(OWN_FIELDS, word) && which === null) {
    const [kind, said] = OWN_FIELDS[word];
    return { name: word, kind, said };
  }
  const label = literalOf({ kind: "word", text: word });
  const labels = labelNames(slides);
  if (labels.has(label) && which === null) {
    return { name: shown, kind: { ...page.fields.label }, said: (s) => labelsOf(s, label) };
  }
  const known = [...Object.keys(page.fields), ...Object.keys(OWN_FIELDS)];
  const remedy = perhaps(name, [...known, ...labels]) || `Fields are ${known.join(", ")}.`;
  throw new Fault(`There is no field ${quotedText(name)}`, `${remedy} ${IN_MARKS}`);
}

function ofSelection(name, of, asks, slides) {
  const kind = page.fields[name];
  if (!Object.hasOwn(SAID, name)) throw new Fault(`${name} is not on this page`, "pathassets select knows it");
  const fact = `${name} cannot be asked so`;
  if (asks && !kind.which) throw new Fault(fact, `Write ${name}: a slide has no several kinds of it`);
  if (asks && !of) throw new Fault(fact, `Write ${name}, or ${name}.NAME`);
  const assets = new Set(slides.flatMap((s) => s.assets.map(([key]) => key)));
  if (asks && kind.which === "asset" && slides.length && !assets.has(of)) {
    const near = perhaps(of, assets) || `They are ${[...assets].join(", ")}`;
    throw new Fault(`No asset on this page is called ${quotedText(of)}`, near);
  }
  return { name: of && `${name}.${of}` !== "label.label" ? `${name}.${of}` : name, kind, said: (slide) => SAID[name](slide, of) };
}

function isKnown(value) {
  return value !== undefined && value !== null && value !== "";
}

function matchTest({ name, kind, said }, values, slides, notes) {
  if (!kind.isText) throw new Fault(`${name} is a number`, `Compare it: ${name}<1, or ${name}=1`);
  if (name.startsWith("label.") && !labelNames(slides).has(name.slice(6))) {
    const near = perhaps(name.slice(6), labelNames(slides));
    notes.push(`No slide on this page has a label called ${quotedText(name.slice(6))}. ${near}`.trim());
    return () => false;
  }
  const literals = values.filter((one) => !isPattern(one)).map((one) => shownText(literalOf(one)));
  const unheard = kind.values.length ? literals.find((one) => !kind.values.includes(one)) : undefined;
  if (unheard !== undefined) {
    const near = perhaps(unheard, kind.values) || `They are ${kind.values.join(", ")}`;
    throw new Fault(`No ${name} is called ${quotedText(unheard)}`, near);
  }
  const here = new Set(slides.flatMap(said).filter(isKnown));
  const missing = literals.find((one) => !here.has(one));
  if (missing !== undefined) {
    notes.push(`No slide on this page has ${name} ${quotedText(missing)}. ${perhaps(missing, [...here])}`.trim());
  } else if (!here.size) notes.push(`No slide on this page has any ${name}.`);
  const pattern = new RegExp(`^(?:${values.map(patternOf).join("|")})$`, "su");
  return (slide) => said(slide).some((one) => isKnown(one) && pattern.test(one));
}

function numberOf(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && NUMBER.test(value) ? Number(value) : null;
}

function compareTest({ name, kind, said }, sign, value, slides, notes) {
  if (!kind.isNumber) throw new Fault(`${name} is a text, and no number`, `Write ${name}:${value.text}`);
  const text = literalOf(value);
  if (!NUMBER.test(text)) throw new Fault(`${quotedText(text)} is no number`, "Write one, as 0.25");
  if (!slides.some((slide) => said(slide).some((one) => numberOf(one) !== null))) {
    notes.push(`No slide on this page has a number of ${name}.`);
  }
  const holds = COMPARE[sign];
  return (slide) => said(slide).some((one) => numberOf(one) !== null && holds(numberOf(one), Number(text)));
}

function wordTest(words) {
  const pattern = new RegExp(words.map(patternOf).join("|"), "iu");
  return (slide) => pattern.test(slide.words);
}

function testOf({ words, field, sign, values }, slides, notes) {
  if (words) return wordTest(words);
  const asked = fieldOf(field, slides);
  return sign === ":"
    ? matchTest(asked, values, slides, notes)
    : compareTest(asked, sign, values[0], slides, notes);
}

// Which slides are meant: those that all conditions hold of. `said` is what there is to say of the
// filter; where it is not understood, no slide is left out.
function readFilter(text, slides) {
  const said = [];
  try {
    const tests = new Reading(text).conditions().map((one) => {
      const test = testOf(one, slides, said);
      return one.isNot ? (slide) => !test(slide) : test;
    });
    return { isMeant: (slide) => tests.every((test) => test(slide)), said, isFault: false };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { isMeant: () => true, said: [error.message, "Until then no slide is left out."], isFault: true };
  }
}

// A condition as it is typed.
function conditionText(field, value) {
  if (typeof value === "number") return `${field}=${value}`;
  return `${field}:${writtenText(value)}`;
}

function writtenText(text) {
  if (/^[\w.\-/+%#]+$/.test(text)) return text;
  return `"${text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}

function conditionPattern(said) {
  return new RegExp(`(^|\\s)${said.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}(?=\\s|$)`, "u");
}

function isAsked(text, said) {
  return conditionPattern(said).test(text);
}

// The filter with one condition more, or without it where it was there.
function toggled(text, said) {
  return isAsked(text, said) ? text.replace(conditionPattern(said), "").trim() : `${text} ${said}`.trim();
}
