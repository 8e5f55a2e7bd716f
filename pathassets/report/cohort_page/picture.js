// A slide drawn: picture, feature map, patch grid and outline, one over the other in one frame.

const SVG = "http://www.w3.org/2000/svg";
const LAYERS = [
  ["map", "features", "f"],
  ["grid", "patches", "g"],
  ["outline", "tissue", "t"],
];
const layersShown = new Set(["outline"]);

// An element with attributes and children; text becomes text, whatever it holds.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function makeSvg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function frameOf(slide) {
  const [width, height] = slide.size;
  const longest = Math.max(width, height);
  return [(width / longest) * page.frame, (height / longest) * page.frame];
}

// What is seen of a slide: it stands on the page, or is asked for.
const looksAsked = new Map();
function lookOf(slide) {
  if (!looksAsked.has(slide.id)) {
    const block = document.getElementById(`look-${slide.n}`);
    const look = block
      ? Promise.resolve(JSON.parse(block.textContent))
      : fetch(`cohort/look?slide=${encodeURIComponent(slide.id)}`).then((a) => (a.ok ? a.json() : {}));
    looksAsked.set(slide.id, look.catch(() => ({})));
  }
  return looksAsked.get(slide.id);
}

function thumbnailOf(slide) {
  return page.served && slide.thumbnail ? `cohort/thumbnail?slide=${encodeURIComponent(slide.id)}` : null;
}

// Draw what there is. `isLarge` asks for the large picture where pages are served.
function drawSlide(svg, slide, isLarge) {
  const [width, height] = frameOf(slide);
  if (!svg.hasAttribute("viewBox")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `slide ${slide.id}, ${slide.state}`);
  const whole = { x: 0, y: 0, width, height, preserveAspectRatio: "none" };
  svg.replaceChildren(makeSvg("rect", { ...whole, class: "paper" }));
  const thumbnail = thumbnailOf(slide);
  if (thumbnail) svg.append(makeSvg("image", { ...whole, href: thumbnail }));
  if (page.served && !isLarge && layersShown.size === 0) return;
  lookOf(slide).then((look) => {
    if (!svg.isConnected) return;
    if (look.picture) svg.append(makeSvg("image", { ...whole, href: look.picture }));
    else if (page.served && isLarge) askLarge(svg, slide, whole);
    drawLayers(svg, look, whole);
  });
}

function askLarge(svg, slide, whole) {
  const href = `cohort/picture?slide=${encodeURIComponent(slide.id)}`;
  svg.insertBefore(makeSvg("image", { ...whole, href }), svg.querySelector(".layer"));
}

function drawLayers(svg, look, whole) {
  const layers = {
    map: () => makeSvg("image", {
      ...whole, width: look.mapSize[0], height: look.mapSize[1], href: look.map, class: "layer map",
    }),
    grid: () => makeSvg("image", { ...whole, href: look.grid, class: "layer grid" }),
    outline: () => makeSvg("path", { d: look.outline, class: "layer outline" }),
  };
  for (const [name] of LAYERS) {
    if (look[name] && layersShown.has(name)) svg.append(layers[name]());
  }
}

// What is odd or wrong of a slide, as short words.
function chipsOf(slide) {
  const chips = slide.state === "current" ? [] : [make("span", { class: `chip ${slide.state}` }, slide.state)];
  if (slide.reason) chips.push(make("span", { class: "chip reason" }, slide.reason));
  for (const word of slide.odd) {
    const title = Object.hasOwn(slide.broken, word) ? slide.broken[word] : null;
    chips.push(make("span", { class: "chip odd", title }, word));
  }
  if (slide.verdict) {
    chips.push(make("span", { class: `chip ${slide.verdict.word}` }, slide.verdict.word));
  }
  return chips;
}

// Numbers as people write them.
function shortNumber(value, unit = "") {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(digits);
  return unit ? `${text} ${unit}` : text;
}

// Focus as patch_quality has it, or of a survey, which no other number is to be compared with.
function focusWord() {
  return page.isSurveyed ? "focus (survey)" : "focus";
}

function swatch(colour) {
  const title = colour ? `colour of the tissue, median of ${page.measuredOf}: ${colour}` : "";
  const box = make("span", { class: "swatch", title });
  box.style.background = colour ?? "transparent";
  return box;
}
