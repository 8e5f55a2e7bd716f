// The contact sheet and the table: the slides that are meant, in an order.

const BY_STATE = ["failed", "damaged", "blocked", "missing", "stale", "current"];
const BY_VERDICT = ["reject", "review", "accept"];

function rankOf(slide) {
  return BY_STATE.indexOf(slide.state) * 10 - Math.min(9, slide.odd.length);
}

function hueOf(slide) {
  if (!slide.colour) return null;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(slide.colour.slice(at, at + 2), 16));
  return Math.atan2(Math.sqrt(3) * (green - blue), 2 * red - green - blue);
}

// What can be sorted by: a heading, the value, how it is shown in the table.
const COLUMNS = {
  worst: ["worst first", rankOf, null],
  id: ["slide", (s) => s.id, (s) => s.id],
  state: ["state", rankOf, (s) => (s.reason ? `${s.state} ${s.reason}` : s.state)],
  odd: ["odd", (s) => -s.odd.length, (s) => s.odd.join(", ")],
  patient: ["patient", (s) => s.facts.patient ?? null, (s) => s.facts.patient ?? ""],
  label: ["label", (s) => s.facts.label ?? null, (s) => s.facts.label ?? ""],
  site: ["site", (s) => s.facts.site ?? null, (s) => s.facts.site ?? ""],
  scanner: ["scanner", (s) => s.facts.scanner ?? null, (s) => s.facts.scanner ?? ""],
  mm2: ["tissue, mm²", (s) => s.mm2, (s) => shortNumber(s.mm2)],
  patches: ["patches", (s) => s.patches, (s) => shortNumber(s.patches)],
  focus: ["focus", (s) => s.focus, (s) => shortNumber(s.focus)],
  colour: ["colour", hueOf, (s) => (s.colour ? swatch(s.colour) : "")],
  bad: ["bad tiles", (s) => s.bad, (s) => (s.bad ? shortNumber(s.bad) : "")],
  verdict: ["verdict", (s) => (s.verdict ? BY_VERDICT.indexOf(s.verdict.word) : null), (s) => s.verdict?.word ?? ""],
};

const order = { by: "worst", isReversed: false };

// Slides in order; those without a value come last, whichever way.
function inOrder(slides) {
  const value = COLUMNS[order.by][1];
  const sign = order.isReversed ? -1 : 1;
  return [...slides].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a.n - b.n;
    if (x === y) return a.n - b.n;
    const later = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return sign * later || a.n - b.n;
  });
}

// Pictures are there while they are near to what is on show.
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const svg = target.querySelector("svg");
      if (isIntersecting) drawSlide(svg, target.slide, false);
      else svg.replaceChildren();
    }
  },
  { rootMargin: "300px" },
);

function cardOf(slide) {
  const svg = makeSvg("svg", { preserveAspectRatio: "xMidYMid meet" });
  const facts = [slide.facts.patient, slide.facts.label].filter(Boolean).join(" · ");
  const numbers = [
    slide.mm2 === null ? "" : shortNumber(slide.mm2, "mm²"),
    slide.patches === null ? "" : `${shortNumber(slide.patches)} patches`,
    slide.focus === null ? "" : `${focusWord()} ${shortNumber(slide.focus)}`,
  ].filter(Boolean);
  const card = make(
    "article",
    { class: "card", tabindex: "-1", "aria-label": `${slide.id}, ${slide.state}`, onclick: () => openSlide(slide) },
    make("div", { class: "picture" }, svg),
    make("div", { class: "name", title: slide.id }, slide.id),
    make("div", { class: "chips" }, ...chipsOf(slide)),
    make("div", { class: "numbers", title: `focus and colour: median of ${page.measuredOf}` }, numbers.join(" · "), slide.colour ? swatch(slide.colour) : ""),
    make("div", { class: "facts", title: facts }, facts),
  );
  card.slide = slide;
  return card;
}

function showSheet(place, slides) {
  watcher.disconnect();
  const cards = slides.map((slide) => (slide.card ??= cardOf(slide)));
  place.replaceChildren(...cards);
  for (const card of cards) watcher.observe(card);
  if (cards.length) cards[0].tabIndex = 0;
}

function heading(name, [title]) {
  const arrow = order.by === name ? (order.isReversed ? " ↓" : " ↑") : "";
  const sorted = order.by === name ? (order.isReversed ? "descending" : "ascending") : "none";
  return make(
    "th",
    { scope: "col", "aria-sort": sorted },
    make("button", { type: "button", onclick: () => sortBy(name) }, title + arrow),
  );
}

function lineOf(slide, columns) {
  const line = make(
    "tr",
    { class: "card", tabindex: "-1", onclick: () => openSlide(slide) },
    ...columns.map(([name, column]) => make("td", { class: name }, column[2](slide))),
  );
  line.slide = slide;
  return line;
}

function showTable(place, slides) {
  const isSaid = ([, column]) => column[2] && page.slides.some((slide) => column[2](slide) !== "");
  const columns = Object.entries(COLUMNS).filter(isSaid);
  const lines = slides.map((slide) => lineOf(slide, columns));
  place.replaceChildren(
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...columns.map(([name, column]) => heading(name, column)))),
      make("tbody", {}, ...lines),
    ),
  );
  if (lines.length) lines[0].tabIndex = 0;
}

// The card that arrows lead to from another.
function neighbour(card, key) {
  const cards = [...document.querySelectorAll("#slides .card")];
  const at = cards.indexOf(card);
  const inRow = cards.filter((one) => one.offsetTop === cards[0].offsetTop).length || 1;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -inRow, ArrowDown: inRow };
  if (key === "Home") return cards[0];
  if (key === "End") return cards.at(-1);
  return at < 0 ? cards[0] : cards[Math.min(cards.length - 1, Math.max(0, at + steps[key]))];
}

function focusCard(card) {
  if (!card) return;
  for (const other of document.querySelectorAll("#slides .card[tabindex='0']")) other.tabIndex = -1;
  card.tabIndex = 0;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}
