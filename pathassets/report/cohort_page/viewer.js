// One slide, large: zoomed and moved, with all that is known of it, and a verdict given.

const MAX_ZOOM = 40;
let opened = null;

function viewer() {
  return document.getElementById("viewer");
}

function openSlide(slide) {
  opened = slide;
  if (!viewer().open) {
    viewer().showModal();
    viewer().focus(); // and not its first button, which Enter would press
  }
  showOpened();
  focusQuietly(slide);
}

// The card behind is where the reader is when the viewer closes.
function focusQuietly(slide) {
  for (const card of document.querySelectorAll("#slides .card")) card.tabIndex = card.slide === slide ? 0 : -1;
}

function showOpened() {
  const svg = document.getElementById("large");
  svg.removeAttribute("viewBox");
  drawSlide(svg, opened, true);
  document.getElementById("viewer-name").textContent = opened.id;
  const at = meant.indexOf(opened) + 1;
  document.getElementById("viewer-place").textContent = at ? `${at} of ${meant.length}` : "";
  document.getElementById("viewer-chips").replaceChildren(...chipsOf(opened));
  document.getElementById("viewer-facts").replaceChildren(...factsOf(opened));
  document.getElementById("viewer-assets").replaceChildren(...assetsOf(opened));
  lookOf(opened).then((look) => showProblems(opened, look.problems ?? []));
  showProblems(opened, []);
  showVerdict();
}

function showProblems(slide, problems) {
  if (slide !== opened) return;
  const said = [...Object.values(slide.broken), ...problems];
  if (slide.message) said.unshift(`${slide.asset}: ${slide.message}`);
  const remedy = slide.remedy ? make("p", { class: "remedy" }, slide.remedy) : "";
  document.getElementById("viewer-problems").replaceChildren(...said.map((one) => make("p", {}, one)), remedy);
}

function factsOf(slide) {
  const size = `${slide.size[0].toLocaleString("en")} × ${slide.size[1].toLocaleString("en")} px`;
  const facts = [
    ...Object.entries(slide.facts),
    ...Object.entries(slide.labels),
    ["tags", slide.tags.join(", ")],
    ["cohorts", slide.cohorts.join(", ")],
    ["tissue", shortNumber(slide.mm2, "mm²")],
    ["patches", shortNumber(slide.patches)],
    [focusWord(), slide.focus === null ? "" : `${shortNumber(slide.focus)}, median of ${page.measuredOf}`],
    ["bad tiles", slide.bad ? String(slide.bad) : ""],
    ["size", size],
    ["resolution", slide.mpp === null ? "not stated" : `${shortNumber(slide.mpp)} µm per pixel`],
    ["file", slide.paths[0] ?? ""],
  ];
  const lines = facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  if (!page.served) return lines;
  const href = `assets/slide?partition=${encodeURIComponent(slide.id)}&view=partitions`;
  return [...lines, make("dt", {}, "in Dagster"), make("dd", {}, make("a", { href }, "its partition"))];
}

// Where each asset of the recipe stands.
function assetsOf(slide) {
  return slide.assets.map(([name, state]) =>
    make("li", {}, name, " ", make("span", { class: `chip ${state}` }, state)));
}

// Zoom by a factor around a point, in shares of what is shown; 0 shows all.
function zoom(factor, share = [0.5, 0.5]) {
  const svg = document.getElementById("large");
  const [width, height] = frameOf(opened);
  if (!factor) return svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const box = svg.viewBox.baseVal;
  const newWidth = Math.min(width, Math.max(width / MAX_ZOOM, box.width / factor));
  const newHeight = (newWidth * height) / width;
  const x = box.x + share[0] * (box.width - newWidth);
  const y = box.y + share[1] * (box.height - newHeight);
  return moveTo(svg, x, y, newWidth, newHeight);
}

