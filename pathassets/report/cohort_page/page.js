// The page: what is meant, in which order and form; keys. The parts are in the files before this.

const page = JSON.parse(document.getElementById("page").textContent);
COLUMNS.focus[0] = focusWord();
let meant = [];
let form = "sheet";

function prepareSlide(slide) {
  slide.words = wordsOf(slide);
}

function sortBy(name) {
  order.isReversed = order.by === name ? !order.isReversed : false;
  order.by = name;
  document.getElementById("sort").value = name;
  showMeant();
}

function toggleFilter(field, value) {
  const box = document.getElementById("filter");
  box.value = toggled(box.value, conditionText(field, value));
  showMeant();
}

function showMeant() {
  const text = document.getElementById("filter").value;
  const asked = readFilter(text, page.slides);
  for (const slide of page.slides) slide.isMeant = asked.isMeant(slide);
  meant = inOrder(page.slides.filter((slide) => slide.isMeant));
  const place = document.getElementById("slides");
  place.className = form;
  (form === "sheet" ? showSheet : showTable)(place, meant);
  document.getElementById("count").textContent = `${meant.length} of ${page.slides.length} slides`;
  document.getElementById("none").hidden = meant.length > 0;
  showSaid(asked);
  showChips(text);
  dimMap();
}

// What there is to say of the filter, under it.
function showSaid({ said, isFault }) {
  const place = document.getElementById("filter-said");
  place.textContent = said.join(" ");
  place.hidden = !said.length;
  place.classList.toggle("is-fault", isFault);
  document.getElementById("filter").setAttribute("aria-invalid", String(isFault));
}

// How many slides are in each state, are odd, have a verdict: each is a filter on a click.
function showChips(text) {
  const counts = new Map();
  const count = (field, word) => counts.set(`${field} ${word}`, (counts.get(`${field} ${word}`) ?? 0) + 1);
  for (const slide of page.slides) {
    count("worst", slide.state);
    for (const word of slide.odd) count("odd", word);
    if (slide.verdict) count("verdict", slide.verdict.word);
  }
  const chips = [...counts].map(([key, n]) => {
    const [field, ...words] = key.split(" ");
    const word = words.join(" ");
    const kind = field === "odd" ? "odd" : word;
    const pressed = String(isAsked(text, conditionText(field, word)));
    return make(
      "button",
      { type: "button", class: `chip ${kind}`, "aria-pressed": pressed, onclick: () => toggleFilter(field, word) },
      `${word} `, make("b", {}, String(n)),
    );
  });
  document.getElementById("chips").replaceChildren(...chips);
}

function showLayers() {
  for (const box of document.querySelectorAll("[data-layer]")) {
    box.setAttribute("aria-pressed", String(layersShown.has(box.dataset.layer)));
  }
  for (const card of document.querySelectorAll("#slides article")) {
    const svg = card.querySelector("svg");
    if (svg.childElementCount) drawSlide(svg, card.slide, false);
  }
  if (opened) drawSlide(document.getElementById("large"), opened, true);
}

function toggleLayer(name) {
  if (!layersShown.delete(name)) layersShown.add(name);
  showLayers();
}

function layerButtons() {
  return LAYERS.map(([name, word, key]) => make(
    "button",
    { type: "button", "data-layer": name, title: `key ${key}`, "aria-pressed": String(layersShown.has(name)), onclick: () => toggleLayer(name) },
    word,
  ));
}

// ---------------------------------------------------------------------------- keys

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input, textarea, select") && event.target.type !== "radio";
  if (event.key === "Escape" && isTyping && viewer().open) {
    event.preventDefault();
    event.target.blur();
  } else if (event.key === "Escape" && event.target.id === "filter") {
    event.target.value = "";
    showMeant();
    event.target.blur();
  } else if (event.key === "Enter" && event.target.id === "filter") {
    focusCard(document.querySelector("#slides .card"));
  } else if (!isTyping) {
    onCommand(event);
  }
}

function onCommand(event) {
  const layer = LAYERS.find(([, , key]) => key === event.key);
  if (layer) toggleLayer(layer[0]);
  else if (opened && IN_VIEWER[event.key]) IN_VIEWER[event.key]();
  else if (opened) return;
  else if (event.key === "/") document.getElementById("filter").focus();
  else if (event.key === "Enter" && event.target.slide) openSlide(event.target.slide);
  else if (/^(Arrow|Home|End)/.test(event.key)) focusCard(neighbour(document.activeElement, event.key));
  else if (event.target.slide && page.takesVerdicts && /^[arv]$/.test(event.key)) {
    openSlide(event.target.slide);
    IN_VIEWER[event.key]();
  } else return;
  event.preventDefault();
}

// ---------------------------------------------------------------------------- start

function linkTo(number) {
  const isHere = number === page.number;
  return make("a", { href: page.links[number - 1], "aria-current": isHere ? "page" : false }, String(number));
}

function setForm(name) {
  form = name;
  for (const button of document.querySelectorAll("[data-form]")) {
    button.setAttribute("aria-pressed", String(button.dataset.form === name));
  }
  showMeant();
}

function start() {
  page.slides.forEach(prepareSlide);
  const sorts = Object.entries(COLUMNS).map(([name, [title]]) => make("option", { value: name }, title));
  const sort = document.getElementById("sort");
  sort.replaceChildren(...sorts);
  sort.addEventListener("change", () => { order.isReversed = false; sortBy(sort.value); });
  document.getElementById("reverse").addEventListener("click", () => sortBy(order.by));
  document.getElementById("filter").addEventListener("input", showMeant);
  for (const box of document.querySelectorAll(".layers")) box.replaceChildren(...layerButtons());
  for (const box of document.querySelectorAll("[data-form]")) box.addEventListener("click", () => setForm(box.dataset.form));
  const width = document.getElementById("width");
  width.addEventListener("input", () => document.documentElement.style.setProperty("--side", `${width.value}px`));
  if (page.links.length > 1) {
    document.getElementById("pages").append("pages ", ...page.links.map((_, i) => linkTo(i + 1)));
  }
  document.addEventListener("keydown", onKey);
  prepareViewer();
  showMeant();
  prepareMap();
  const asked = page.slides.find((slide) => slide.id === page.opened);
  if (asked) openSlide(asked);
}

start();
