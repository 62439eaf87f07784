// What the controls do.

/** Decodes the bytes, and shows everything. */
function decodeAll() {
  const format = formatName();
  const damaged = state.bytes;
  try {
    state.events = wasm_bindgen.inspect(format, damaged, undefined, options());
    byId("name").removeAttribute("aria-invalid");
  } catch (error) {
    trouble(error.message);
    byId("name").setAttribute("aria-invalid", "true");
    return;
  }
  trouble("");
  byId("as-command").textContent = format;
  mapBytes();
  showFrames();
  showAll();
  prove(format, options());
}

/** Shows the bytes and the cuts. */
function showAll() {
  showBytes();
  showOverview();
  showCuts(formatName(), options());
  state.hot = -1;
}

function setCuts(cuts) {
  const inside = cuts.filter((cut) => cut > 0 && cut < state.bytes.length);
  state.cuts = [...new Set(inside)].sort((a, b) => a - b);
  showAll();
}

/** What a click on a byte does, or Enter. */
function act(i) {
  if (document.querySelector('input[name="mode"]:checked').value === "cut") {
    setCuts(state.cuts.includes(i) ? state.cuts.filter((cut) => cut !== i) : [...state.cuts, i]);
  } else {
    const bytes = state.bytes.slice();
    bytes[i] ^= 1;
    const { cuts, page } = state;
    useBytes(bytes);
    state.page = page;
    setCuts(cuts);
  }
  goTo(i, true);
}

function keys(event) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -state.width, ArrowDown: state.width, Home: -state.focus % state.width, PageUp: -16 * state.width, PageDown: 16 * state.width };
  if (event.key in steps) {
    goTo(Math.min(Math.max(state.focus + steps[event.key], 0), state.bytes.length - 1), true);
  } else if (event.key === "End") {
    goTo(Math.min(state.focus - (state.focus % state.width) + state.width, state.bytes.length) - 1, true);
  } else if (event.key === "Enter" || event.key === " ") {
    act(state.focus);
  } else {
    return;
  }
  event.preventDefault();
}

function listen() {
  const on = (id, what, run) => byId(id).addEventListener(what, run);
  on("format", "change", () => { formatChosen(); useExample(); });
  on("name", "input", decodeAll);
  on("limit", "input", decodeAll);
  on("goon", "change", decodeAll);
  on("hex", "input", useText);
  on("example", "click", useExample);
  on("open", "click", () => byId("file").click());
  on("file", "change", (event) => { if (event.target.files[0]) useFile(event.target.files[0]); event.target.value = ""; });
  on("stream", "change", () => useStream(streams[byId("stream").value]));
  on("slider", "input", () => setCuts([Number(byId("slider").value)]));
  on("cut-none", "click", () => setCuts([]));
  on("cut-every", "click", () => setCuts(Array.from({ length: Math.min(state.bytes.length, 20000) }, (_, i) => i)));
  on("cut-random", "click", () => setCuts(Array.from({ length: 4 }, () => 1 + Math.floor(Math.random() * (state.bytes.length - 1)))));
  on("cut-packets", "click", () => setCuts(Array.from(streams[byId("stream").value || 0].cuts)));
  on("earlier", "click", () => goTo((state.page - 1) * PAGE));
  on("later", "click", () => goTo((state.page + 1) * PAGE));
  const view = byId("view");
  const of = (event) => event.target.closest?.("[data-i]");
  view.addEventListener("click", (event) => { if (of(event)) act(Number(of(event).dataset.i)); });
  view.addEventListener("keydown", keys);
  const point = (event) => {
    const cell = of(event);
    if (!cell) return;
    byId("status").textContent = describeByte(Number(cell.dataset.i));
    setHot(state.frameOf[cell.dataset.i]);
  };
  view.addEventListener("pointerover", point);
  view.addEventListener("focusin", (event) => { point(event); if (of(event)) state.focus = Number(of(event).dataset.i); });
  view.addEventListener("pointerleave", () => setHot(-1));
  const frames = byId("frames");
  const frameOf = (event) => event.target.closest?.("[data-frame]");
  for (const what of ["pointerover", "focusin"]) {
    frames.addEventListener(what, (event) => setHot(Number(frameOf(event)?.dataset.frame ?? -1)));
  }
  frames.addEventListener("pointerleave", () => setHot(-1));
  frames.addEventListener("click", (event) => {
    const number = frameOf(event)?.dataset.frame;
    if (number === undefined) return;
    goTo(state.events.find((found) => found.type === "frame" && found.number === Number(number)).at);
    state.hot = -1;
    setHot(Number(number));
  });
  // A file may be dropped anywhere.
  let inside = 0;
  const show = (n) => { inside = n; byId("drop").hidden = n <= 0; };
  addEventListener("dragenter", (event) => { event.preventDefault(); show(inside + 1); });
  addEventListener("dragleave", () => show(inside - 1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(0);
    if (event.dataTransfer.files[0]) useFile(event.dataTransfer.files[0]);
  });
  const narrow = matchMedia("(max-width: 34rem)");
  const resize = () => { state.width = narrow.matches ? 8 : 16; showBytes(); };
  narrow.addEventListener("change", resize);
  state.width = narrow.matches ? 8 : 16;
}

const text = atob(byId("module").textContent);
wasm_bindgen.initSync({ module: Uint8Array.from(text, (letter) => letter.charCodeAt(0)) });
fillFormats();
listen();
formatChosen();
useExample();
document.documentElement.dataset.ready = "true";
