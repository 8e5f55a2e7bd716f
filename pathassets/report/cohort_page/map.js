// All slides on a plane, like ones together, coloured by what is chosen.

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#b8a900", "#7f3fbf"];
const NOTHING = "#9a9a9a";
const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#d8c51f"];
const MAP_SIDE = 1000;

// What slides can be coloured by: a name, the value of a slide, and the field that filters by it.
function colourings() {
  const names = new Set(page.slides.flatMap((slide) => Object.keys(slide.labels)));
  const found = ["scanner", "site", "label", "stain", "patient"].map((f) => [f, (s) => s.facts[f], f]);
  for (const name of [...names].sort()) {
    const said = (slide) => (Object.hasOwn(slide.labels, name) ? slide.labels[name] : undefined);
    found.push([`label.${name}`, said, `label.${writtenText(name)}`]);
  }
  found.push(["state", (s) => s.state, "worst"], ["verdict", (s) => s.verdict?.word, "verdict"], ["odd", (s) => s.odd[0], "odd"]);
  found.push(["focus", (s) => s.focus, null], ["mm2", (s) => s.mm2, "mm2"], ["patches", (s) => s.patches, "patches"]);
  const several = ([, value]) => new Set(page.slides.map(value)).size > 1;
  return found.filter(several).length ? found.filter(several) : found.slice(0, 1);
}

function isNumber(value) {
  return typeof value === "number" || (typeof value === "string" && value.trim() !== "" && isFinite(value));
}

function mixed(share) {
  const at = Math.min(RAMP.length - 2, Math.floor(share * (RAMP.length - 1)));
  return `color-mix(in srgb, ${RAMP[at]}, ${RAMP[at + 1]} ${((share * (RAMP.length - 1) - at) * 100).toFixed(0)}%)`;
}

// A function from a slide to its colour, and the legend: [word, colour, how many dots].
function colouring(value, slides) {
  const said = slides.map(value).filter((one) => one !== undefined && one !== null && one !== "");
  const counts = new Map();
  for (const one of said) counts.set(one, (counts.get(one) ?? 0) + 1);
  if (counts.size > PALETTE.length && said.every(isNumber)) {
    const [low, high] = [Math.min(...said.map(Number)), Math.max(...said.map(Number))];
    const share = (one) => (Number(one) - low) / (high - low || 1);
    const colour = (slide) => (isNumber(value(slide)) ? mixed(share(value(slide))) : NOTHING);
    return [colour, [0, 0.25, 0.5, 0.75, 1].map((s) => [shortNumber(low + s * (high - low)), mixed(s), null])];
  }
  const words = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const colours = new Map(words.slice(0, PALETTE.length).map((word, i) => [word, PALETTE[i]]));
  const legend = [...colours].map(([word, colour]) => [word, colour, counts.get(word)]);
  const nOthers = slides.length - legend.reduce((sum, [, , n]) => sum + n, 0);
  if (nOthers) legend.push([words.length > PALETTE.length ? "others" : "not stated", NOTHING, nOthers]);
  return [(slide) => colours.get(value(slide)) ?? NOTHING, legend];
}

function dotOf(slide, colour) {
  const [x, y] = slide.place.map((share) => share * MAP_SIDE);
  const dot = makeSvg("circle", { cx: x, cy: y, r: 11, class: "dot" });
  dot.style.fill = colour;
  const title = makeSvg("title", {});
  title.textContent = [slide.id, slide.facts.patient, slide.facts.label, slide.state].filter(Boolean).join(" · ");
  dot.append(title);
  dot.addEventListener("click", () => openSlide(slide));
  slide.dot = dot;
  return dot;
}

// What stands for a slide, and how many have none of it.
function mapWords(nPlaced) {
  const nAway = page.slides.length - nPlaced;
  return nAway ? `${page.mapOf}; without it, and not on the map: ${nAway} of ${page.slides.length} slides` : page.mapOf;
}

function showMap() {
  const choice = document.getElementById("colour-by");
  const placed = page.slides.filter((slide) => slide.place);
  document.getElementById("map-none").hidden = placed.length > 0;
  document.getElementById("map-of").textContent = placed.length ? mapWords(placed.length) : "";
  const [, value, field] = colourings().find(([one]) => one === choice.value) ?? colourings()[0];
  const [colour, legend] = colouring(value, placed);
  document.getElementById("map").replaceChildren(...placed.map((slide) => dotOf(slide, colour(slide))));
  const lines = legend.map(([word, ofWord, n]) => {
    const box = swatch(null);
    box.style.background = ofWord;
    const canAsk = n !== null && ofWord !== NOTHING && field !== null;
    const meant = canAsk ? { type: "button", onclick: () => toggleFilter(field, word) } : {};
    return make("li", {}, make(canAsk ? "button" : "span", meant, box, String(word), n === null ? "" : make("i", {}, String(n))));
  });
  document.getElementById("legend").replaceChildren(...lines);
  dimMap();
}

function dimMap() {
  for (const slide of page.slides) slide.dot?.classList.toggle("dim", !slide.isMeant);
}

function prepareMap() {
  const choice = document.getElementById("colour-by");
  choice.replaceChildren(...colourings().map(([name]) => make("option", { value: name }, name)));
  choice.addEventListener("change", showMap);
  showMap();
}
