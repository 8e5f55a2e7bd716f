// What is typed -> which slides are meant. Words are looked for in all that is said of a slide;
// state:failed, label:"a b", !tag:x, mm2<1 as the selections of `pathassets select` have them.

const WORD_FIELDS = {
  id: (s) => [s.id],
  patient: (s) => [s.facts.patient],
  site: (s) => [s.facts.site],
  label: (s) => [s.facts.label],
  scanner: (s) => [s.facts.scanner],
  stain: (s) => [s.facts.stain],
  tag: (s) => s.tags,
  cohort: (s) => s.cohorts,
  state: (s) => [s.state],
  reason: (s) => [s.reason],
  odd: (s) => s.odd,
  verdict: (s) => [s.verdict ? s.verdict.word : "none"],
};

const NUMBER_FIELDS = {
  mm2: (s) => s.mm2,
  patches: (s) => s.patches,
  focus: (s) => s.focus,
  bad: (s) => s.bad,
  mpp: (s) => s.mpp,
};

const TOKEN = /(!?)(?:([^\s:<>="!]+)(:|<=|>=|<|>|=))?(?:"([^"]*)"|([^\s&]+))/g;

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
  return [...words, ...slide.odd, ...verdict].join("\n").toLowerCase();
}

function patternOf(text) {
  const parts = text.toLowerCase().split("*").map((part) => part.replace(/[.+?^${}()|[\]\\/]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "su");
}

// `values` are such that any will do.
function fieldTest(field, sign, values) {
  if (field in NUMBER_FIELDS) {
    const compare = COMPARE[sign === ":" ? "=" : sign];
    const number = Number(values[0]);
    return (slide) => NUMBER_FIELDS[field](slide) !== null && compare(NUMBER_FIELDS[field](slide), number);
  }
  const name = field.replace(/^label\./, "");
  const wordsIn = WORD_FIELDS[field] ?? ((slide) => [slide.labels[name]]);
  const patterns = values.map(patternOf);
  return (slide) =>
    wordsIn(slide).some((word) => patterns.some((one) => one.test((word ?? "").toLowerCase())));
}

function isField(field, slides) {
  const name = field.replace(/^label\./, "");
  return field in WORD_FIELDS || field in NUMBER_FIELDS || slides.some((s) => Object.hasOwn(s.labels, name));
}

// One test for each word; a slide is meant where all hold.
function readFilter(text, slides) {
  const tests = [];
  for (const [whole, not, field, sign, quoted, bare] of text.matchAll(TOKEN)) {
    const values = quoted === undefined ? bare.split(",") : [quoted];
    let test;
    if (field && isField(field, slides)) {
      test = fieldTest(field, sign, values);
    } else {
      const word = whole.slice(not.length).replaceAll('"', "").toLowerCase();
      test = (slide) => slide.words.includes(word);
    }
    tests.push(not ? (slide) => !test(slide) : test);
  }
  return (slide) => tests.every((test) => test(slide));
}

// The filter with one condition more, or without it where it was there.
function toggled(text, field, value) {
  const said = /^[\w.-]+$/.test(value) ? `${field}:${value}` : `${field}:"${value.replaceAll('"', "*")}"`;
  const without = text.replace(said, "").replace(/\s+/g, " ").trim();
  return text.includes(said) ? without : `${text} ${said}`.trim();
}
