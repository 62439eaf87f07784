// Cuts of the stream, and the proof that they change nothing.

/** Two lists of events are the same if each event is, with its payload. */
function same(a, b) {
  const text = (events) => JSON.stringify(events, (key, value) => {
    if (key === "number") return undefined;
    return value instanceof Uint8Array ? Array.from(value, hexOf).join("") : value;
  });
  return text(a) === text(b);
}

/** The pieces between the cuts, each with what the decoder says about it as soon as it arrives. */
function piecesOf(format, options) {
  const decoder = new wasm_bindgen.Decoder(format, options);
  const ends = [...state.cuts, state.bytes.length];
  const pieces = [];
  let from = 0;
  for (const to of ends) {
    const events = decoder.push(state.bytes.subarray(from, to));
    pieces.push({ from, to, frames: events.filter((event) => event.type === "frame" && event.complete).length });
    from = to;
  }
  decoder.free();
  return pieces;
}

/** Decodes the stream in its pieces, and compares with the stream in one piece. */
function showCuts(format, options) {
  const { bytes, cuts } = state;
  const verdict = byId("verdict");
  const frames = state.events.filter((event) => event.type === "frame" && event.complete).length;
  const errors = state.events.filter((event) => event.type === "error").length;
  const found = count(frames, "frame") + (errors ? ` and ${count(errors, "error")}` : "");
  const again = wasm_bindgen.inspect(format, bytes, Uint32Array.from(cuts), options);
  const equal = same(again, state.events);
  verdict.classList.toggle("differs", !equal);
  const pieces = count(cuts.length + 1, "piece");
  if (!bytes.length) verdict.textContent = "";
  else if (!cuts.length) verdict.textContent = `${found}, in one piece`;
  else verdict.textContent = equal ? `✓ the same ${found}, in ${pieces}` : `✗ other frames, in ${pieces}`;
  verdict.dataset.same = String(equal);
  const shown = piecesOf(format, options);
  const items = shown.slice(0, 24).map(({ from, to, frames }, i) => {
    const item = element("li");
    item.append(`piece ${i + 1}: ${count(to - from, "byte")}, `, element("b", "", frames ? `completes ${count(frames, "frame")}` : "completes none"));
    return item;
  });
  if (shown.length > items.length) items.push(element("li", "", `… ${shown.length - items.length} more`));
  byId("pieces").replaceChildren(...(cuts.length ? items : []));
  const slider = byId("slider");
  slider.max = bytes.length;
  slider.disabled = bytes.length < 2;
  if (cuts.length <= 1) slider.value = cuts[0] ?? 0;
  slider.setAttribute("aria-valuetext", cuts.length === 1 ? `cut before byte ${cuts[0]}` : count(cuts.length, "cut"));
}

/** Tries every single cut, while the stream is small. */
function prove(format, options) {
  const { bytes, events } = state;
  const proof = byId("proof");
  proof.textContent = "";
  delete proof.dataset.same;
  if (bytes.length < 2 || bytes.length > 600) return;
  let wrong = 0;
  for (let cut = 1; cut < bytes.length; cut++) {
    if (!same(wasm_bindgen.inspect(format, bytes, Uint32Array.of(cut), options), events)) wrong++;
  }
  proof.dataset.same = String(wrong === 0);
  const places = count(bytes.length - 1, "place");
  proof.textContent = wrong
    ? `Of all ${places} for one cut, ${wrong} give other frames.`
    : `All ${places} for one cut were just tried: the same each time.`;
}

function showOverview() {
  const { bytes, events, cuts } = state;
  const place = (at) => `${(at / Math.max(bytes.length, 1)) * 100}%`;
  const parts = [];
  const frames = events.filter((event) => event.type === "frame");
  // More than the bar has pixels help nobody.
  for (const frame of frames.slice(0, 2000)) {
    const bar = element("span", `frame f${frame.number % COLOURS}`);
    bar.dataset.frame = frame.number;
    bar.style.left = place(frame.at);
    bar.style.width = place(frame.end - frame.at);
    parts.push(bar);
  }
  for (const error of events.filter((event) => event.type === "error").slice(0, 500)) {
    const bar = element("span", "error-at");
    bar.style.left = place(Math.min(error.byte, bytes.length - 0.5));
    parts.push(bar);
  }
  for (const cut of cuts.slice(0, 2000)) {
    const bar = element("span", "cut-at");
    bar.style.left = place(cut);
    parts.push(bar);
  }
  byId("overview").replaceChildren(...parts);
}