function moveTo(svg, x, y, width, height) {
  const [wide, high] = frameOf(opened);
  const left = Math.min(Math.max(0, x), Math.max(0, wide - width));
  const top = Math.min(Math.max(0, y), Math.max(0, high - height));
  svg.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
}

function prepareZoom() {
  const svg = document.getElementById("large");
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const edge = svg.getBoundingClientRect();
    const share = [(event.clientX - edge.left) / edge.width, (event.clientY - edge.top) / edge.height];
    zoom(event.deltaY < 0 ? 1.25 : 0.8, share);
  }, { passive: false });
  svg.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) return;
    const box = svg.viewBox.baseVal;
    const perPixel = Math.max(box.width / svg.clientWidth, box.height / svg.clientHeight);
    moveTo(svg, box.x - event.movementX * perPixel, box.y - event.movementY * perPixel, box.width, box.height);
  });
}

function step(by) {
  const next = meant[meant.indexOf(opened) + by];
  if (next) openSlide(next);
}

// ---------------------------------------------------------------------------- verdicts

function showVerdict() {
  const given = opened.verdict;
  const said = given ? `${given.word} by ${given.who}, ${given.when}: ${given.why}` : "none yet";
  document.getElementById("verdict-given").textContent = said;
  document.getElementById("verdict-said").textContent = "";
  if (page.takesVerdicts) fillForm(given?.word ?? "", "");
  const command = `pathassets qc set ${opened.id} reject --who NAME --why REASON`;
  const hint = document.getElementById("verdict-hint");
  hint.hidden = page.served;
  hint.textContent = command;
}

function fillForm(word, why) {
  const { elements } = document.getElementById("verdict-form");
  elements.word.value = word;
  elements.why.value = why;
}

function beginVerdict(word) {
  if (!page.takesVerdicts) return;
  const form = document.getElementById("verdict-form");
  form.elements.word.value = word;
  (form.elements.who.value ? form.elements.why : form.elements.who).focus();
}

// The verdict in force is another one than is shown here.
const OVERTAKEN = 409;
const giving = new Set(); // slides of which a verdict is on its way

async function giveVerdict(event) {
  event.preventDefault();
  const { word, who, why } = event.target.elements;
  const slide = opened;
  if (giving.has(slide)) return; // a second Enter would not have seen what the first one gives
  giving.add(slide);
  const seen = slide.verdict?.at ?? null;
  const given = { slide_id: slide.id, verdict: word.value, who: who.value, why: why.value, seen };
  const said = document.getElementById("verdict-said");
  try {
    const answer = await fetch("cohort/verdict", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
    });
    const body = await answer.json();
    if (!answer.ok && answer.status !== OVERTAKEN) throw new Error(body.error);
    takeVerdict(slide, body.verdict);
    localStorage.setItem("who", given.who);
    if (answer.ok) viewer().focus();
    else if (slide === opened) fillForm(given.verdict, given.why);
    said.textContent = answer.ok ? "kept" : body.error;
  } catch (error) {
    said.textContent = String(error.message || error);
  } finally {
    giving.delete(slide);
  }
}

function takeVerdict(slide, verdict) {
  slide.verdict = verdict;
  slide.card = null;
  prepareSlide(slide);
  showMeant();
  if (slide === opened) showOpened();
}

const IN_VIEWER = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "+": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: () => zoom(0),
  a: () => beginVerdict("accept"),
  r: () => beginVerdict("reject"),
  v: () => beginVerdict("review"),
};

function prepareViewer() {
  const form = document.getElementById("verdict-form");
  form?.addEventListener("submit", giveVerdict);
  if (form) form.elements.who.value = localStorage.getItem("who") ?? "";
  document.getElementById("viewer-close").addEventListener("click", () => viewer().close());
  document.getElementById("viewer-before").addEventListener("click", () => step(-1));
  document.getElementById("viewer-next").addEventListener("click", () => step(1));
  viewer().addEventListener("close", () => {
    focusCard(document.querySelector("#slides .card[tabindex='0']"));
    opened = null;
  });
  prepareZoom();
}
